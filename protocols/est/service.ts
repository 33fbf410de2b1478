import { createHash } from 'node:crypto';

import { carriedEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { Endpoint, EndpointDirectory, EstSettings } from '../../core/enrollment/endpoint.ts';
import type { Fact } from '../../core/enrollment/facts.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import { type AttestationGate, NONCE_LIFETIME_SECONDS } from '../../core/enrollment/ports.ts';
import type { EnrollmentRequest, Evidence, ProofOfPossession } from '../../core/enrollment/request.ts';
import { InternalError, PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import { type DeviceKey, DeviceKeyMaker } from '../../core/keys/device-key.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { verifyCertificationRequestAsync, requestToKeep } from '../../core/x509/certification-request.ts';
import { publicKeysEqual, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { encodeNonceResponse } from './freshness.ts';
import { type EstCredentials, authenticate, type PresentedCredentials } from './authentication.ts';
import { checkChannelBinding } from './channel-binding.ts';
import { encodeCsrAttributes, type RequestTemplate } from './csr-attributes.ts';
import { keyLike } from './key-choice.ts';
import { type KeyPackageSigner, protectKey, recipientOf } from './key-package.ts';
import { readKeyProtection } from './key-protection.ts';
import type { DeliveredKey, EnrollmentMessage } from './messages.ts';
import type { EnrollmentOperation } from './operation.ts';

/** What the service stands on. */
export interface EstDependencies {
  readonly endpoints: EndpointDirectory;
  readonly credentials: EstCredentials;
  readonly hall: { enroll(request: EnrollmentRequest): Promise<Outcome> };
  /** The certificates of an authority: issuing to root, and those of a rollover. */
  readonly authorities: { caCertificates(tenant: string, authorityId: string): Promise<readonly Uint8Array[]> };
  /** What csrattrs says besides the key; without it, nothing. */
  readonly templates?: { templateFor(endpoint: Endpoint): Promise<RequestTemplate> };
  /** Gives nonces for evidence; without it there are none. */
  readonly gate?: Pick<AttestationGate, 'challenge'>;
  readonly observer?: EstObserver;
  /** Signs the keys made here, where a device asks for one encrypted; without it such a request is refused. */
  readonly keyPackageSigner?: (endpoint: Endpoint) => Promise<KeyPackageSigner>;
}

/** Told of what is given to anybody. */
export interface EstObserver {
  /** The certificates of an endpoint's authority went out; `presented` is what TLS was shown, leaf first, not validated. */
  caCertificatesFetched(endpoint: Endpoint, presented: readonly Uint8Array[]): void;
}

/** An endpoint that is open for EST, with EST's settings. */
export interface OpenEndpoint {
  readonly endpoint: Endpoint;
  readonly settings: EstSettings;
}

/** A request to enrol as it came over one connection. */
export interface EnrollmentCall extends PresentedCredentials {
  readonly requestId: string;
  readonly operation: EnrollmentOperation;
  readonly message: () => EnrollmentMessage;
  /** The channel binding of the connection. */
  readonly channelBinding: () => Uint8Array;
  /** The nonce for evidence that the connection itself gives. */
  readonly evidenceNonce: () => Uint8Array;
}

/** What came of it: the hall's outcome, and the key if one was made. The key is the caller's to erase. */
export type EnrollmentAnswer =
  | Exclude<Outcome, { readonly kind: 'issued' }>
  | { readonly kind: 'issued'; readonly certificate: Uint8Array; readonly key: DeliveredKey | undefined };

const NO_TEMPLATE: RequestTemplate = { subjectAttributes: [], extensions: [] };

/** The rules of EST (RFC 7030 §4), without HTTP and TLS. */
export class EstService {
  readonly #dependencies: EstDependencies;
  readonly #keys = new DeviceKeyMaker();

  constructor(dependencies: EstDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * The endpoint of a label, the default one without.
   * @throws PeerError `unknown-endpoint`, PolicyError `protocol-not-open`
   */
  async open(label: string | undefined): Promise<OpenEndpoint> {
    const endpoint = await this.#dependencies.endpoints.resolve(label);
    if (endpoint === undefined) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
    const settings = endpoint.protocols.est;
    if (settings === undefined) throw new PolicyError('protocol-not-open', 'this endpoint is not open for EST');
    return { endpoint, settings };
  }

  /** RFC 7030 §4.1: the certificates a device needs to verify what this endpoint's authority issues. */
  async caCertificates(
    { endpoint }: OpenEndpoint,
    { certificateChain }: Pick<PresentedCredentials, 'certificateChain'>,
  ): Promise<readonly Uint8Array[]> {
    const { authorities, observer } = this.#dependencies;
    const certificates = await authorities.caCertificates(endpoint.tenant, endpoint.authority);
    observer?.caCertificatesFetched(endpoint, certificateChain);
    return certificates;
  }

  /** RFC 7030 §4.5: CsrAttrs in DER; undefined where the endpoint asks for nothing. */
  async csrAttributes({ endpoint, settings }: OpenEndpoint): Promise<Uint8Array | undefined> {
    if (settings.csrAttributes === 'none') return undefined;
    const template = (await this.#dependencies.templates?.templateFor(endpoint)) ?? NO_TEMPLATE;
    const asksForEvidence = endpoint.attestation.mode !== 'off';
    return encodeCsrAttributes({ ...settings, asksForEvidence }, endpoint.keyRules, template);
  }

  /**
   * draft-ietf-lamps-attestation-freshness §7: a nonce for evidence in a later request, in JSON; an empty one where the endpoint
   * asks for none, because it looks at no evidence or takes the connection's own nonce.
   *
   * @param octets how many the device wants
   * @throws UpstreamError where a nonce cannot be kept
   */
  async nonce({ endpoint, settings }: OpenEndpoint, octets: number | undefined): Promise<Uint8Array> {
    const { gate } = this.#dependencies;
    const isAsked = endpoint.attestation.mode !== 'off' && settings.freshness !== 'exporter';
    const nonce = isAsked && gate ? await gate.challenge(endpoint, octets) : new Uint8Array();
    return encodeNonceResponse(nonce, NONCE_LIFETIME_SECONDS);
  }

  /**
   * RFC 7030 §4.2 and §4.4. Credentials come before the body: who shows none costs no decoding.
   * @throws MusterError for all that the hall did not decide
   */
  async enroll(open: OpenEndpoint, call: EnrollmentCall): Promise<EnrollmentAnswer> {
    if (call.operation === 'serverkeygen' && !open.settings.serverKeyGeneration) {
      throw new PeerError('unsupported-operation', 'this endpoint makes no keys');
    }
    const facts = await authenticate(this.#dependencies.credentials, open.endpoint, call.operation, call);
    const message = call.message();
    checkChannelBinding(message.request.challengePassword, call.channelBinding, open.settings.channelBinding);
    if (call.operation === 'serverkeygen') return this.#enrollServerKey(open, call, message, facts);
    if (!(await verifyCertificationRequestAsync(message.request))) {
      throw new PeerError('bad-signature', 'the signature of the request does not verify with the public key in it');
    }
    const proof = { publicKey: message.request.publicKey, proofOfPossession: 'signature' } as const;
    const outcome = await this.#dependencies.hall.enroll(enrollmentRequest(open, call, message, facts, proof));
    return outcome.kind === 'issued' ? { kind: 'issued', certificate: outcome.certificate, key: undefined } : outcome;
  }

  // RFC 7030 §4.4.1: the server MUST ignore the public key values and the signature of the request.
  async #enrollServerKey(
    open: OpenEndpoint,
    call: EnrollmentCall,
    message: EnrollmentMessage,
    facts: readonly Fact[],
  ): Promise<EnrollmentAnswer> {
    const { keyPackageSigner, hall } = this.#dependencies;
    // Before a key is made and a certificate issued: a device must not be left with one it cannot open.
    const protection = readKeyProtection(message.request.attributes);
    const signer = protection.kind === 'asymmetric' ? await keyPackageSigner?.(open.endpoint) : undefined;
    const recipient = recipientOf(protection, facts, signer);
    using key = await this.#keys.make(keyLike(open.endpoint.keyRules, message.request.publicKey.algorithm));
    const proof = { publicKey: key.publicKey, proofOfPossession: 'server-generated' } as const;
    const outcome = await hall.enroll(enrollmentRequest(open, call, message, facts, proof));
    if (outcome.kind !== 'issued') return outcome;
    requireKeyOf(outcome.certificate, key);
    const delivered: DeliveredKey =
      recipient === undefined
        ? { kind: 'pkcs8', der: new Uint8Array(key.pkcs8) }
        : { kind: 'enveloped', der: await protectKey(key.pkcs8, recipient) };
    return { kind: 'issued', certificate: outcome.certificate, key: delivered };
  }
}

function enrollmentRequest(
  open: OpenEndpoint,
  call: EnrollmentCall,
  message: EnrollmentMessage,
  facts: readonly Fact[],
  proof: { readonly publicKey: SubjectPublicKeyInfo; readonly proofOfPossession: ProofOfPossession },
): EnrollmentRequest {
  const { operation, requestId, sourceAddress } = call;
  const { request, subjectAltName, otherExtensions } = message;
  const evidence = evidenceIn(open, call, message);
  return {
    requestId,
    endpoint: open.endpoint,
    protocol: 'est',
    operation: operation === 'simplereenroll' && !isFactoryIdentity(facts) ? 'renew' : 'enroll',
    // Endpoint and principal are the hall's to add.
    requestKey: createHash('sha256').update(`${operation}\0`).update(request.der).digest(),
    subject: request.subject,
    subjectAltName,
    requestedExtensions: otherExtensions,
    ...proof,
    // The hall keeps it for the operator: no password goes with it.
    der: requestToKeep(request),
    received: request.der,
    facts,
    ...(evidence && { evidence }),
    sourceAddress,
  };
}

/** strongSwan asks for simplereenroll whenever it has a certificate; one of the device's maker is not ours to renew. */
function isFactoryIdentity(facts: readonly Fact[]): boolean {
  return facts.some((fact) => fact.kind === 'tls-certificate' && fact.identity !== undefined);
}

/** Evidence for the gate, with the nonce of the connection where the endpoint wants that one. */
function evidenceIn(
  { endpoint, settings }: OpenEndpoint,
  { evidenceNonce }: EnrollmentCall,
  { request }: EnrollmentMessage,
): Evidence | undefined {
  const evidence = carriedEvidence(request);
  const isBound = settings.freshness === 'exporter' && endpoint.attestation.mode !== 'off';
  return evidence && isBound ? { ...evidence, nonce: evidenceNonce() } : evidence;
}

/** A certificate of an earlier request holds an earlier key, which nobody has any more: it must not go out with this one. */
function requireKeyOf(certificate: Uint8Array, key: DeviceKey): void {
  if (publicKeysEqual(parseCertificate(certificate).publicKey, key.publicKey)) return;
  throw new InternalError('the certificate issued for a key made here is for another key');
}
