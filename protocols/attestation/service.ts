import { createHash } from 'node:crypto';

import type { AttestationService } from '../../core/enrollment/attestation-settings.ts';
import { authenticatorsOf } from '../../core/enrollment/endpoint.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import { type Appraisal, NONCE_LIFETIME_SECONDS } from '../../core/enrollment/ports.ts';
import type { EnrollmentRequest, Evidence } from '../../core/enrollment/request.ts';
import { PeerError, PolicyError, StateError } from '../../core/errors/muster-error.ts';
import { parseCertificationRequest, verifyCertificationRequestAsync } from '../../core/x509/certification-request.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import { EMPTY_NAME, encodeName, type Name } from '../../core/x509/name.ts';
import { publicKeysEqual, spkiSha256, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { attestationKeyNames } from './attestation-key-names.ts';
import type { AttestationDependencies, Call, OpenEndpoint, Registration, Ticket } from './dependencies.ts';
import { EvidenceRefusal } from './evidence-refusal.ts';
import { certificationRequestIn, encodeMatterEvidence } from './matter-elements.ts';
import type { MatterRequest, TicketProtocol, TicketRequest } from './messages.ts';

/** A nonce with the seconds it lives. */
export interface IssuedNonce {
  readonly nonce: Uint8Array;
  readonly expirySeconds: number;
}

/** A ticket with the name of the device it is for. */
export interface DeviceTicket extends Ticket {
  readonly device: string;
}

/** What came of a request for a certificate: the outcome, and when it is issued the path up to the root. */
export type CertificateAnswer =
  | Exclude<Outcome, { readonly kind: 'issued' }>
  | { readonly kind: 'issued'; readonly chain: readonly Uint8Array[] };

/** What a ticket of each protocol is presented as. */
const TICKET_AUTHENTICATOR = { scep: 'password', est: 'password', cmp: 'mac' } as const satisfies Record<
  TicketProtocol,
  string
>;

/** The rules of the attestation front door, without HTTP. */
export class AttestationDoor {
  readonly #dependencies: AttestationDependencies;

  constructor(dependencies: AttestationDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * The endpoint of a label, if its front door is open and this source has not asked too often.
   * @throws PeerError `unknown-endpoint`, PolicyError `protocol-not-open`, StateError `quota-exceeded`
   */
  async open(label: string, sourceAddress: string): Promise<OpenEndpoint> {
    const { endpoints, shortLived } = this.#dependencies;
    const endpoint = await endpoints.resolve(label);
    if (endpoint === undefined) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
    const settings = endpoint.protocols.attestation;
    if (settings === undefined)
      throw new PolicyError('protocol-not-open', 'this endpoint has no attestation front door');
    const { requestsPerMinute } = settings;
    if (requestsPerMinute > 0) {
      const count = await shortLived.increment(`attestation-door:${endpoint.id}:${sourceAddress}`, MINUTE);
      if (count > requestsPerMinute)
        throw new StateError('quota-exceeded', 'too many requests from this address', { retryAfterSeconds: MINUTE });
    }
    return { endpoint, settings };
  }

  /** A nonce for evidence that is shown here or in another protocol of the endpoint. */
  async nonce({ endpoint }: OpenEndpoint, octets: number | undefined): Promise<IssuedNonce> {
    return {
      nonce: await this.#dependencies.gate.challenge(endpoint, octets),
      expirySeconds: NONCE_LIFETIME_SECONDS,
    };
  }

  /** First half of an activation: what only the right TPM opens. @throws EvidenceRefusal; PolicyError `protocol-not-open` */
  async beginActivation(open: OpenEndpoint, registration: Registration) {
    requireService(open, 'attestation-key');
    return this.#dependencies.activation.begin(open.endpoint, registration);
  }

  /**
   * Second half: who has the secret gets the certificate of the attestation key. The key signs no requests; that it was
   * activated is the proof of its possession.
   * @throws EvidenceRefusal; PolicyError `protocol-not-open`
   */
  async completeActivation(call: Call, secret: Uint8Array): Promise<CertificateAnswer> {
    requireService(call, 'attestation-key');
    const { appraisal, publicKey } = await this.#appraise(call, { type: 'tpm-activation', bytes: secret });
    return this.#enroll(call, appraisal, {
      subject: EMPTY_NAME,
      subjectAltName: attestationKeyNames(appraisal),
      deviceName: await this.#nameOf(call, appraisal),
      publicKey,
      proofOfPossession: 'attested',
      der: publicKey.der,
    });
  }

  /**
   * A one-time secret for who attested, good for one device and one key.
   * @throws EvidenceRefusal; PolicyError `protocol-not-open`, `subject-mismatch`
   */
  async ticket(call: Call, { evidence, publicKey, device, protocol }: TicketRequest): Promise<DeviceTicket> {
    requireService(call, 'ticket');
    const { endpoint, settings, sourceAddress } = call;
    if (!authenticatorsOf(endpoint, protocol).includes(TICKET_AUTHENTICATOR[protocol]))
      throw new PolicyError('protocol-not-open', `this endpoint takes no tickets by ${protocol}`);
    const { appraisal, publicKey: attested } = await this.#appraise(call, evidence);
    if (!publicKeysEqual(attested, publicKey)) throw new EvidenceRefusal(['key-is-another']);
    const name = device ?? (await this.#nameOf(call, appraisal));
    await this.#requireNamed(call, appraisal, name, publicKey);
    const ticket = await this.#dependencies.tickets.issue(endpoint, {
      protocol,
      device: name,
      attested: { evidenceId: appraisal.evidenceId, spkiSha256: spkiSha256(publicKey) },
      lifetimeSeconds: settings.ticketLifetimeSeconds,
      sourceAddress,
    });
    return { ...ticket, device: name };
  }

  /**
   * The certificate for the key of a Matter device's NOCSR, named as its attestation proves it.
   * @throws EvidenceRefusal; PeerError `malformed-request`, `bad-signature`; PolicyError `protocol-not-open`
   */
  async matter(call: Call, { attestation, device }: MatterRequest): Promise<CertificateAnswer> {
    requireService(call, 'matter');
    const request = parseCertificationRequest(certificationRequestIn(attestation.nocsr));
    if (!(await verifyCertificationRequestAsync(request)))
      throw new PeerError('bad-signature', 'the signature of the request does not verify with the public key in it');
    const evidence = { type: 'matter-dac', bytes: encodeMatterEvidence(attestation) };
    const { appraisal } = await this.#appraise(call, evidence);
    return this.#enroll(call, appraisal, {
      subject: deviceSubject(device ?? (await this.#nameOf(call, appraisal))),
      subjectAltName: [],
      publicKey: request.publicKey,
      proofOfPossession: 'signature',
      der: request.der,
    });
  }

  /**
   * Appraised before there is a request; what does not convince ends here, also where the endpoint only observes: it is the
   * credential. So is evidence that attests no key: whoever relays it could put a key of his own beside it.
   */
  async #appraise({ endpoint, settings }: OpenEndpoint, evidence: Evidence) {
    const { ticketLifetimeSeconds: lifetimeSeconds } = settings;
    const appraisal = await this.#dependencies.gate.preAppraise(evidence, endpoint, { lifetimeSeconds });
    if (appraisal.verdict !== 'affirmed') throw new EvidenceRefusal(appraisal.findings);
    const { attestedPublicKey: publicKey } = appraisal;
    if (publicKey === undefined) throw new EvidenceRefusal(['key-none-attested']);
    return { appraisal, publicKey };
  }

  /** The device, as its evidence proves it. */
  async #nameOf({ endpoint }: Call, appraisal: Appraisal): Promise<string> {
    const name = await this.#dependencies.gate.nameOf(appraisal, endpoint);
    if (name !== undefined) return name;
    throw new PeerError(
      'malformed-request',
      'device: expected the name of the device, which the evidence does not say',
    );
  }

  /** A ticket names a device as evidence that is shown with a request does; the rest is judged with the request. */
  async #requireNamed({ endpoint }: Call, appraisal: Appraisal, name: string, publicKey: SubjectPublicKeyInfo) {
    const candidate = {
      name,
      namedByEvidence: true,
      renews: undefined,
      continuity: undefined,
      spkiSha256: spkiSha256(publicKey),
    };
    const faults = await this.#dependencies.gate.match(appraisal, candidate, endpoint);
    if (faults.includes(OTHER_DEVICE))
      throw new PolicyError('subject-mismatch', 'the ticket must name the device that its evidence proves');
    if (faults.length > 0 && endpoint.attestation.mode === 'enforce') throw new EvidenceRefusal(faults);
  }

  async #enroll(call: Call, { evidenceId }: Appraisal, asked: AskedCertificate): Promise<CertificateAnswer> {
    const { credentials, hall, authorities } = this.#dependencies;
    const { endpoint, requestId, sourceAddress } = call;
    const outcome = await hall.enroll({
      requestId,
      endpoint,
      protocol: 'attestation',
      operation: 'enroll',
      requestKey: createHash('sha256').update(asked.publicKey.der).update(asked.subject.der).digest(),
      requestedExtensions: [],
      ...asked,
      facts: [await credentials.attested(endpoint, evidenceId)],
      evidenceId,
      sourceAddress,
    });
    if (outcome.kind !== 'issued') return outcome;
    const path = await authorities.caCertificates(endpoint.tenant, endpoint.authority);
    // The root is what a verifier has by other means.
    return { kind: 'issued', chain: [outcome.certificate, ...path.slice(0, -1)] };
  }
}

const MINUTE = 60;
/** The gate's code for a name that the evidence does not prove. */
const OTHER_DEVICE = 'device-name-mismatch';

/** What a request of the front door asks for. */
type AskedCertificate = Pick<
  EnrollmentRequest,
  'subject' | 'subjectAltName' | 'deviceName' | 'publicKey' | 'proofOfPossession' | 'der'
>;

function requireService({ settings }: OpenEndpoint, service: AttestationService): void {
  if (settings.services.includes(service)) return;
  throw new PolicyError('protocol-not-open', `the front door of this endpoint does not serve ${service}`);
}

function deviceSubject(name: string): Name {
  return encodeName([[{ type: ATTRIBUTE_TYPE.commonName, value: { kind: 'utf8String', value: name } }]]);
}
