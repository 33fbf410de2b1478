/** Tables of this folder. Times are epoch milliseconds; ids are UUIDv7 text; settings are JSON text. */
export interface AuthorityTables {
  tenants: TenantRow;
  authorities: AuthorityRow;
  profiles: ProfileRow;
  certificates: CertificateRow;
  certificate_names: CertificateNameRow;
  service_identities: ServiceIdentityRow;
}

export interface TenantRow {
  id: string;
  name: string;
  created_at: number;
}

export interface AuthorityRow {
  id: string;
  tenant: string;
  name: string;
  kind: 'root' | 'issuing';
  /** The authority that signed this one; null for a root. */
  parent: string | null;
  /** RFC 7512 URI of the private key. */
  key_uri: string;
  certificate: Uint8Array;
  /** Lower-case hex SHA-256 of the SubjectPublicKeyInfo: what tells a service key from a CA key. */
  spki_sha256: string;
  state: 'active' | 'retiring' | 'retired';
  crl_shards: number;
  created_at: number;
}

export interface ProfileRow {
  id: string;
  tenant: string;
  name: string;
  settings: string;
  revision: number;
  created_at: number;
}

export interface CertificateRow {
  id: string;
  tenant: string;
  kind: 'x509';
  authority: string | null;
  /** Lower-case hex of the magnitude, no sign octet. */
  serial_number: string;
  device: string | null;
  profile: string | null;
  enrollment: string | null;
  subject: string;
  der: Uint8Array;
  /** Lower-case hex SHA-256 of the certificate. */
  fingerprint: string;
  spki_sha256: string;
  key_algorithm: string;
  not_before: number;
  not_after: number;
  status: 'active' | 'revoked';
  revoked_at: number | null;
  /** RFC 5280 CRLReason code. */
  revocation_reason: number | null;
  replaced_by: string | null;
  source: 'issued' | 'imported' | 'discovered';
  created_at: number;
}

export interface CertificateNameRow {
  tenant: string;
  certificate: string;
  /** `cn`, or the kind of the GeneralName. */
  kind: string;
  /** Normalised for search: lower case, as text, at most 255 characters. */
  value: string;
}

/** A certificate Muster holds for itself; the newest row of a purpose counts. */
export interface ServiceIdentityRow {
  id: string;
  tenant: string;
  /** `tls`, `audit`, …: what it is for, with the name of what it serves. */
  purpose: string;
  authority: string;
  serial_number: string;
  /** The linted TBSCertificate: durable before the token signs it. */
  tbs: Uint8Array;
  certificate: string | null;
  created_at: number;
}
