import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyText } from './any-text.ts';
import { encodeEntry } from '../../core/audit/entry.ts';
import { exportLine, readExport } from '../../core/audit/export.ts';
import { leafHash } from '../../core/audit/merkle.ts';
import type { LoggedEntry } from '../../core/audit/verify.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { numberedEntry } from './audit-log.ts';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // One buffer for all chunks, as some producers do.
  const chunk = new Uint8Array(size);
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    chunk.set(part);
    yield chunk.subarray(0, part.length);
  }
}

async function readAll(bytes: Uint8Array, chunkSize = 17): Promise<LoggedEntry[]> {
  const entries: LoggedEntry[] = [];
  for await (const entry of readExport(inChunks(bytes, chunkSize))) {
    entries.push({
      ...entry,
      bytes: Uint8Array.from(entry.bytes),
      storedHash: entry.storedHash && Uint8Array.from(entry.storedHash),
    });
  }
  return entries;
}

describe('an export', () => {
  test('is newline-delimited JSON with the entry in clear', () => {
    const bytes = encodeEntry(numberedEntry('acme', 3));
    const line = new TextDecoder().decode(exportLine({ index: 3, bytes, storedHash: leafHash(bytes) }));
    expect(line.endsWith('}\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      index: 3,
      hash: Buffer.from(leafHash(bytes)).toString('hex'),
      entry: { ...numberedEntry('acme', 3), v: 1 },
    });
  });

  test('gives back every stored row exactly, whatever its bytes are', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      anyText().map((text) => Uint8Array.from(Buffer.from(`{${text}}`))),
      fc.constant(Uint8Array.from(encodeEntry(numberedEntry('acme', 1)))),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes, hasHash: fc.boolean() }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 300 }),
        async (rows, chunkSize) => {
          const entries = rows.map((row, index) => ({
            index,
            bytes: row.bytes,
            storedHash: row.hasHash ? Uint8Array.from(leafHash(row.bytes)) : undefined,
          }));
          const text = Buffer.concat(entries.map(exportLine));
          expect(await readAll(text, chunkSize)).toEqual(entries);
        },
      ),
    );
  });

  test('a last line without newline counts', async () => {
    const line = exportLine({ index: 0, bytes: Buffer.from('{}') });
    expect(await readAll(line.subarray(0, -1))).toHaveLength(1);
  });

  test.each([
    ['no entry', '{"index":0}\n'],
    ['no JSON', 'index 0\n'],
    ['an empty line', '\n'],
    ['a negative index', '{"index":-1,"entry":{}}\n'],
    ['a cut end', '{"index":0,"entry":{}'.slice(0, -1)],
    ['a short hash', '{"index":0,"hash":"00","entry":{}}\n'],
  ])('with %s is refused, naming the line', async (_what, text) => {
    const good = exportLine({ index: 0, bytes: Buffer.from('{}') });
    await expect(readAll(Buffer.concat([good, Buffer.from(text)]))).rejects.toThrow('line 2');
  });

  test('with an endless line is refused before memory is full', async () => {
    await expect(readAll(Buffer.alloc(1_000_000, 0x20), 65536)).rejects.toThrow(PeerError);
  });

  test('any bytes give entries or a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await readAll(bytes).catch((error: unknown) => expect(error).toBeInstanceOf(PeerError));
      }),
    );
  });
});
