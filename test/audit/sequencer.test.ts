import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { encodeEntry } from '../../core/audit/entry.ts';
import { readHead } from '../../core/audit/head.ts';
import { appendAudit } from '../../core/audit/log.ts';
import { streamLog } from '../../core/audit/log-stream.ts';
import { verifyConsistency, verifyInclusion } from '../../core/audit/proof.ts';
import { sequenceOnce } from '../../core/audit/sequencer.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { consistencyProof, inclusionProof } from '../../core/audit/tree-proof.ts';
import { leafHash } from '../../core/audit/merkle.ts';
import { InternalError, PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { numberedEntry, placeAll, record } from './audit-log.ts';
import { auditDatabase } from './audit-stores.ts';
import { ENGINES } from '../support/stores.ts';
import { mth } from './recursive-tree.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

async function storedEntries(store: Store, tree: string | null): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = [];
  for await (const entry of streamLog(store, tree)) {
    expect(entry.index).toBe(entries.length);
    expect(hex(entry.storedHash ?? new Uint8Array(0))).toBe(hex(leafHash(entry.bytes)));
    entries.push(entry.bytes);
  }
  return entries;
}

describe.each(ENGINES)('the sequencer on %s', (engine) => {
  test('places what was recorded, each tree by itself', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 70);
    await record(store, null, 100, 103);
    await record(store, 'other', 200, 201);
    expect(await placeAll(store, 'acme')).toBe(70);
    expect(await placeAll(store, null)).toBe(3);
    expect(await readHead(store, 'other')).toMatchObject({ size: 0 });
    const expected = Array.from({ length: 70 }, (_, number) => encodeEntry(numberedEntry('acme', number)));
    expect((await storedEntries(store, 'acme')).map(hex)).toEqual(expected.map(hex));
    expect(hex((await readHead(store, 'acme')).rootHash)).toBe(hex(mth(expected)));
    expect(await storedEntries(store, null)).toHaveLength(3);
    expect(await storedEntries(store, 'other')).toHaveLength(0);
  });

  test('an entry exists exactly when the unit that records it does', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const failed = store.unit(async (tx) => {
      await appendAudit(tx, numberedEntry('acme', 1));
      throw new StateError('conflict', 'the unit fails');
    });
    await expect(failed).rejects.toThrow(StateError);
    expect(await placeAll(store, 'acme')).toBe(0);
  });

  test('the tree is the same however its entries come in', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    let size = 0;
    let tenant = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 }),
        fc.integer({ min: 90, max: 300 }),
        async (batches, limit) => {
          const tree = `tenant${tenant++}`;
          size = 0;
          for (const batch of batches) {
            await record(store, tree, size, size + batch);
            size += batch;
            expect(await placeAll(store, tree, limit)).toBe(size);
          }
          const entries = await storedEntries(store, tree);
          const head = await readHead(store, tree);
          expect(hex(head.rootHash)).toBe(hex(mth(entries)));
          if (size === 0) return;
          for (const index of [0, size >> 1, size - 1]) {
            const inclusion = await inclusionProof(store, tree, index);
            expect(hex(inclusion.leafHash)).toBe(hex(leafHash(entries[index]!)));
            expect(verifyInclusion({ ...inclusion, rootHash: head.rootHash })).toBe(true);
            const consistency = await consistencyProof(store, tree, index);
            expect(hex(consistency.oldRoot)).toBe(hex(mth(entries.slice(0, index))));
            expect(verifyConsistency({ ...consistency, newRoot: head.rootHash })).toBe(true);
          }
        },
      ),
      { numRuns: 10 },
    );
  });

  test('proofs are for trees and entries that exist', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 5);
    await placeAll(store, 'acme');
    expect(verifyInclusion(await inclusionProof(store, 'acme', 2, 3))).toBe(true);
    for (const [index, size] of [
      [3, 3],
      [5, undefined],
      [-1, undefined],
      [0.5, undefined],
      [0, 6],
    ] as const) {
      await expect(inclusionProof(store, 'acme', index, size)).rejects.toThrow(PeerError);
    }
    for (const [oldSize, newSize] of [
      [6, undefined],
      [4, 3],
      [-1, 3],
      [0, 6],
    ] as const) {
      await expect(consistencyProof(store, 'acme', oldSize, newSize)).rejects.toThrow(PeerError);
    }
  });

  test('rows whose ids are lower than placed ones are not lost', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    // What two units do whose ids were given out before either of them committed.
    const insert = (id: number) =>
      store.unit((tx) =>
        tx
          .db<AuditTables>()
          .insertInto('audit_entries')
          .values({ id, tenant: 'acme', action: 'a', object: 'o', entry: Buffer.from(`row ${id}`) })
          .execute(),
      );
    await insert(1000);
    expect(await placeAll(store, 'acme')).toBe(1);
    await insert(999);
    expect(await placeAll(store, 'acme')).toBe(2);
    expect((await storedEntries(store, 'acme')).map(String)).toEqual(
      ['row 1000', 'row 999'].map((text) => String(Buffer.from(text))),
    );
  });

  test('an older fencing token places nothing', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 2);
    expect(await sequenceOnce(store, 'acme', { fence: 7, limit: 1 })).toEqual({ placed: 1, size: 1 });
    await expect(sequenceOnce(store, 'acme', { fence: 6 })).rejects.toMatchObject({ reason: 'conflict' });
    expect(await readHead(store, 'acme')).toMatchObject({ size: 1 });
    expect(await sequenceOnce(store, 'acme', { fence: 7 })).toEqual({ placed: 1, size: 2 });
  });

  test.each([
    ['a smaller size', sql`update audit_heads set size = 2`],
    ['another root', sql`update audit_heads set root = frontier`],
    ['no frontier', sql`update audit_heads set frontier = root`],
    ['a tile cut off', sql`update audit_tiles set hashes = substr(hashes, 1, 32)`],
    ['a tile gone', sql`delete from audit_tiles`],
  ])('does not build on a tree with %s', async (_what, change) => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 3);
    await placeAll(store, 'acme');
    await store.unit((tx) => change.execute(tx.db()));
    await record(store, 'acme', 3, 4);
    await expect(sequenceOnce(store, 'acme', { fence: 1 })).rejects.toThrow(InternalError);
  });
});

describe('two sequencers on PostgreSQL', () => {
  test('never place an entry twice or in one place, while units commit out of order', async () => {
    await using database = await auditDatabase('postgres');
    const nodes = [database.store, await database.secondNode()];
    const total = 600;
    let conflicts = 0;
    let recorded = 0;
    const recordAll = async (store: Store, first: number) => {
      for (let number = first; number < total; number += 20) {
        await store.unit(async (tx) => {
          await appendAudit(tx, numberedEntry('acme', number));
          // The id is taken; others take theirs and commit before.
          await sql`select pg_sleep(${(number % 7) / 1000})`.execute(tx.db());
        });
        recorded++;
      }
    };
    const placeUntilDone = async (store: Store) => {
      while (
        recorded < total ||
        (await sequenceOnce(store, 'acme', { fence: 1, limit: 16 }).catch(() => ({ placed: 1 }))).placed > 0
      ) {
        await sequenceOnce(store, 'acme', { fence: 1, limit: 16 }).catch((error: unknown) => {
          expect(error).toMatchObject({ reason: 'conflict' });
          conflicts++;
        });
      }
    };
    const recorders = Array.from({ length: 20 }, (_, index) => recordAll(nodes[index % 2]!, index));
    await Promise.all([...recorders, ...nodes.map(placeUntilDone)]);
    expect(await placeAll(database.store, 'acme')).toBe(total);
    const entries = await storedEntries(database.store, 'acme');
    expect(new Set(entries.map(hex)).size).toBe(total);
    expect(hex((await readHead(database.store, 'acme')).rootHash)).toBe(hex(mth(entries)));
    // The test means something only if they met.
    expect(conflicts).toBeGreaterThan(0);
  });
});
