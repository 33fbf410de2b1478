import { createHash } from 'node:crypto';

import { getCertificate } from '../../core/authority/certificates.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { type DeviceKey, DeviceKeyMaker } from '../../core/keys/device-key.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { type CertificateBody, type CertificateWish, readWish } from './certificate-wish.ts';
import { encloseCertificate, enclosePrivateKey, recipientOf } from './delivery.ts';
import type { CmpDependencies } from './dependencies.ts';
import type { DerivationThread } from './derivation-thread.ts';
import { CmpFault, failureOf } from './errors.ts';
import { ended, type Exchange, type Progress } from './exchange.ts';
import { confirmWaitTime, IMPLICIT_CONFIRM } from './general-info.ts';
import { keyFor } from './key-choice.ts';
import type { BodyKind, CertResponse, PkiBody } from './pki-body.ts';
import { type FailureBit, PKI_STATUS, rejectionStatus } from './pki-status.ts';
import { factsOf } from './sender.ts';

/** The answer to each request for a certificate. */
const ANSWER_KIND = { ir: 'ip', cr: 'cp', kur: 'kup', p10cr: 'cp' } as const satisfies Partial<
  Record<BodyKind, BodyKind>
>;

/** ir, cr, kur and p10cr (RFC 9483 §4.1): from a body to the hall, and from its outcome to a CertRepMessage. */
export class Enrolment {
  readonly #dependencies: CmpDependencies;
  readonly #derivation: Pick<DerivationThread, 'derive'>;
  readonly #keys = new DeviceKeyMaker();

  constructor(dependencies: CmpDependencies, derivation: Pick<DerivationThread, 'derive'>) {
    this.#dependencies = dependencies;
    this.#derivation = derivation;
  }

  /**
   * Has a request decided. Asked again with the same message, it gives the same certificate; a poll opens nothing that has
   * ended meanwhile.
   * @throws MusterError for what the hall did not decide
   */
  async decide(exchange: Exchange, body: CertificateBody, isPoll: boolean): Promise<Progress> {
    const { endpoint } = exchange;
    await this.#checkCertProfile(exchange);
    await this.#checkNotUpdated(exchange);
    const issuer = await this.#dependencies.authorities.issuer(endpoint.tenant, endpoint.authority);
    const wish = await readWish(this.#derivation, exchange, body, issuer.subject);
    if (wish.key.kind === 'to-be-made') return this.#decideWithMadeKey(exchange, body, wish, wish.key.algorithm);
    const { publicKey, proof } = wish.key;
    const request = requestFor(exchange, body, wish, { publicKey, proofOfPossession: proof });
    const { hall } = this.#dependencies;
    const polled = isPoll ? await hall.poll({ ...request, restore: () => request }) : undefined;
    return this.#progress(exchange, body, wish, polled ?? (await hall.enroll(request)), undefined);
  }

  // RFC 9483 §4.1.6. What could not be delivered is refused before a key is made.
  async #decideWithMadeKey(
    exchange: Exchange,
    body: CertificateBody,
    wish: CertificateWish,
    wanted: (CertificateWish['key'] & { readonly kind: 'to-be-made' })['algorithm'],
  ): Promise<Progress> {
    const { endpoint, settings, sender } = exchange;
    if (!settings.centralKeyGeneration) {
      throw new CmpFault('badCertTemplate', 'certTemplate: expected a public key, found none: no keys are made here');
    }
    const recipient = recipientOf(sender);
    using key = await this.#keys.make(keyFor(endpoint.keyRules, wanted?.algorithm));
    const { publicKey, pkcs8 } = key;
    const outcome = await this.#dependencies.hall.enroll(
      requestFor(exchange, body, wish, { publicKey, proofOfPossession: 'server-generated' }),
    );
    if (outcome.kind !== 'issued') return this.#progress(exchange, body, wish, outcome, undefined);
    requireKeyOf(outcome.certificate, key);
    const { tenant, authority } = endpoint;
    const generator = await this.#dependencies.identities.current(tenant, authority, 'key-generation');
    return this.#progress(exchange, body, wish, outcome, await enclosePrivateKey(pkcs8, generator, recipient, tenant));
  }

  async #progress(
    exchange: Exchange,
    body: CertificateBody,
    wish: CertificateWish,
    outcome: Outcome,
    privateKey: Awaited<ReturnType<typeof enclosePrivateKey>> | undefined,
  ): Promise<Progress> {
    switch (outcome.kind) {
      case 'issued':
        return this.#issued(exchange, body, wish, outcome, privateKey);
      case 'pending':
        return { kind: 'waiting', certReqId: wish.certReqId, checkAfterSeconds: outcome.retryAfterSeconds };
      case 'rejected': {
        const { failInfo, text } = failureOf(outcome.reason, outcome.message);
        // Who asks for another's name has no right to it; an update that changes the name is a wrong template (RFC 9483 §4.1.3).
        const isForAnother = outcome.reason === 'subject-mismatch' && body.kind !== 'kur';
        return ended({ body: rejection(body, isForAnother ? 'notAuthorized' : failInfo, text, wish.certReqId) });
      }
    }
  }

  async #issued(
    exchange: Exchange,
    body: CertificateBody,
    wish: CertificateWish,
    { certificate, certificateId }: Outcome & { readonly kind: 'issued' },
    privateKey: Awaited<ReturnType<typeof enclosePrivateKey>> | undefined,
  ): Promise<Progress> {
    const { info, settings, message } = exchange;
    const { pvno } = message.header;
    const isIndirect = wish.key.kind === 'given' && wish.key.proof === 'indirect';
    const response: CertResponse = {
      certReqId: wish.certReqId,
      status: { status: isAsAsked(wish, certificate) ? PKI_STATUS.accepted : PKI_STATUS.grantedWithMods },
      certifiedKeyPair: {
        certOrEncCert: isIndirect
          ? { kind: 'encryptedCert', value: await encloseCertificate(certificate, pvno) }
          : { kind: 'certificate', value: certificate },
        privateKey,
      },
    };
    // A proof that is still to come is not waived, nor is the receipt of a key that is nowhere else.
    const implicit = info.implicitConfirm && settings.confirmation.implicit && !isIndirect;
    const now = this.#dependencies.store.clock.now();
    const confirmUntil = implicit ? null : now + settings.confirmation.waitSeconds * 1000;
    return {
      kind: 'done',
      answer: {
        body: {
          kind: ANSWER_KIND[body.kind],
          value: { caPubs: await this.#caPubs(exchange, body), response: [response] },
        },
        generalInfo: [confirmUntil === null ? IMPLICIT_CONFIRM : confirmWaitTime(confirmUntil)],
        needsVersion3: privateKey !== undefined,
        holdsKey: privateKey !== undefined,
      },
      state: implicit ? 'ended' : 'confirming',
      certificate: certificateId,
      confirmUntil,
      unconfirmed: isIndirect || privateKey !== undefined ? 'revoke' : settings.confirmation.unconfirmed,
    };
  }

  /** V12: a trust anchor goes out under the secret that the device was given for it, and no other protection. */
  async #caPubs(
    { endpoint, settings, sender }: Exchange,
    body: CertificateBody,
  ): Promise<readonly Uint8Array[] | undefined> {
    if (body.kind !== 'ir' || !settings.caPubs || sender.kind !== 'mac') return undefined;
    const chain = await this.#dependencies.authorities.caCertificates(endpoint.tenant, endpoint.authority);
    return chain.slice(-1);
  }

  /** RFC 9483 §4.1.3: once its update is confirmed a certificate signs no more requests, where the endpoint holds to that. */
  async #checkNotUpdated({ endpoint, settings, sender }: Exchange): Promise<void> {
    if (settings.updatedCertificates === 'accepted' || sender.kind !== 'signature') return;
    const { certificateId } = sender.fact;
    const { store } = this.#dependencies;
    const stored =
      certificateId === undefined ? undefined : await getCertificate(store, endpoint.tenant, certificateId);
    if (stored?.replaced_by === undefined || stored.replaced_by === null) return;
    throw new CmpFault('certRevoked', 'the certificate presented was updated, and another took its place');
  }

  /** RFC 9483 §3.1: one certProfile, and one that this endpoint knows. */
  async #checkCertProfile({ endpoint, settings, info: { certProfiles } }: Exchange): Promise<void> {
    const [name, another] = certProfiles;
    if (name === undefined) return;
    const profile = await this.#dependencies.profiles.get(endpoint.tenant, endpoint.profile);
    if (another === undefined && [profile.name, ...settings.certProfiles].includes(name)) return;
    throw new CmpFault('badRequest', 'certProfile: expected the name of a profile of this endpoint');
  }
}

function requestFor(
  { requestId, endpoint, sender, transactionId, digest, sourceAddress }: Exchange,
  body: CertificateBody,
  wish: CertificateWish,
  proof: Pick<EnrollmentRequest, 'publicKey' | 'proofOfPossession'>,
): EnrollmentRequest {
  return {
    requestId,
    endpoint,
    protocol: 'cmp',
    operation: body.kind === 'kur' ? 'renew' : 'enroll',
    requestKey: createHash('sha256').update(`${transactionId}\0${wish.certReqId}\0${digest}`).digest(),
    subject: wish.subject,
    subjectAltName: wish.subjectAltName,
    requestedExtensions: wish.otherExtensions,
    ...proof,
    der: wish.der,
    facts: factsOf(sender),
    ...(wish.evidence && { evidence: wish.evidence }),
    sourceAddress,
  };
}

/** The answer that refuses a request for a certificate. */
export function rejection(body: CertificateBody, failInfo: FailureBit, text: string, certReqId: number): PkiBody {
  const response: CertResponse = {
    certReqId,
    status: rejectionStatus(failInfo, text),
  };
  return { kind: ANSWER_KIND[body.kind], value: { response: [response] } };
}

/** The answer that lets a request for a certificate wait (RFC 9483 §4.4). */
export function waitingResponse(body: CertificateBody, certReqId: number): PkiBody {
  return {
    kind: ANSWER_KIND[body.kind],
    value: { response: [{ certReqId, status: { status: PKI_STATUS.waiting } }] },
  };
}

/** RFC 9810 §5.2.3: grantedWithMods tells a device to look; names are never modified, extensions and validity may be. */
function isAsAsked({ otherExtensions, asksForValidity, subject }: CertificateWish, der: Uint8Array): boolean {
  if (asksForValidity) return false;
  if (otherExtensions.length === 0) return true;
  const { extensions, subject: issuedSubject } = parseCertificate(der);
  return (
    octetsEqual(subject.der, issuedSubject.der) &&
    otherExtensions.every((wanted) =>
      extensions.some(({ oid, value }) => oid === wanted.oid && octetsEqual(value, wanted.value)),
    )
  );
}

/** A certificate of an earlier request holds an earlier key, which nobody has any more: it must not go out with this one. */
function requireKeyOf(certificate: Uint8Array, key: DeviceKey): void {
  if (publicKeysEqual(parseCertificate(certificate).publicKey, key.publicKey)) return;
  throw new InternalError('the certificate issued for a key made here is for another key');
}
