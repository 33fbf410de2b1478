import type { Endpoint, EndpointDirectory } from '../../core/enrollment/endpoint.ts';
import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Clock } from '../../core/store/clock.ts';
import type { AnswerStatus } from './attributes.ts';
import { caCertificatesBody, type CertificatesBody, nextCaCertificatesBody } from './ca-certificates.ts';
import { capabilityLines } from './capabilities.ts';
import { type AnswerDigest, answerDigest, encodeCertRep, encodeEnvelope } from './cert-rep.ts';
import { failureOfError } from './errors.ts';
import type { Call, Exchange, Failed, Granted, OpenEndpoint, Reply } from './exchange.ts';
import { FaultBudget } from './fault-budget.ts';
import { acceptsLegacy, legacyUse } from './legacy.ts';
import { answerMessage, type OperationDependencies } from './pki-operation.ts';
import { decodeMessage, type ReceivedMessage, type VerifiedMessage, verifyMessage } from './pki-message.ts';
import { answeringIdentity, type Identities, registrationAuthority } from './registration-authority.ts';

/** What the service stands on. */
export interface ScepDependencies extends OperationDependencies {
  readonly clock: Clock;
  readonly endpoints: EndpointDirectory;
  readonly identities: Identities;
  /** Told when the certificates of a successor went out, which says nothing of who has them. */
  readonly nextCaCertificatesFetched?: (endpoint: Endpoint) => void;
  readonly authorities: OperationDependencies['authorities'] & {
    /** The certificates of the authority that takes over from this one, its own first, DER; none before one is there. */
    successorCertificates(tenant: string, authorityId: string): Promise<readonly Uint8Array[]>;
  };
}

/** The rules of SCEP (RFC 8894), without HTTP. */
export class ScepService {
  readonly #dependencies: ScepDependencies;
  readonly #budget = new FaultBudget();

  constructor(dependencies: ScepDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * The endpoint of a label, the default one without.
   * @throws PeerError `unknown-endpoint`, PolicyError `protocol-not-open`
   */
  async open(label: string | undefined): Promise<OpenEndpoint> {
    const endpoint = await this.#dependencies.endpoints.resolve(label);
    if (endpoint === undefined) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
    const settings = endpoint.protocols.scep;
    if (settings === undefined) throw new PolicyError('protocol-not-open', 'this endpoint is not open for SCEP');
    return { endpoint, settings };
  }

  /** GetCACaps (RFC 8894 §3.5). */
  async capabilities(open: OpenEndpoint): Promise<string> {
    return capabilityLines(open.settings, (await this.#successor(open)).length > 0);
  }

  /** GetCACert (§4.2). */
  async caCertificates({ endpoint, settings }: OpenEndpoint): Promise<CertificatesBody> {
    const { identities, authorities } = this.#dependencies;
    const { certificates } = await registrationAuthority(identities, endpoint, settings);
    const chain = await authorities.caCertificates(endpoint.tenant, endpoint.authority);
    return caCertificatesBody(certificates, chain, settings);
  }

  /**
   * GetNextCACert (§4.7).
   * @throws PeerError `not-found` while there is no successor
   */
  async nextCaCertificates(open: OpenEndpoint): Promise<CertificatesBody> {
    const successor = await this.#successor(open);
    if (successor.length === 0) throw new PeerError('not-found', 'no authority takes over from this one yet');
    const { signer } = await registrationAuthority(this.#dependencies.identities, open.endpoint, open.settings);
    this.#dependencies.nextCaCertificatesFetched?.(open.endpoint);
    return nextCaCertificatesBody(successor, signer, open.endpoint.tenant);
  }

  /**
   * PKIOperation (§4.3): the answer to a message.
   * @throws MusterError where there is no transaction to answer in, or where the same message may be sent again
   */
  async answer(open: OpenEndpoint, bytes: Uint8Array, call: Call): Promise<Answered> {
    const { clock, identities, observer } = this.#dependencies;
    const { endpoint, settings } = open;
    const source = `${endpoint.id} ${call.sourceAddress}`;
    this.#budget.requireLeft(source, settings.badMessagesPerMinute, clock.now());
    const received = decodeMessage(bytes);
    const ra = await registrationAuthority(identities, endpoint, settings);
    const legacy = acceptsLegacy(settings, clock.now());
    if (received.digest === 'md5') observer.legacyUsed(legacyUse('md5', legacy, open, call));
    const { reply, message } = await this.#reply({ ...open, call, ra, legacy }, received);
    if (reply.kind === 'failed' && (reply.isUnreadable || reply.failInfo === 'badMessageCheck')) {
      this.#budget.spend(source, clock.now());
    }
    const certRep = await encodeCertRep({
      request: received.claimed,
      status: statusOf(reply),
      envelope: reply.kind === 'granted' && message !== undefined ? await envelopeOf(reply, message) : undefined,
      digest: digestOf(received, legacy),
      signer: answeringIdentity(ra, reply.recipient),
      tenant: endpoint.tenant,
    });
    return { certRep, failure: reply.kind === 'failed' ? reply : undefined };
  }

  async #reply(exchange: Omit<Exchange, 'message'>, received: ReceivedMessage): Promise<Replied> {
    try {
      const verdict = verifyMessage(received, exchange.legacy);
      if (!verdict.ok)
        return { reply: { kind: 'failed', failInfo: verdict.failInfo, text: REFUSED, detail: verdict.detail } };
      const { message } = verdict;
      requireTime(message.attributes.signingTime, exchange.settings, this.#dependencies.clock.now());
      return { message, reply: await answerMessage(this.#dependencies, { ...exchange, message }) };
    } catch (error) {
      const { failInfo, text } = failureOfError(error);
      if (failInfo === undefined) throw error;
      return { reply: { kind: 'failed', failInfo, text } };
    }
  }

  #successor({ endpoint }: OpenEndpoint): Promise<readonly Uint8Array[]> {
    return this.#dependencies.authorities.successorCertificates(endpoint.tenant, endpoint.authority);
  }
}

/** An answer with, for the log, what was wrong. */
export interface Answered {
  /** DER. */
  readonly certRep: Uint8Array;
  readonly failure: Failed | undefined;
}

interface Replied {
  readonly reply: Reply;
  /** Undefined where it did not verify. */
  readonly message?: VerifiedMessage;
}

const REFUSED = 'the signature of the message does not verify, or is not of a kind that is accepted here';

function statusOf(reply: Reply): AnswerStatus {
  switch (reply.kind) {
    case 'granted':
      return { kind: 'success' };
    case 'pending':
      return { kind: 'pending' };
    case 'failed':
      return { kind: 'failure', failInfo: reply.failInfo, text: reply.text };
  }
}

function envelopeOf({ certsOnly, encryption, challenge }: Granted, message: VerifiedMessage): Promise<Uint8Array> {
  const { signerCertificate: certificate, signerPublicKey } = message;
  return encodeEnvelope(certsOnly, encryption, { certificate, algorithm: signerPublicKey.algorithm, challenge });
}

/** The digest of the answer (S26). Who asked with one that is not accepted is told so in one that old devices know. */
function digestOf({ digest }: ReceivedMessage, legacy: boolean): AnswerDigest {
  if (digest === undefined) return 'sha256';
  return digest === 'md5' && !legacy ? 'sha1' : answerDigest(digest);
}

// RFC 8894 §3.2.1.4: "The signingTime attribute from the CMS authenticatedAttributes was not sufficiently close to the
// system time."
function requireTime(
  at: Date | undefined,
  { signingTimeToleranceSeconds: tolerance }: ScepSettings,
  now: number,
): void {
  if (at === undefined || tolerance === 0 || Math.abs(at.getTime() - now) <= tolerance * 1000) return;
  throw new PeerError(
    'bad-time',
    `expected a signingTime within ${tolerance} seconds of ours, found ${at.toISOString()}`,
  );
}
