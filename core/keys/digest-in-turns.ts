import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A slice takes about a millisecond: nobody notices. */
const SLICE_BYTES = 1 << 20;

/** Whether data is so long that hashing it at once would hold up the event loop. */
export function isLong(data: Uint8Array): boolean {
  return data.length > 4 * SLICE_BYTES;
}

/** The digest of long data, slice by slice, with the event loop in between. `hashName` as OpenSSL names it. */
export async function digestInTurns(hashName: string, data: Uint8Array): Promise<Buffer> {
  const digest = createHash(hashName);
  for (let offset = 0; offset < data.length; offset += SLICE_BYTES) {
    digest.update(data.subarray(offset, offset + SLICE_BYTES));
    await nextTurn();
  }
  return digest.digest();
}
