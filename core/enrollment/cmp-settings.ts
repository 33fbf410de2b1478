import type { Authenticator } from './endpoint.ts';

/** The authenticators that mean something to CMP: its own MAC, and certificates; passwords have no place in it. */
export const CMP_AUTHENTICATORS = [
  'mac',
  'certificate',
  'anchored-certificate',
  'idevid',
  'ra',
] as const satisfies readonly Authenticator[];

/** The requests of CMP that an endpoint may be open for, by the names of PKIBody (RFC 9810 §5.1.2). */
export const CMP_OPERATIONS = ['ir', 'cr', 'kur', 'p10cr', 'rr', 'genm', 'nested'] as const;
export type CmpOperation = (typeof CMP_OPERATIONS)[number];

/** The ways to compute a MAC over a message (RFC 9481 §6): from a password by PBM or PBKDF2, or with the secret as the key. */
export const CMP_MACS = ['pbm', 'pbmac1', 'hmac', 'kmac', 'gmac'] as const;
export type CmpMac = (typeof CMP_MACS)[number];

/** What happens to a certificate whose confirmation never came. */
export type CmpUnconfirmed = 'keep' | 'revoke';

/** CMP's switches on one endpoint. */
export interface CmpSettings {
  readonly authenticators: readonly Authenticator[];
  /** What is not listed is refused. */
  readonly operations: readonly CmpOperation[];
  /**
   * `lightweight`: every rule of RFC 9483 about headers, and a reason in every revocation. `tolerant`: what OpenSSL and
   * base stations leave out may be absent (messageTime, a sender that names the reference, a revocation's reason, ids and
   * nonces of 16 octets).
   */
  readonly conformance: 'lightweight' | 'tolerant';
  readonly macs: readonly CmpMac[];
  /** Bounds of the iterations a sender may ask for, looked at before anything is derived (V30). */
  readonly iterations: { readonly min: number; readonly max: number };
  /** Seconds by which messageTime may be off, either way; 0 does not look, for devices without a clock. */
  readonly clockSkewSeconds: number;
  readonly confirmation: {
    /** Whether implicitConfirm is granted to who asks for it. */
    readonly implicit: boolean;
    /** Seconds a certificate waits for its certConf. */
    readonly waitSeconds: number;
    readonly unconfirmed: CmpUnconfirmed;
  };
  /** Seconds after which a request that is still worked on is answered with `waiting`, to be polled. */
  readonly answerWithinSeconds: number;
  /** Whether keys may be made here for who asks for it (RFC 9483 §4.1.6). */
  readonly centralKeyGeneration: boolean;
  /** Whether a certificate may be sent encrypted to its key, as proof of possession (RFC 9810 §5.2.8.3.2). */
  readonly indirectProof: boolean;
  /** Whether the root goes into caPubs of ip where a MAC protects it (RFC 9483 §4.1.1). */
  readonly caPubs: boolean;
  /** extraCerts of answers: chains up to the root, or with it (3GPP TS 33.310 §9.5.4.3 has base stations want it). */
  readonly extraCerts: 'chain' | 'with-root';
  /** A request that names no subject: as it is, or with that of the certificate it is signed with (3GPP TS 33.310 §9.5.4.2). */
  readonly missingSubject: 'as-requested' | 'from-signer';
  /** Requests signed by a certificate that was updated already: taken (a device lost the answer), or refused (RFC 9483 §4.1.3). */
  readonly updatedCertificates: 'accepted' | 'refused';
  /** Names of certProfile that mean this endpoint's profile, besides the profile's own name (RFC 9483 §3.1). */
  readonly certProfiles: readonly string[];
  /**
   * The information types (dotted OIDs) of nonces for evidence (draft-ietf-lamps-attestation-freshness): no number is allocated
   * yet, so an endpoint is told which ones its devices use; without them none is given by CMP.
   */
  readonly nonceTypes?: { readonly request: string; readonly response: string };
}

/** What opening an endpoint for CMP means when nothing more is said. */
export const OPEN_CMP: CmpSettings = {
  authenticators: ['mac', 'certificate', 'ra'],
  operations: CMP_OPERATIONS,
  conformance: 'tolerant',
  macs: CMP_MACS,
  // OpenSSL sends 500 and, since 3.5, 1,024; it takes no more than 100,000 itself.
  iterations: { min: 100, max: 100_000 },
  clockSkewSeconds: 0,
  confirmation: { implicit: true, waitSeconds: 3600, unconfirmed: 'keep' },
  answerWithinSeconds: 20,
  centralKeyGeneration: false,
  indirectProof: true,
  caPubs: true,
  extraCerts: 'chain',
  missingSubject: 'as-requested',
  updatedCertificates: 'accepted',
  certProfiles: [],
};
