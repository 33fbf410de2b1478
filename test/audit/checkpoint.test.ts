import { describe, expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint, treeOrigin } from '../../core/audit/checkpoint.ts';
import { leafHash } from '../../core/audit/merkle.ts';
import { signNote } from '../../core/audit/note.ts';
import { ed25519Signer, p256Signer } from './audit-keys.ts';

const origin = 'muster.example/audit/acme';
const checkpoint = { origin, size: 42, rootHash: leafHash(Buffer.from('root')) };
const root = Buffer.from(checkpoint.rootHash).toString('base64');

describe('checkpoints', () => {
  test.each([
    ['P-256', p256Signer()],
    ['Ed25519', ed25519Signer()],
  ])('signed with %s open again', async (_name, signer) => {
    const note = await signCheckpoint(checkpoint, signer);
    expect(note.startsWith(`${origin}\n42\n${root}\n\n— ${origin} `)).toBe(true);
    expect(openCheckpoint(note, [signer.publicKey], origin)).toEqual({ ok: true, checkpoint });
    expect(openCheckpoint(note, [signer.publicKey])).toEqual({ ok: true, checkpoint });
    expect(openCheckpoint(note, [p256Signer().publicKey])).toMatchObject({ ok: false, fault: 'unknown-key' });
    expect(openCheckpoint(note, [signer.publicKey], 'muster.example/audit')).toMatchObject({ fault: 'other-origin' });
    expect(openCheckpoint(note.replace('\n42\n', '\n43\n'), [signer.publicKey])).toMatchObject({ fault: 'forged' });
  });

  test.each([
    ['a leading zero', `${origin}\n042\n${root}\n`],
    ['a sign', `${origin}\n+42\n${root}\n`],
    ['a size beyond what is counted', `${origin}\n99999999999999999999\n${root}\n`],
    ['no root', `${origin}\n42\n`],
    ['half a root', `${origin}\n42\n${root.slice(0, 20)}\n`],
    ['an extension line', `${origin}\n42\n${root}\nextension\n`],
  ])('with %s are malformed although signed', async (_what, text) => {
    const signer = p256Signer();
    const note = await signNote(text, origin, signer);
    expect(openCheckpoint(note, [signer.publicKey])).toMatchObject({ ok: false, fault: 'malformed' });
  });

  test('each tree has an origin of its own that can name a key', async () => {
    expect(treeOrigin('muster.example', null)).toBe('muster.example/audit');
    expect(treeOrigin('muster.example', 'acme')).toBe(origin);
    const odd = treeOrigin('muster.example', 'a b+c/d');
    await expect(signCheckpoint({ ...checkpoint, origin: odd }, p256Signer())).resolves.toContain(odd);
  });
});
