import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyText } from './any-text.ts';
import { openNote, signNote } from '../../core/audit/note.ts';
import { InternalError, PeerError } from '../../core/errors/muster-error.ts';
import { ed25519Signer, p256Signer } from './audit-keys.ts';

// The example of the reference implementation, golang.org/x/mod/sumdb/note.
const PETER_KEY = Buffer.from('ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'base64').subarray(1);
const PETER_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_NOTE = `${PETER_TEXT}
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`;
// RFC 8410 §4: an Ed25519 SubjectPublicKeyInfo is this prefix and the key.
const peter = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), PETER_KEY]);

// The public key of rekor.sigstore.dev and the key ID it signs with.
const REKOR_KEY = Buffer.from(
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwrkBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==',
  'base64',
);
const REKOR_KEY_ID = Buffer.from('c0d23d6a', 'hex');

describe('signed notes', () => {
  test('the note of the reference implementation opens', () => {
    expect(openNote(PETER_NOTE, 'PeterNeumann', [peter])).toEqual({
      ok: true,
      text: PETER_TEXT,
      keyName: 'PeterNeumann',
    });
  });

  test('the key ID of an ECDSA key is the hash of its SubjectPublicKeyInfo', () => {
    const line = Buffer.concat([REKOR_KEY_ID, Buffer.alloc(70)]).toString('base64');
    const note = `text\n\n— rekor.sigstore.dev ${line}\n`;
    expect(openNote(note, 'rekor.sigstore.dev', [REKOR_KEY])).toMatchObject({ ok: false, fault: 'forged' });
  });

  test.each([
    ['P-256', p256Signer],
    ['Ed25519', ed25519Signer],
  ])('what %s signs opens with its key and no other', async (_name, newSigner) => {
    const signer = newSigner();
    const note = await signNote('one\n\ntwo\n', 'log.example/a', signer);
    expect(openNote(note, 'log.example/a', [newSigner().publicKey, signer.publicKey])).toMatchObject({
      ok: true,
      text: 'one\n\ntwo\n',
    });
    expect(openNote(note, 'log.example/a', [newSigner().publicKey])).toMatchObject({ ok: false, fault: 'unknown-key' });
    expect(openNote(note, 'log.example/b', [signer.publicKey])).toMatchObject({ ok: false, fault: 'unknown-key' });
    expect(openNote(note.replace('two', 'tow'), 'log.example/a', [signer.publicKey])).toMatchObject({
      ok: false,
      fault: 'forged',
    });
  });

  test('the key ID of an Ed25519 key covers its name', async () => {
    const signer = ed25519Signer();
    const note = await signNote('text\n', 'log.example', signer);
    const line = Buffer.from(note.split(' ').at(-1)!.trim(), 'base64');
    const raw = createPublicKey({ key: Buffer.from(signer.publicKey), format: 'der', type: 'spki' }).export({
      format: 'jwk',
    }).x!;
    const expected = createHash('sha256').update('log.example\n\u0001').update(Buffer.from(raw, 'base64url')).digest();
    expect(line.subarray(0, 4)).toEqual(expected.subarray(0, 4));
  });

  test('signatures of unknown keys are ignored, a bad one of a known key is not', async () => {
    const [ours, other] = [p256Signer(), ed25519Signer()];
    const note = await signNote('text\n', 'log.example', ours);
    const witnessed = note + (await signNote('text\n', 'witness.example', other)).split('\n\n')[1]!;
    expect(openNote(witnessed, 'log.example', [ours.publicKey])).toMatchObject({ ok: true });
    const forgery = (await signNote('text!\n', 'log.example', ours)).split('\n\n')[1]!;
    expect(openNote(note + forgery, 'log.example', [ours.publicKey])).toMatchObject({ ok: false, fault: 'forged' });
  });

  test.each([
    ['no newline at the end', PETER_NOTE.slice(0, -1)],
    ['no blank line', PETER_NOTE.replace('\n\n', '\n')],
    ['no signature', `${PETER_TEXT}\n`],
    ['a hyphen for the dash', PETER_NOTE.replace('—', '-')],
    ['a carriage return', PETER_NOTE.replaceAll('\n', '\r\n')],
    ['a NUL', PETER_NOTE.replace('problem', 'prob\0lem')],
    ['base64 with stray bits', PETER_NOTE.replace('nAM=', 'nAN=')],
    ['base64 without padding', PETER_NOTE.replace('nAM=', 'nAM')],
    ['a blank in the key name', PETER_NOTE.replace('— PeterNeumann', '— Peter Neumann')],
    ['a plus in the key name', PETER_NOTE.replace('— PeterNeumann', '— Peter+Neumann')],
    ['a line after the signature', `${PETER_NOTE}text\n`],
    ['a thousand signatures', PETER_NOTE + PETER_NOTE.split('\n\n')[1]!.repeat(1000)],
    ['nothing', ''],
  ])('a note with %s is malformed', (_what, note) => {
    expect(openNote(note, 'PeterNeumann', [peter])).toMatchObject({ ok: false, fault: 'malformed' });
  });

  test('any text gives an answer', () => {
    fc.assert(
      fc.property(anyText(60), fc.nat(200), (text, at) => {
        expect(openNote(text, 'PeterNeumann', [peter]).ok).toBe(false);
        const mixed = PETER_NOTE.slice(0, at) + text + PETER_NOTE.slice(at);
        expect(openNote(mixed, 'PeterNeumann', [peter]).ok).toBe(text === '');
      }),
    );
  });

  test('only texts and names that a note can hold are signed', async () => {
    const signer = p256Signer();
    for (const text of ['no newline', 'a\tb\n', 'a\ud800\n', '']) {
      await expect(signNote(text, 'log.example', signer)).rejects.toThrow(InternalError);
    }
    for (const name of ['', 'a b', 'a+b', 'a\u00a0b', 'a\nb']) {
      await expect(signNote('text\n', name, signer)).rejects.toThrow(InternalError);
    }
    expect(signer.signatures).toEqual([]);
  });

  test('keys that cannot sign notes are named as such', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const p384 = publicKey.export({ format: 'der', type: 'spki' });
    expect(() => openNote(PETER_NOTE, 'PeterNeumann', [p384])).toThrow(
      new PeerError('bad-algorithm', 'expected an Ed25519 or P-256 key for the audit log, found ec'),
    );
    expect(() => openNote(PETER_NOTE, 'PeterNeumann', [Uint8Array.of(0x30)])).toThrow(PeerError);
  });

  test('a signature that does not fit the public key is not passed on', async () => {
    const signer = { publicKey: p256Signer().publicKey, sign: p256Signer().sign };
    await expect(signNote('text\n', 'log.example', signer)).rejects.toThrow(InternalError);
  });
});
