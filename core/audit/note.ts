import { createPublicKey, hash, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { InternalError, PeerError } from '../errors/muster-error.ts';

/**
 * Signed notes (https://c2sp.org/signed-note): a text ending in a newline, a blank line, and signature lines of the
 * form `— <key name> base64(key ID || signature)`.
 */

/** Signs notes: the key lives elsewhere (an HSM), so only its public half is known here. */
export interface NoteSigner {
  /** The public key as DER SubjectPublicKeyInfo: Ed25519 or ECDSA on P-256. */
  readonly publicKey: Uint8Array;
  /** Signs the octets: Ed25519 (RFC 8032, 64 octets) or ECDSA with SHA-256 (DER Ecdsa-Sig-Value). */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** What came of opening a note: its text when a given key signed it, else why not. */
export type OpenedNote =
  | { readonly ok: true; readonly text: string; readonly keyName: string }
  | { readonly ok: false; readonly fault: 'malformed' | 'unknown-key' | 'forged'; readonly detail: string };

// signed-note "Signature types": the identifier octet of Ed25519 enters the key ID. ECDSA (0x02) has none: its key ID
// hashes the SubjectPublicKeyInfo alone.
const TYPE_ED25519 = 0x01;
const KEY_ID_BYTES = 4;
/** signed-note "Format": verifiers limit the number of signatures, and accept at least 16. */
const MAX_SIGNATURES = 32;
const MAX_NOTE_CHARACTERS = 64 * 1024;

const SIGNATURE_LINE = /^— ([^\s+\p{Z}]+) ([A-Za-z0-9+/]+={0,2})$/u;
const KEY_NAME = /^[^\s+\p{Z}\p{Cc}]+$/u;
// signed-note "Format": no ASCII control character except newline.
// oxlint-disable-next-line no-control-regex -- the specification names them
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

/**
 * Signs a text (which ends in a newline) under a key name. Throws InternalError for a text or a key name that cannot
 * stand in a note, and when the signature does not verify with the signer's public key; whatever the signer throws
 * passes through.
 */
export async function signNote(text: string, keyName: string, signer: NoteSigner): Promise<string> {
  if (!text.endsWith('\n') || CONTROL.test(text) || !text.isWellFormed()) {
    throw new InternalError('expected a note text without control characters that ends in a newline');
  }
  if (!KEY_NAME.test(keyName)) throw new InternalError('expected a key name without spaces and plus signs');
  const key = readKey(signer.publicKey);
  const data = new TextEncoder().encode(text);
  const signature = await signer.sign(data);
  if (!verifies(key, data, signature)) {
    throw new InternalError('expected a signature that verifies with the public key of the audit signer');
  }
  const line = Buffer.concat([keyId(keyName, key), signature]).toString('base64');
  return `${text}\n— ${keyName} ${line}\n`;
}

/**
 * Opens a note. The signature of the first of `publicKeys` (DER SubjectPublicKeyInfo) that signed under `keyName`
 * must verify; as signed-note demands, signatures of other keys are ignored, and one bad signature of a known key
 * spoils the note. Throws PeerError `bad-encoding` or `bad-algorithm` for a key that is no Ed25519 or P-256 key.
 */
export function openNote(note: string, keyName: string, publicKeys: readonly Uint8Array[]): OpenedNote {
  const parts = splitNote(note);
  if (parts === undefined)
    return { ok: false, fault: 'malformed', detail: 'expected text, a blank line and signature lines' };
  const data = new TextEncoder().encode(parts.text);
  let signed = false;
  for (const publicKey of publicKeys) {
    const key = readKey(publicKey);
    const id = keyId(keyName, key);
    for (const line of parts.signatures) {
      if (line.keyName !== keyName || !id.equals(line.bytes.subarray(0, KEY_ID_BYTES))) continue;
      if (!verifies(key, data, line.bytes.subarray(KEY_ID_BYTES))) {
        return { ok: false, fault: 'forged', detail: `the signature of ${keyName} does not verify` };
      }
      signed = true;
    }
  }
  if (signed) return { ok: true, text: parts.text, keyName };
  return { ok: false, fault: 'unknown-key', detail: `expected a signature of ${keyName} by a known key` };
}

interface SignatureLine {
  readonly keyName: string;
  readonly bytes: Buffer;
}

function splitNote(note: string): { text: string; signatures: SignatureLine[] } | undefined {
  if (note.length > MAX_NOTE_CHARACTERS || CONTROL.test(note) || !note.isWellFormed() || !note.endsWith('\n')) {
    return undefined;
  }
  // The text may hold empty lines itself: the last one separates it from the signatures.
  const blank = note.lastIndexOf('\n\n');
  if (blank < 0) return undefined;
  const lines = note.slice(blank + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return undefined;
  const signatures = lines.map(readSignatureLine);
  if (!signatures.every((line) => line !== undefined)) return undefined;
  return { text: note.slice(0, blank + 1), signatures };
}

function readSignatureLine(line: string): SignatureLine | undefined {
  const [, keyName, base64] = SIGNATURE_LINE.exec(line) ?? [];
  if (keyName === undefined || base64 === undefined) return undefined;
  const bytes = Buffer.from(base64, 'base64');
  // RFC 4648 §3.5: what does not encode back carries stray bits.
  if (bytes.toString('base64') !== base64 || bytes.length <= KEY_ID_BYTES) return undefined;
  return { keyName, bytes };
}

interface NoteKey {
  readonly algorithm: 'ed25519' | 'ecdsa';
  readonly spki: Uint8Array;
  readonly key: KeyObject;
}

function readKey(spki: Uint8Array): NoteKey {
  const key = parseKey(spki);
  const type = key.asymmetricKeyType;
  if (type === 'ed25519') return { algorithm: 'ed25519', spki, key };
  if (type === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return { algorithm: 'ecdsa', spki, key };
  throw new PeerError('bad-algorithm', `expected an Ed25519 or P-256 key for the audit log, found ${type}`);
}

function parseKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new PeerError('bad-encoding', 'expected a public key as DER SubjectPublicKeyInfo', { cause });
  }
}

function keyId(keyName: string, { algorithm, spki }: NoteKey): Buffer {
  // RFC 8410 §4: the last 32 octets of an Ed25519 SubjectPublicKeyInfo are the raw key.
  const hashed =
    algorithm === 'ecdsa'
      ? spki
      : Buffer.concat([Buffer.from(`${keyName}\n`), Buffer.of(TYPE_ED25519), spki.subarray(-32)]);
  return hash('sha256', hashed, 'buffer').subarray(0, KEY_ID_BYTES);
}

function verifies({ algorithm, key }: NoteKey, data: Uint8Array, signature: Uint8Array): boolean {
  return verify(algorithm === 'ed25519' ? null : 'sha256', data, key, signature);
}
