import { describe, expect, it } from 'vitest';
import { prematureAnswers, TraceIncomplete } from './answer-order.ts';
import { parseTrace } from './system-calls.ts';

/** The fingerprint of the certificate that the traced server sends to port 50000. */
const FINGERPRINT = 'ab'.repeat(32);
const ANSWERS = new Map([[50_000, [FINGERPRINT]]]);

const socket = '25<TCP:[127.0.0.1:8443->127.0.0.1:50000]>';
const handshake = `7 write(${socket}, "\\x16", 1) = 900`;
const asked = '7 read(0x19, 0x7f00, 0x10000) = 0x1f4';
const answered = `7 write(${socket}, "\\x17", 1) = 1500`;
const header = (pagesAfterCommit: number): string =>
  `7 pwrite64(20<${hex('/d/muster.db-wal')}>, "${hex(frameHeader(pagesAfterCommit))}", 24, 32) = 24`;
const page = (content: string): string =>
  `7 pwrite64(20<${hex('/d/muster.db-wal')}>, "${hex(content.padEnd(100))}", 4096, 56) = 4096`;
const synced = `7 fdatasync(20<${hex('/d/muster.db-wal')}>) = 0`;
const written = [header(0), page('another'), header(9), page(`row ${FINGERPRINT} row`)];

describe('the judgement of a trace', () => {
  it('accepts an answer after the sync of its transaction', () => {
    expect(judge(handshake, asked, ...written, synced, answered)).toEqual([]);
    expect(judge(handshake, asked, header(0), page(FINGERPRINT), header(9), page('another'), synced, answered)).toEqual(
      [],
    );
  });

  it.each([
    ['no sync', [handshake, asked, ...written, answered, synced]],
    ['a sync of an earlier transaction only', [handshake, asked, synced, ...written, answered]],
    [
      'a sync that failed',
      [handshake, asked, ...written, synced.replace('= 0', '= -1 EIO (Input/output error)'), answered],
    ],
    ['a sync of another file', [handshake, asked, ...written, synced.replace(hex('-wal'), hex('-shm')), answered]],
    [
      'a sync that has not returned',
      [
        handshake,
        asked,
        ...written,
        synced.replace(') = 0', ' <unfinished ...>'),
        answered.replace('7', '8'),
        '7 <... fdatasync resumed>) = 0',
      ],
    ],
    [
      'a sync that began before the last frame',
      [handshake, asked, header(0), page(FINGERPRINT), synced, header(9), page('another'), answered],
    ],
  ])('finds an answer with %s', (_, lines) => {
    expect(judge(...lines)).toMatchObject([{ fingerprint: FINGERPRINT, because: expect.stringMatching('not synced') }]);
  });

  it('finds an answer before its transaction was written, and one that never was', () => {
    expect(judge(handshake, asked, answered, ...written, synced)).toMatchObject([
      { because: 'its transaction was written after it' },
    ]);
    expect(judge(handshake, asked, synced, answered)).toMatchObject([{ because: 'its transaction was never written' }]);
  });

  it('refuses a trace that does not show the answers', () => {
    expect(() => judge(handshake, ...written, synced)).toThrow(TraceIncomplete);
  });
});

function judge(...lines: readonly string[]) {
  return prematureAnswers(parseTrace(lines.join('\n')), ANSWERS);
}

function frameHeader(pagesAfterCommit: number): string {
  const octets = Buffer.alloc(24);
  octets.writeUInt32BE(pagesAfterCommit, 4);
  return octets.toString('latin1');
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex').replace(/../g, '\\x$&');
}
