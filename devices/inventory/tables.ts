/** Tables of this folder. Times are epoch milliseconds; hashes lower-case hex. */
export interface InventoryTables {
  devices: DeviceRow;
  expected_devices: ExpectedDeviceRow;
  manifests: ManifestRow;
  manifest_faults: ManifestFaultRow;
  identities: IdentityRow;
  device_alarms: AlarmRow;
}

export interface DeviceRow {
  id: string;
  tenant: string;
  /** How its requests name it: serialNumber, else CN, else first subjectAltName. Unique in the tenant. */
  name: string;
  state: 'expected' | 'enrolled' | 'blocked';
  /** The certificate it got last, and when that ends. */
  certificate: string | null;
  certificate_not_after: number | null;
  created_at: number;
  updated_at: number;
}

/** How far an expected device came; `released`: to another owner, until somebody has it expected again. */
export const EXPECTED_STATES = ['expected', 'attested', 'enrolled', 'blocked', 'released'] as const;
export type ExpectedState = (typeof EXPECTED_STATES)[number];

/** A device that the manifest announces. What it does not say is null. */
export interface ExpectedDeviceRow {
  id: string;
  tenant: string;
  /** Unique in the tenant, as are the hashes. */
  serial_number: string | null;
  /** SHA-256 of the SubjectPublicKeyInfo of the TPM's endorsement key. */
  ek_sha256: string | null;
  /** SHA-256 of the SubjectPublicKeyInfo of the IDevID, or of the Matter DAC. */
  idevid_sha256: string | null;
  /** Matter: four upper-case hex digits. */
  vendor_id: string | null;
  product_id: string | null;
  model: string | null;
  /** How its requests name it, where that is not its serial number. */
  name: string | null;
  state: ExpectedState;
  /** The enrolment that its evidence admitted last. */
  enrollment: string | null;
  /** Its row in `devices`, once it has a certificate. */
  device: string | null;
  /** The manifest it came with; null for one that was added by hand. */
  manifest: string | null;
  created_at: number;
  updated_at: number;
}

/** A manifest that comes in parts. */
export interface ManifestRow {
  id: string;
  tenant: string;
  name: string;
  format: 'csv' | 'ndjson';
  /** JSON list of what the columns of a CSV are, from its first line; null before it came. */
  columns: string | null;
  state: 'open' | 'finished';
  /** Lines that are dealt with: what comes next goes on after them. */
  lines: number;
  added: number;
  unchanged: number;
  refused: number;
  created_by: string;
  created_at: number;
  updated_at: number;
}

/** A line of a manifest that was not taken. */
export interface ManifestFaultRow {
  tenant: string;
  manifest: string;
  /** From 1. */
  line: number;
  fault: string;
}

/** An identity that evidence has proved. */
export interface IdentityRow {
  tenant: string;
  /** `kind:value`. */
  identity: string;
  /** Enrolments before this do not count against its use: it was repaired, or changed hands. */
  fresh_from: number;
  touched_at: number;
}

/** Something that an operator must look at, once for all the times it happened. */
export interface AlarmRow {
  id: string;
  tenant: string;
  /** `identity-cloned`. */
  kind: string;
  /** What it is about, `kind:value`. Unique with `kind`. */
  object: string;
  state: 'open' | 'acknowledged';
  /** How often it happened. */
  occurrences: number;
  /** JSON of the last time. */
  details: string;
  acknowledged_by: string | null;
  first_at: number;
  last_at: number;
}
