import { randomFillSync } from 'node:crypto';

const BATCH = 256;
const pool = new Uint8Array(16 * BATCH);
let used = BATCH;

let lastMs = 0;
let sequence = 0;

/**
 * A new identifier: UUIDv7 (RFC 9562 §5.7) in lower case. The first 48 bits are epoch milliseconds and the next 12 count
 * within one, so the identifiers of a process sort in the order they were made, even when its clock steps back, and index
 * pages fill from one side. The last 62 bits come from the operating system's generator.
 *
 * @param now epoch milliseconds, the system clock by default.
 */
export function newId(now: number = Date.now()): string {
  if (used === BATCH) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.subarray(16 * used, 16 * used + 16);
  used += 1;
  advance(now, bytes);
  for (let index = 5, rest = lastMs; index >= 0; index -= 1, rest = Math.floor(rest / 256)) bytes[index] = rest % 256;
  bytes[6] = 0x70 | (sequence >> 8);
  bytes[7] = sequence & 0xff;
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** RFC 9562 §6.2, method 1: a counter of fixed length, seeded at random with its top bit clear; it overflows into the time. */
function advance(now: number, random: Uint8Array): void {
  if (now > lastMs) {
    lastMs = now;
    sequence = ((random[6]! << 8) | random[7]!) & 0x7ff;
  } else if (sequence < 0xfff) {
    sequence += 1;
  } else {
    lastMs += 1;
    sequence = 0;
  }
}
