import { InternalError } from '../errors/muster-error.ts';
import { canonicalJson, canonicalString } from './canonical-json.ts';
import type { JsonObject } from './canonical-json.ts';

/** How the recorded action ended: done, refused by a rule, or failed for a technical reason. */
export const AuditOutcome = { Success: 'success', Refused: 'refused', Failed: 'failed' } as const;
export type AuditOutcome = (typeof AuditOutcome)[keyof typeof AuditOutcome];

/**
 * The tree an entry belongs to: a tenant's id, or null for the tree of the installation.
 */
export type AuditTree = string | null;

/** What happened: who did what to which object, when, and how it ended. */
export interface AuditEntry {
  readonly tenant: AuditTree;
  /** Epoch milliseconds. */
  readonly at: number;
  /** Who acted, as `kind:id`: `user:alice`, `device:0190…`, `system:sequencer`. */
  readonly actor: string;
  /** What was done, as `noun.verb`: `certificate.issued`, `policy.changed`. */
  readonly action: string;
  /** What it was done to, as `kind:id`: `certificate:4a1f…`. */
  readonly object: string;
  readonly outcome: AuditOutcome;
  /** What else an auditor needs. Never a secret: keys and passwords appear by reference only. */
  readonly details: JsonObject;
}

/** The format of the stored bytes, written into each entry. */
const ENTRY_VERSION = 1;

/** Octets of the largest entry; whoever records must bound what it takes from a peer. */
export const MAX_ENTRY_BYTES = 32 * 1024;

/**
 * The bytes that are stored and hashed: canonical JSON (RFC 8785) in UTF-8 with the members action, actor, at,
 * details, object, outcome, tenant and v (the format, 1). Throws InternalError when the entry holds something that is
 * no JSON value or is longer than MAX_ENTRY_BYTES.
 */
export function encodeEntry(entry: AuditEntry): Uint8Array {
  // The members stand in canonical order here, which saves sorting them on the hot path.
  const { action, actor, at, details, object, outcome, tenant } = entry;
  const text =
    `{"action":${canonicalString(action)},"actor":${canonicalString(actor)},"at":${canonicalJson(at)}` +
    `,"details":${canonicalJson(details)},"object":${canonicalString(object)},"outcome":${canonicalString(outcome)}` +
    `,"tenant":${canonicalJson(tenant)},"v":${ENTRY_VERSION}}`;
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_ENTRY_BYTES) {
    throw new InternalError(`expected an audit entry of at most ${MAX_ENTRY_BYTES} octets, found ${bytes.length}`);
  }
  return bytes;
}

/**
 * Reads stored bytes back. Returns undefined when they are not what `encodeEntry` writes: somebody changed the row.
 */
export function decodeEntry(bytes: Uint8Array): AuditEntry | undefined {
  try {
    const { v, ...entry } = JSON.parse(utf8Strict.decode(bytes)) as AuditEntry & { v: unknown };
    // Only what encodes to the same bytes was written by us.
    return v === ENTRY_VERSION && Buffer.compare(encodeEntry(entry), bytes) === 0 ? entry : undefined;
  } catch {
    return undefined;
  }
}

const utf8Strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
