import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, describe, expect, test } from 'vitest';
import { checkpointDirectory } from '../../core/audit/checkpoint-memory.ts';
import { openCheckpoint } from '../../core/audit/checkpoint.ts';
import { readHead } from '../../core/audit/head.ts';
import { verifyConsistency } from '../../core/audit/proof.ts';
import { ForkError, assertContinued, listCheckpoints, signTree } from '../../core/audit/signing.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { consistencyProof } from '../../core/audit/tree-proof.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import { placeAll, record } from './audit-log.ts';
import { p256Signer } from './audit-keys.ts';
import type { MemorySigner } from './audit-keys.ts';
import { auditDatabase, changeTile, swapFirstHashes } from './audit-stores.ts';
import { ENGINES } from '../support/stores.ts';

type TestSigning = CheckpointSigning & { readonly signer: MemorySigner; readonly directory: string };

const directories: string[] = [];

function newSigning(): TestSigning {
  const directory = mkdtempSync(join(tmpdir(), 'muster-checkpoints-'));
  directories.push(directory);
  return { originBase: 'muster.example', signer: p256Signer(), memory: checkpointDirectory(directory), directory };
}

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

describe.each(ENGINES)('signing checkpoints on %s', (engine) => {
  test('signs each head once, and the next continues it', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    expect(await signTree(store, 'acme', signing)).toBeUndefined();
    const sizes = [1, 4, 300];
    let from = 0;
    for (const size of sizes) {
      await record(store, 'acme', from, size);
      await placeAll(store, 'acme');
      from = size;
      const note = await signTree(store, 'acme', signing);
      expect(await signing.memory.load('acme')).toBe(note);
      expect(await signTree(store, 'acme', signing)).toBeUndefined();
    }
    const stored = await listCheckpoints(store, 'acme', 10);
    expect(stored.map((checkpoint) => checkpoint.size)).toEqual(sizes.toReversed());
    const heads = stored.map(({ note }) => {
      const opened = openCheckpoint(note, [signing.signer.publicKey], 'muster.example/audit/acme');
      return opened.ok ? opened.checkpoint : expect.fail(opened.detail);
    });
    for (const old of heads) {
      const proof = await consistencyProof(store, 'acme', old.size, 300);
      expect(verifyConsistency({ ...proof, oldRoot: old.rootHash, newRoot: heads[0]!.rootHash })).toBe(true);
    }
    expect(signing.signer.signatures).toHaveLength(sizes.length);
  });

  test('an older copy of the database is refused, whatever is recorded on it', async () => {
    await using database = await auditDatabase(engine);
    const signing = newSigning();
    await record(database.store, 'acme', 0, 10);
    await placeAll(database.store, 'acme');
    await signTree(database.store, 'acme', signing);
    const restore = await database.backUp();
    await record(database.store, 'acme', 10, 20);
    await placeAll(database.store, 'acme');
    await signTree(database.store, 'acme', signing);
    await restore();

    expect(await readHead(database.store, 'acme')).toMatchObject({ size: 10 });
    await expect(assertContinued(database.store, 'acme', signing)).rejects.toThrow(ForkError);
    for (const until of [12, 20, 30]) {
      const { size } = await readHead(database.store, 'acme');
      await record(database.store, 'acme', 1000 + size, 1000 + until);
      await placeAll(database.store, 'acme');
      await expect(signTree(database.store, 'acme', signing)).rejects.toThrow(ForkError);
    }
    expect(signing.signer.signatures).toHaveLength(2);
  });

  test('an older copy that goes on with the same entries is the same log', async () => {
    await using database = await auditDatabase(engine);
    const signing = newSigning();
    await record(database.store, 'acme', 0, 10);
    await placeAll(database.store, 'acme');
    const restore = await database.backUp();
    await record(database.store, 'acme', 10, 20);
    await placeAll(database.store, 'acme');
    await signTree(database.store, 'acme', signing);
    await restore();
    await record(database.store, 'acme', 10, 21);
    await placeAll(database.store, 'acme');
    await expect(signTree(database.store, 'acme', signing)).resolves.toContain('\n21\n');
  });

  test.each([
    ['tiles that are text', sql`update audit_tiles set hashes = ${engine === 'sqlite' ? 'text' : Buffer.from('text')}`],
    ['a tile removed', sql`delete from audit_tiles`],
    ['another root in the head', sql`update audit_heads set root = frontier`],
    ['a smaller head', sql`delete from audit_heads`],
    [
      'a checkpoint that is not ours',
      sql`update audit_checkpoints set note = replace(note, '/audit/acme', '/audit/evil')`,
    ],
    ['a checkpoint with another size', sql`update audit_checkpoints set note = replace(note, ${'\n6\n'}, ${'\n5\n'})`],
  ])('nothing is signed over %s', async (_what, change) => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    await record(store, 'acme', 0, 6);
    await placeAll(store, 'acme');
    await signTree(store, 'acme', signing);
    await record(store, 'acme', 6, 9);
    await placeAll(store, 'acme');
    await store.unit((tx) => change.execute(tx.db()));
    await expect(signTree(store, 'acme', signing)).rejects.toThrow();
    expect(signing.signer.signatures).toHaveLength(1);
  });

  test('nothing is signed over a tree that was rewritten', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    await record(store, 'acme', 0, 6);
    await placeAll(store, 'acme');
    await signTree(store, 'acme', signing);
    await record(store, 'acme', 6, 9);
    await placeAll(store, 'acme');
    await changeTile(store, swapFirstHashes);
    await expect(signTree(store, 'acme', signing)).rejects.toThrow(ForkError);
  });

  test('a first checkpoint is not signed over a tree that lacks its head', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    await record(store, 'acme', 0, 5);
    await placeAll(store, 'acme');
    await changeTile(store, swapFirstHashes);
    await expect(signTree(store, 'acme', signing)).rejects.toThrow(ForkError);
  });

  test('a new key continues what its former one signed, when told of it', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    await record(store, null, 0, 3);
    await placeAll(store, null);
    await signTree(store, null, signing);
    await record(store, null, 3, 4);
    await placeAll(store, null);
    const rolled = { ...signing, signer: p256Signer() };
    await expect(signTree(store, null, rolled)).rejects.toThrow(ForkError);
    const informed = { ...rolled, formerKeys: [signing.signer.publicKey] };
    await expect(signTree(store, null, informed)).resolves.toContain('muster.example/audit\n4\n');
  });

  test('a signer that fails leaves everything to be signed later', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const signing = newSigning();
    await record(store, 'acme', 0, 3);
    await placeAll(store, 'acme');
    const sign = () => Promise.reject(new UpstreamError('hsm-unavailable', 'the token does not answer'));
    const broken = { ...signing, signer: { publicKey: signing.signer.publicKey, sign } };
    await expect(signTree(store, 'acme', broken)).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    expect(await signing.memory.load('acme')).toBeUndefined();
    await expect(signTree(store, 'acme', signing)).resolves.toContain('\n3\n');
  });
});

describe('the checkpoint directory', () => {
  test('keeps each tree in a file of its own, whatever the tenant is called', async () => {
    const { memory, directory } = newSigning();
    const trees = [null, 'acme', '../escape', '.', 'installation', 'a/b', 'ü'];
    expect(await memory.load(null)).toBeUndefined();
    for (const tree of trees) await memory.save(tree, `first of ${tree}`);
    for (const tree of trees) await memory.save(tree, `note of ${tree}`);
    for (const tree of trees) expect(await memory.load(tree)).toBe(`note of ${tree}`);
    expect(new Set(await memory.trees())).toEqual(new Set(trees));
    expect(readdirSync(directory)).toHaveLength(trees.length);
  });

  test('a file that was cut off is not taken for nothing', async () => {
    const { memory, directory } = newSigning();
    await memory.save('acme', 'whole');
    const [name] = readdirSync(directory);
    writeFileSync(join(directory, name!), '');
    expect(await memory.load('acme')).toBe('');
    expect(readFileSync(join(directory, name!), 'utf8')).toBe('');
  });

  test('does not exist before the first checkpoint', async () => {
    const memory = checkpointDirectory(join(newSigning().directory, 'not', 'yet'));
    expect(await memory.load('acme')).toBeUndefined();
    expect(await memory.trees()).toEqual([]);
    await memory.save('acme', 'note');
    expect(await memory.trees()).toEqual(['acme']);
  });
});
