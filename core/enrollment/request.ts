import type { Unit } from '../store/store.ts';
import type { Extension } from '../x509/extensions.ts';
import type { GeneralName } from '../x509/general-name.ts';
import type { Name } from '../x509/name.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import type { Fact } from './facts.ts';

/**
 * How the carrier proved that the requester holds the private key. `registration-authority`: somebody else checked it (CMP
 * raVerified). `indirect`: not yet; the certificate is sent encrypted to the key (CMP encrCert). `attested`: the evidence is the
 * proof, of a key that signs no requests (a TPM's attestation key).
 */
export type ProofOfPossession = 'signature' | 'registration-authority' | 'server-generated' | 'indirect' | 'attested';

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
  /** The device, where neither subject nor names say it: as its evidence does, and nobody else. */
  readonly deviceName?: string;
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
  /** Evidence the gate appraised beforehand (an ACME authorization, a ticket of the front door), by the id it gave. */
  readonly evidenceId?: string;
  readonly sourceAddress: string;
  /**
   * What the carrier records in the very unit that records the certificate. Not called where the request is answered with a
   * certificate that another one, or an earlier process, had issued.
   */
  readonly onIssued?: (tx: Unit, certificateId: string) => Promise<void>;
}

/** What a carrier reads back from the request of an enrolment that was approved meanwhile. */
export type RestoredRequest = Pick<
  EnrollmentRequest,
  'subject' | 'subjectAltName' | 'requestedExtensions' | 'publicKey' | 'proofOfPossession'
>;

/** Attestation evidence as a carrier found it. */
export interface Evidence {
  /** One of EVIDENCE_TYPES; or whatever else the message named its format by, which the gate refuses. */
  readonly type: string;
  /** The gate's to parse. */
  readonly bytes: Uint8Array;
  /**
   * The exact octets the evidence must be fresh for, where the carrier knows them (the SHA-256 of ACME's key authorization, a
   * nonce it has taken itself). Without them the evidence must hold a nonce of `AttestationGate.challenge`, which is taken.
   */
  readonly nonce?: Uint8Array;
}
