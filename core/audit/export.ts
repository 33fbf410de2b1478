import { PeerError } from '../errors/muster-error.ts';
import { MAX_ENTRY_BYTES } from './entry.ts';
import type { LoggedEntry } from './verify.ts';

/**
 * A log as newline-delimited JSON, one entry a line: `{"index":0,"hash":"<hex>","entry":{…}}`. What stands after
 * `"entry":` up to the last brace are the stored bytes themselves, so that the leaf can be hashed from the line; bytes
 * that would break the line (somebody changed the row) stand as base64 in `"bytes"` instead.
 */

const LINE = /^\{"index":(0|[1-9]\d{0,15}),(?:"hash":"([0-9a-f]{64})",)?"(entry|bytes)":/;
const NEWLINE = 0x0a;
// The longest entry as base64 with the other members, rounded up.
const MAX_LINE_BYTES = 2 * MAX_ENTRY_BYTES + 1024;

/** One line of an export, with its newline. */
export function exportLine({ index, bytes, storedHash }: LoggedEntry): Uint8Array {
  const hash = storedHash === undefined ? '' : `"hash":"${Buffer.from(storedHash).toString('hex')}",`;
  const head = `{"index":${index},${hash}`;
  const isOneObject = bytes[0] === 0x7b && bytes.at(-1) === 0x7d && !bytes.includes(NEWLINE);
  if (isOneObject) return Buffer.concat([Buffer.from(`${head}"entry":`), bytes, Buffer.from('}\n')]);
  return Buffer.from(`${head}"bytes":"${Buffer.from(bytes).toString('base64')}"}\n`);
}

/**
 * Reads an export back from chunks of octets (a file, a response). Throws PeerError `malformed-request` or `too-large`
 * naming the line.
 */
export async function* readExport(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<LoggedEntry> {
  let lineNumber = 0;
  for await (const line of splitLines(chunks)) {
    lineNumber++;
    yield readLine(line, lineNumber);
  }
}

async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const data =
      rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, start)) {
      yield data.subarray(start, end);
      start = end + 1;
    }
    // A copy: the producer may use its buffer again.
    rest = Buffer.from(data.subarray(start));
    if (rest.length > MAX_LINE_BYTES)
      throw new PeerError('too-large', `expected lines of at most ${MAX_LINE_BYTES} octets`);
  }
  if (rest.length > 0) yield rest;
}

function readLine(line: Buffer, lineNumber: number): LoggedEntry {
  const [head, index, hash, member] = LINE.exec(line.toString('latin1', 0, 256)) ?? [];
  if (head === undefined || line.at(-1) !== 0x7d) {
    throw new PeerError('malformed-request', `expected an exported audit entry at line ${lineNumber}`);
  }
  const value = line.subarray(head.length, -1);
  return {
    index: Number(index),
    bytes: member === 'entry' ? Uint8Array.from(value) : Buffer.from(value.toString('latin1'), 'base64'),
    storedHash: hash === undefined ? undefined : Buffer.from(hash, 'hex'),
  };
}
