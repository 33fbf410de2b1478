import type { TrustAnchorRow } from '../../core/enrollment/tables.ts';

/** Tables of this folder. Times are epoch milliseconds; hashes lower-case hex; members named so are JSON text. */
export interface AttestationTables {
  evidence: EvidenceRow;
  /** Of core/enrollment: those for who may ask, and those of the gate. */
  trust_anchors: TrustAnchorRow;
  reference_values: ReferenceValuesRow;
  revoked_device_certificates: RevokedDeviceCertificateRow;
  attestation_revisions: AttestationRevisionRow;
}

/** A verdict, and what became of the request it was about. */
export interface EvidenceRow {
  id: string;
  tenant: string;
  endpoint: string;
  type: string;
  verdict: 'affirmed' | 'refused';
  /** JSON list of codes. */
  findings: string;
  /** What exactly was expected and found where it was refused; for operators. */
  detail: string | null;
  /** JSON. */
  identifiers: string;
  claims: string;
  identity: string | null;
  sha256: string;
  /** Size of the evidence. */
  octets: number;
  /** SubjectPublicKeyInfo, DER. */
  attested_key: Uint8Array | null;
  attested_key_sha256: string | null;
  requester_proved: number;
  /** The evidence itself, and until when it is kept. */
  evidence: Uint8Array | null;
  keep_until: number | null;
  /** Null while evidence that was appraised beforehand waits for its request. */
  decision: 'admitted' | 'observed' | 'refused' | null;
  mode: 'off' | 'observe' | 'enforce';
  /** JSON list: what spoke against the request. */
  faults: string;
  enrollment: string | null;
  device_name: string | null;
  /** What beside evidence the requester showed that nobody else has. */
  continuity: string | null;
  /** Until when evidence that was appraised beforehand may be used, and when it was. */
  expires_at: number | null;
  used_at: number | null;
  created_at: number;
  decided_at: number | null;
}

export interface ReferenceValuesRow {
  id: string;
  tenant: string;
  model: string;
  firmware: string;
  /** JSON. */
  pcrs: string;
  claims: string;
  created_at: number;
}

/** A device certificate that its manufacturer revoked. */
export interface RevokedDeviceCertificateRow {
  tenant: string;
  /** Key identifier of the issuer, lower-case hex. */
  issuer_key_id: string;
  serial_number: string;
  /** Names the import it came with. */
  source: string;
  created_at: number;
}

/** Counts what nodes keep in memory of a tenant's anchors and reference values. */
export interface AttestationRevisionRow {
  tenant: string;
  revision: number;
}
