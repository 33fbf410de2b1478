import type { ReasonCode } from '../errors/reasons.ts';
import type { Protocol } from './endpoint.ts';

/** Tables of this folder. Times are epoch milliseconds; ids are UUIDv7 text; hashes are lower-case hex. */
export interface EnrollmentTables {
  endpoints: EndpointRow;
  enrollments: EnrollmentRow;
  shared_secrets: SharedSecretRow;
  trust_anchors: TrustAnchorRow;
}

export interface EndpointRow {
  id: string;
  tenant: string;
  label: string;
  profile: string;
  authority: string;
  settings: string;
  revision: number;
  is_default: number;
  created_at: number;
}

/** `received` lives only in memory: nothing is acknowledged before a row stands. */
export type EnrollmentStatus = 'pending' | 'approved' | 'signing' | 'issued' | 'rejected' | 'expired';

export interface EnrollmentRow {
  id: string;
  tenant: string;
  endpoint: string;
  endpoint_revision: number;
  protocol: Protocol;
  status: EnrollmentStatus;
  /** SHA-256 over carrier, principal and request; null once it may be asked anew. Unique per endpoint. */
  idempotency_key: string | null;
  principal: string;
  device_name: string;
  subject: string;
  names: string;
  spki_sha256: string;
  /** 1 when the key pair was made here: such an enrolment is never replayed. */
  server_generated: number;
  /** The request as received, DER. */
  request: Uint8Array;
  secret: string | null;
  authority: string;
  profile: string;
  serial_number: string | null;
  /** The linted TBSCertificate from unit 1 until unit 2: what is signed again after a crash. */
  tbs: Uint8Array | null;
  /** The node that signs, and until when others leave it alone. */
  lease_owner: string | null;
  lease_until: number | null;
  certificate: string | null;
  replaces: string | null;
  /** The evidence it rests on; null where none counted. */
  evidence: string | null;
  reason: ReasonCode | null;
  detail: string | null;
  decided_by: string | null;
  source_address: string;
  created_at: number;
  updated_at: number;
  expires_at: number | null;
}

export interface SharedSecretRow {
  id: string;
  tenant: string;
  /** The endpoint it opens. */
  endpoint: string;
  /**
   * `one-time`: its first request. `device`: all of one device. `static`: the devices in `allowed`. `derived`: a key that
   * challenges are computed from. `decider`: a key that questions to the external decider are signed with. `eab-once`,
   * `eab-many`: a key that one ACME account, or any number, is bound to.
   */
  usage: 'one-time' | 'device' | 'static' | 'derived' | 'decider' | 'eab-once' | 'eab-many';
  /**
   * HMAC-SHA-256 of the secret; unique, so that a secret is found without knowing whose it is. Of one that is not looked up by
   * its text (sealed, or chosen by a person) a text that is no hash.
   */
  secret_hmac: string;
  /** The name by which a sender refers to a MAC secret or an EAB key; null for every other kind. Unique per endpoint. */
  reference: string | null;
  /** The secret itself, sealed, where it must be read again: MAC secrets and keys. */
  sealed: Uint8Array | null;
  /** scrypt of a secret that a person chose. */
  scrypt: string | null;
  /** JSON list of the device names and patterns that a `static` secret enrols, or an EAB key vouches for. */
  allowed: string | null;
  /** The user name a device password belongs to; null admits any. */
  username: string | null;
  /** The only device name it may enrol; null admits any. */
  subject: string | null;
  /** Of a ticket of the attestation front door: the evidence it was given for, and the SHA-256 (hex) of the only key it admits. */
  evidence: string | null;
  spki_sha256: string | null;
  state: 'free' | 'bound' | 'spent' | 'revoked';
  bound_key: string | null;
  expires_at: number;
  created_by: string;
  created_at: number;
}

export interface TrustAnchorRow {
  id: string;
  tenant: string;
  /** `client`, `ra`: who may ask. The others are the attestation gate's. */
  purpose: string;
  name: string;
  /** DER; of an anchor that is a bare key, its SubjectPublicKeyInfo. */
  certificate: Uint8Array;
  /** What the gate was told of it, JSON. */
  settings: string | null;
  created_at: number;
}
