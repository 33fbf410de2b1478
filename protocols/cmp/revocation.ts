import { appendAudit } from '../../core/audit/log.ts';
import { getCertificate } from '../../core/authority/certificates.ts';
import {
  findBySerial,
  type FoundCertificate,
  revokeCertificate,
  type RevocationReason,
} from '../../core/authority/revocation.ts';
import type { SignedByFact } from '../../core/enrollment/facts.ts';
import type { Unit } from '../../core/store/store.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { certificateFingerprint, parseCertificate } from '../../core/x509/certificate.ts';
import { CRL_REASON } from '../../core/x509/crl.ts';
import { EXTENSIONS, type Extension } from '../../core/x509/extensions.ts';
import { namesEqual } from '../../core/x509/name.ts';
import { serialNumberFromOctets } from '../../core/x509/serial-number.ts';
import type { CertTemplate } from './cert-template.ts';
import type { CmpDependencies } from './dependencies.ts';
import { CmpFault } from './errors.ts';
import type { Answer, Exchange } from './exchange.ts';
import type { BodyOf } from './pki-body.ts';
import { PKI_STATUS } from './pki-status.ts';

const REASONS: ReadonlyMap<number, RevocationReason> = new Map(
  Object.entries(CRL_REASON).map(([name, code]) => [code, name as RevocationReason]),
);

/** By how much the clock of who releases a certificate may be off: less than transactions are remembered. */
const RELEASE_SKEW_MS = 3_600_000;

/** What a transaction has revoked: set with the revocation, so that a repeat after a crash is told that it succeeded. */
export interface RevocationMark {
  readonly certificate: string | undefined;
  set(tx: Unit, certificate: string): Promise<void>;
}

/** rr (RFC 9483 §4.2): a device revokes its own certificate, a registration authority one that this endpoint issued. */
export class Revocation {
  readonly #dependencies: Pick<CmpDependencies, 'store' | 'authorities' | 'rollovers'>;

  constructor(dependencies: Pick<CmpDependencies, 'store' | 'authorities' | 'rollovers'>) {
    this.#dependencies = dependencies;
  }

  /** @throws CmpFault with the failInfo that goes into the rp */
  async revoke(exchange: Exchange, content: BodyOf<'rr'>, mark: RevocationMark): Promise<Answer> {
    const { sender, settings } = exchange;
    if (sender.kind !== 'signature') {
      throw new CmpFault('wrongIntegrity', 'rr: expected a signature, found a MAC');
    }
    const [details, another] = content;
    if (details === undefined || another !== undefined) {
      throw new CmpFault('badRequest', `rr: expected one RevDetails, found ${content.length}`);
    }
    const reason = reasonOf(details.crlEntryDetails ?? [], settings.conformance === 'lightweight');
    const found = await this.#find(exchange, details.certDetails);
    await this.#authorize(exchange, sender.fact, found);
    if (mark.certificate !== found.certificateId) {
      checkStatus(found, reason);
      if (reason === 'removeFromCRL') this.#requireFresh(exchange);
      await this.#change(exchange, sender.fact, found, reason, mark);
    }
    const { issuer, serialNumberOctets: serialNumber } = parseCertificate(found.der);
    const revCerts = [{ issuer: { kind: 'directoryName', value: issuer } as const, serialNumber }];
    return { body: { kind: 'rp', value: { status: [{ status: PKI_STATUS.accepted }], revCerts } } };
  }

  async #change(
    { endpoint, sourceAddress }: Exchange,
    signer: SignedByFact,
    { certificateId }: FoundCertificate,
    reason: RevocationReason,
    mark: RevocationMark,
  ): Promise<void> {
    const { store } = this.#dependencies;
    await store.unit(async (tx) => {
      await revokeCertificate(tx, {
        tenant: endpoint.tenant,
        certificateId,
        reason,
        actor: actorOf(signer),
        at: store.clock.now(),
        details: { protocol: 'cmp', endpoint: endpoint.id, source: sourceAddress },
      });
      await mark.set(tx, certificateId);
    });
  }

  async #find({ endpoint }: Exchange, { issuer, serialNumber }: CertTemplate): Promise<FoundCertificate> {
    if (issuer === undefined || serialNumber === undefined) {
      throw new CmpFault('addInfoNotAvailable', 'rr: expected issuer and serialNumber of the certificate');
    }
    const { tenant, authority } = endpoint;
    const { store, authorities, rollovers } = this.#dependencies;
    // A device whose certificate was renewed by the next authority revokes the one that it had from the last.
    for (const id of [authority, ...(await rollovers.predecessors(tenant, authority))]) {
      const { subject } = await authorities.issuer(tenant, id);
      if (!namesEqual(issuer, subject)) continue;
      const found = await findBySerial(store, tenant, id, serialNumberFromOctets(serialNumber));
      if (found !== undefined) return found;
    }
    throw new CmpFault('badCertId', 'rr: this endpoint issued no such certificate', 'not-found');
  }

  /** V6: who may enrol under an endpoint may revoke what has its profile, and nothing else; a device what it was issued. */
  async #authorize(exchange: Exchange, signer: SignedByFact, found: FoundCertificate): Promise<void> {
    const { endpoint, settings } = exchange;
    const isItself = signer.fingerprint === certificateFingerprint(found.der);
    const isSameDevice = signer.deviceId !== undefined && signer.deviceId === found.device;
    if (isItself || isSameDevice) return;
    const stored = await getCertificate(this.#dependencies.store, endpoint.tenant, found.certificateId);
    const isAuthority = signer.registrationAuthority && settings.authenticators.includes('ra');
    if (isAuthority && stored?.profile === endpoint.profile) return;
    await this.#recordRefusal(exchange, signer, found);
    throw new CmpFault('notAuthorized', 'rr: the certificate is not that of the sender');
  }

  /** What gives a certificate back must not do so again when somebody sends it again, long after its transaction is forgotten. */
  #requireFresh({ message }: Exchange): void {
    const { messageTime } = message.header;
    const now = this.#dependencies.store.clock.now();
    if (messageTime !== undefined && Math.abs(messageTime.getTime() - now) <= RELEASE_SKEW_MS) return;
    throw new CmpFault('badTime', 'rr: expected the present messageTime in a release', 'bad-time');
  }

  /** A genuine credential that reaches for another's certificate is worth an operator's look. */
  async #recordRefusal(
    { endpoint, sourceAddress }: Exchange,
    signer: SignedByFact,
    { certificateId }: FoundCertificate,
  ): Promise<void> {
    const { store } = this.#dependencies;
    await store.unit((tx) =>
      appendAudit(tx, {
        tenant: endpoint.tenant,
        at: store.clock.now(),
        actor: actorOf(signer),
        action: 'revocation.refused',
        object: `certificate:${certificateId}`,
        outcome: 'refused',
        details: { protocol: 'cmp', endpoint: endpoint.id, source: sourceAddress },
      }),
    );
  }
}

function actorOf({ certificate }: SignedByFact): string {
  return `device:certificate ${certificate.serialNumber}`;
}

/** RFC 9483 §4.2: exactly one reasonCode; OpenSSL leaves it out unless told otherwise. */
function reasonOf(extensions: readonly Extension[], strict: boolean): RevocationReason {
  const code = readReasonCode(extensions);
  if (code === undefined) {
    if (!strict) return 'unspecified';
    throw new CmpFault('badRequest', 'rr: expected a reasonCode in crlEntryDetails, found none');
  }
  const reason = REASONS.get(code);
  if (reason !== undefined) return reason;
  throw new CmpFault('badRequest', `rr: expected a reasonCode of RFC 5280, found ${code}`);
}

function readReasonCode(extensions: readonly Extension[]): number | undefined {
  try {
    return EXTENSIONS.reasonCode.find(extensions);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badDataFormat', `rr: ${error.message}`);
  }
}

/** What is revoked stays so; what is on hold may be revoked or released; nothing else comes back. */
function checkStatus({ status, reason: standing }: FoundCertificate, reason: RevocationReason): void {
  const isHeld = status !== 'active' && standing === 'certificateHold';
  if (reason === 'removeFromCRL' && !isHeld) {
    throw new CmpFault('badCertId', 'rr: only a certificate on hold is released', 'not-found');
  }
  if (status !== 'active' && !isHeld) throw new CmpFault('certRevoked', 'rr: the certificate is revoked already');
}
