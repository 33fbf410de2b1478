import type { Generated, Selectable } from 'kysely';

/** Tables of this folder. Times are epoch milliseconds; ids are UUIDv7 text; settings are JSON text. */
export interface AuthorityTables {
  tenants: TenantTable;
  authorities: AuthorityRow;
  authority_requests: AuthorityRequestRow;
  profiles: ProfileRow;
  certificates: CertificateRow;
  certificate_names: CertificateNameRow;
  service_identities: ServiceIdentityRow;
  data_keys: DataKeyRow;
  revocations: RevocationRow;
  authority_status: AuthorityStatusRow;
  crl_series: CrlSeriesRow;
  crls: CrlRow;
  crl_parts: CrlPartRow;
  crl_bases: CrlBaseRow;
  revocation_batches: RevocationBatchRow;
  revocation_sightings: RevocationSightingRow;
  rollovers: RolloverRow;
  rollover_members: RolloverMemberRow;
  rollover_sightings: RolloverSightingRow;
  rollover_fetches: RolloverFetchRow;
}

export interface TenantRow {
  id: string;
  name: string;
  created_at: number;
}

/** What an administrator may say of a tenant besides. */
interface TenantTable extends TenantRow {
  description: string | null;
  /** Label of the token that new authorities are made in; null: that of the installation. */
  token: string | null;
  revision: Generated<number>;
}

/** A tenant as it is stored. */
export type Tenant = Selectable<TenantTable>;

export interface AuthorityRow {
  id: string;
  tenant: string;
  name: string;
  /** `external`: a certificate above one of ours; its key is elsewhere, and its state is `retired`: it signs nothing here. */
  kind: 'root' | 'issuing' | 'external';
  /** The authority that signed this one; null for a root. */
  parent: string | null;
  /** RFC 7512 URI of the private key; empty where it is elsewhere. */
  key_uri: string;
  certificate: Uint8Array;
  /** Lower-case hex SHA-256 of the SubjectPublicKeyInfo: what tells a service key from a CA key. */
  spki_sha256: string;
  /**
   * `next`: made and announced, issues only what Muster itself will serve with. `retiring`: another issues in its place; it signs
   * CRLs and OCSP answers until its last certificate has ended.
   */
  state: 'next' | 'active' | 'retiring' | 'retired';
  crl_shards: number;
  created_at: number;
}

/** An authority to be: its key is made, its certificate is to come from an external authority. */
export interface AuthorityRequestRow {
  id: string;
  tenant: string;
  /** What the authority will be called. */
  name: string;
  key_uri: string;
  spki_sha256: string;
  /** PKCS #10, DER. */
  csr: Uint8Array;
  crl_shards: number;
  created_by: string;
  created_at: number;
}

/** What relying parties are told of an authority, where it is not the usual. */
export interface AuthorityStatusRow {
  tenant: string;
  authority: string;
  /** StatusLifetimes as JSON text; null: the defaults. */
  lifetimes: string | null;
  /** When the last certificate that it issued ends; known once it is retired. */
  ends_at: number | null;
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
  /** RFC 7512 URI of the private key, where it is in a token; null for keys that are elsewhere (TLS). */
  key_uri: string | null;
  /** Counts the identities of one purpose at one authority: whoever inserts a number first makes it. Null where nobody counts. */
  generation: number | null;
  created_at: number;
}

/** A key that seals the readable secrets of a tenant, wrapped by a key that cannot leave its token. */
export interface DataKeyRow {
  tenant: string;
  /** Counts the keys of a tenant; what is sealed says by which. */
  number: number;
  /** RFC 7512 URI of the wrapping key. */
  key_uri: string;
  /** How it is wrapped: RSAES-OAEP, with this hash. */
  padding: 'oaep-sha256' | 'oaep-sha1';
  wrapped: Uint8Array;
  /** Tells the right key from the random octets that a wrong token yields. */
  check_value: Uint8Array;
  created_at: number;
}

/** What the CRLs and the nodes' view are made from: one row a certificate that was ever revoked or held. */
export interface RevocationRow {
  tenant: string;
  authority: string;
  serial_number: string;
  certificate: string;
  /** The CRL its distribution point names. */
  shard: number;
  state: 'revoked' | 'held' | 'released';
  /** RFC 5280 CRLReason code. */
  reason: number;
  revoked_at: number;
  invalidity_date: number | null;
  not_after: number;
  /** When the database took the latest change, by its own clock: what deltas and the nodes' polls go by. */
  changed_at: number;
}

/** The last number of a series of CRLs: moved by compare-and-set. */
export interface CrlSeriesRow {
  authority: string;
  /** `complete` (full and delta share their numbers, RFC 5280 §5.2.3), or the number of a shard. */
  series: string;
  number: number;
}

/** The CRL in force of one scope. */
export interface CrlRow {
  tenant: string;
  authority: string;
  /** `full`, `delta`, or the number of a shard. */
  scope: string;
  number: number;
  /** BaseCRLNumber of a delta. */
  base_number: number | null;
  this_update: number;
  next_update: number;
  /** When the newest one was published, by the database's clock. */
  published_at: number;
  /** thisUpdate of the last one that the schedule asked for: RFC 5280 §5.2.4 keeps expired entries until such a one. */
  regular_at: number;
  entries: number;
  size: number;
  /** Lower-case hex SHA-256 of the DER. */
  sha256: string;
}

/** A slice of a CRL's DER: a large one never stands in memory whole. */
export interface CrlPartRow {
  authority: string;
  scope: string;
  number: number;
  /** Of the whole CRL: two nodes may build the same number, and one of them is published. */
  sha256: string;
  position: number;
  bytes: Uint8Array;
}

/** A complete CRL that is still valid: deltas list the changes since the oldest. */
export interface CrlBaseRow {
  authority: string;
  number: number;
  /** Changes up to here, by the database's clock, are certainly on it. */
  covers: number;
  next_update: number;
}

/** Many certificates revoked by one wish. */
export interface RevocationBatchRow {
  tenant: string;
  id: string;
  /** Which certificates: JSON. */
  query: string;
  /** Name of the CRLReason. */
  reason: string;
  invalidity_date: number | null;
  actor: string;
  /** Certificates that matched when it was asked for. */
  expected: number;
  done: number;
  /** Id of the last certificate looked at. */
  position: string | null;
  created_at: number;
  finished_at: number | null;
}

/** When a node learned of a change, for a while. */
export interface RevocationSightingRow {
  tenant: string;
  certificate: string;
  changed_at: number;
  node: string;
  /** By the database's clock. */
  seen_at: number;
}

/** Authorities that others take over from, all at one moment. */
export interface RolloverRow {
  tenant: string;
  id: string;
  state: 'announced' | 'switched' | 'retired';
  /** When the successors take over; null while no date is set. */
  switch_at: number | null;
  created_by: string;
  created_at: number;
  switched_at: number | null;
  retired_at: number | null;
}

/** One authority of a rollover and the one that takes over from it. */
export interface RolloverMemberRow {
  tenant: string;
  rollover: string;
  predecessor: string;
  successor: string;
  /** Of a root: its key certified by the successor, DER (RFC 9810 §4.4). */
  old_with_new: Uint8Array | null;
  /** Of a root: the successor's key certified by it, DER. */
  new_with_old: Uint8Array | null;
}

/** What proves that a device knows the successors: the first time of each kind of evidence. */
export interface RolloverSightingRow {
  tenant: string;
  rollover: string;
  device: string;
  evidence: 'mtls-fetch' | 'signed-fetch' | 'presented' | 'accepted';
  protocol: string;
  seen_at: number;
}

/** How often the successors' certificates were fetched by nobody in particular. */
export interface RolloverFetchRow {
  tenant: string;
  rollover: string;
  protocol: string;
  fetches: number;
  last_at: number;
}
