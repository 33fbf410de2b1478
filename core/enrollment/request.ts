import type { Extension } from '../x509/extensions.ts';
import type { GeneralName } from '../x509/general-name.ts';
import type { Name } from '../x509/name.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import type { Fact } from './facts.ts';

/**
 * How the carrier proved that the requester holds the private key. `registration-authority`: somebody else checked it (CMP
 * raVerified). `indirect`: not yet; the certificate is sent encrypted to the key (CMP encrCert).
 */
export type ProofOfPossession = 'signature' | 'registration-authority' | 'server-generated' | 'indirect';

/** What every carrier turns its message into; the hall knows nothing of the message itself. */
export interface EnrollmentRequest {
  /** The id of the HTTP request, for logs and audit. */
  readonly requestId: string;
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  /** `renew`: subject and names must equal those of the presented certificate. `enroll` decides by the facts. */
  readonly operation: 'enroll' | 'renew';
  /**
   * What makes two messages the same request: opaque, hashed by the hall with the principal. For `scep` without it, as polls
   * and repeats come without the challenge: there it must cover transactionID and public key.
   */
  readonly requestKey: Uint8Array;
  readonly subject: Name;
  readonly subjectAltName: readonly GeneralName[];
  /** Extensions asked for besides subjectAltName; the profile decides which are granted. */
  readonly requestedExtensions: readonly Extension[];
  readonly publicKey: SubjectPublicKeyInfo;
  readonly proofOfPossession: ProofOfPossession;
  /** The request as received (PKCS#10 or CertTemplate DER), kept for the operator and the timeline. */
  readonly der: Uint8Array;
  /** Exactly as received, where `der` is without its challenge password: for its fingerprint, and never kept. */
  readonly received?: Uint8Array;
  readonly facts: readonly Fact[];
  /** Attestation evidence as carried, for the gate; absent where none came. */
  readonly evidence?: Evidence;
  readonly sourceAddress: string;
}

/** What a carrier reads back from the request of an enrolment that was approved meanwhile. */
export type RestoredRequest = Pick<
  EnrollmentRequest,
  'subject' | 'subjectAltName' | 'requestedExtensions' | 'publicKey' | 'proofOfPossession'
>;

/** Attestation evidence: the type names its format (an OID or a media type), the bytes are the gate's to parse. */
export interface Evidence {
  readonly type: string;
  readonly bytes: Uint8Array;
}
