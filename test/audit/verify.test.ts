import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { signCheckpoint, treeOrigin } from '../../core/audit/checkpoint.ts';
import { encodeEntry } from '../../core/audit/entry.ts';
import { exportLine, readExport } from '../../core/audit/export.ts';
import { readHead } from '../../core/audit/head.ts';
import { streamLog } from '../../core/audit/log-stream.ts';
import { CompactRange, leafHash } from '../../core/audit/merkle.ts';
import { sequenceOnce } from '../../core/audit/sequencer.ts';
import { listCheckpoints, signTree } from '../../core/audit/signing.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { verifyLog } from '../../core/audit/verify.ts';
import type { LogFinding, LoggedEntry, LogToVerify } from '../../core/audit/verify.ts';
import type { Store } from '../../core/store/store.ts';
import { ENGINES } from '../support/stores.ts';
import { p256Signer } from './audit-keys.ts';
import { numberedEntry, placeAll, record } from './audit-log.ts';
import { auditDatabase, changeTile, swapFirstHashes } from './audit-stores.ts';

const TREE = 'acme';
const SIZE = 300;

function memoryOnly(): CheckpointSigning {
  const notes = new Map<string | null, string>();
  return {
    originBase: 'muster.example',
    signer: p256Signer(),
    memory: {
      load: (tree) => Promise.resolve(notes.get(tree)),
      save: async (tree, note) => void notes.set(tree, note),
      trees: () => Promise.resolve([...notes.keys()]),
    },
  };
}

/** A log of 300 entries with checkpoints at 100, 200 and 300, as the auditor and the server have them. */
async function honestLog(store: Store) {
  const signing = memoryOnly();
  const notes: string[] = [];
  for (let size = 0; size < SIZE; size += 100) {
    await record(store, TREE, size, size + 100);
    await placeAll(store, TREE);
    notes.push((await signTree(store, TREE, signing))!);
  }
  const [at100, at200, at300] = notes as [string, string, string];
  return { signing, publicKeys: [signing.signer.publicKey], at100, at200, at300 };
}

async function findings(store: Store, log: Omit<LogToVerify, 'entries'>): Promise<readonly LogFinding[]> {
  const verification = await verifyLog({ ...log, entries: streamLog(store, TREE) });
  expect(verification.ok).toBe(verification.findings.length === 0);
  return verification.findings;
}

/** Writes another tree over the stored one: what somebody does who can write to the database but not sign. */
async function rebuildTree(store: Store): Promise<void> {
  await store.unit(async (tx) => {
    const db = tx.db<AuditTables>();
    await db.deleteFrom('audit_heads').execute();
    await db.deleteFrom('audit_tiles').execute();
    // The sequencer goes by the id: the rows get ids in the order they shall have.
    await sql`update audit_entries set id = 10000 + tree_index, tree_index = null`.execute(db);
  });
  while ((await sequenceOnce(store, TREE, { fence: 1 })).placed > 0);
}

async function rewrite(store: Store, index: number): Promise<void> {
  const entry = { ...numberedEntry(TREE, index), actor: 'user:somebody-else' };
  await store.unit((tx) =>
    tx
      .db<AuditTables>()
      .updateTable('audit_entries')
      .set({ entry: encodeEntry(entry) })
      .where('tree_index', '=', index)
      .execute(),
  );
}

async function remove(store: Store, index: number): Promise<void> {
  await store.unit((tx) => tx.db<AuditTables>().deleteFrom('audit_entries').where('tree_index', '=', index).execute());
}

async function swap(store: Store, a: number, b: number): Promise<void> {
  await store.unit(async (tx) => {
    const db = tx.db<AuditTables>();
    const move = (from: number, to: number) =>
      db.updateTable('audit_entries').set({ tree_index: to }).where('tree_index', '=', from).execute();
    await move(a, 1_000_000);
    await move(b, a);
    await move(1_000_000, b);
  });
}

describe.each(ENGINES)('verifying a log on %s', (engine) => {
  test('an honest log verifies, with every choice of checkpoints', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { publicKeys, at100, at200, at300 } = await honestLog(store);
    const origin = treeOrigin('muster.example', TREE);
    for (const log of [
      { since: at100 },
      { until: at300 },
      { since: at100, until: at300, checkpoints: [at200] },
      { until: at300, origin },
      { since: at300, until: at100 },
    ]) {
      expect(await findings(store, { publicKeys, ...log })).toEqual([]);
    }
    await record(store, TREE, SIZE, SIZE + 7);
    await placeAll(store, TREE);
    const verification = await verifyLog({ entries: streamLog(store, TREE), publicKeys, until: at300 });
    expect(verification).toMatchObject({ ok: true, size: SIZE + 7, provenSize: SIZE });
    expect(verification.rootHash).toEqual((await readHead(store, TREE)).rootHash);
  });

  // Each change twice: as it is, and with the whole stored tree made to match it.
  const changes: [string, (store: Store) => Promise<void>, LogFinding[], LogFinding[]][] = [
    [
      'the last entry deleted',
      (store) => remove(store, 299),
      [{ kind: 'truncated', index: 299, signedSize: 300 }],
      [{ kind: 'truncated', index: 299, signedSize: 300 }],
    ],
    [
      'the table truncated',
      async (store) => void (await store.unit((tx) => tx.db<AuditTables>().deleteFrom('audit_entries').execute())),
      [{ kind: 'truncated', index: 0, signedSize: 300 }],
      [{ kind: 'truncated', index: 0, signedSize: 300 }],
    ],
    [
      'an entry in the middle deleted',
      (store) => remove(store, 150),
      [{ kind: 'wrong-index', index: 150, found: 151 }],
      [
        { kind: 'truncated', index: 299, signedSize: 300 },
        { kind: 'range-altered', from: 100, to: 200 },
      ],
    ],
    [
      'two entries swapped',
      (store) => swap(store, 120, 180),
      [
        { kind: 'entry-altered', index: 120 },
        { kind: 'entry-altered', index: 180 },
      ],
      [{ kind: 'range-altered', from: 100, to: 200 }],
    ],
    [
      'one entry rewritten',
      (store) => rewrite(store, 250),
      [{ kind: 'entry-altered', index: 250 }],
      [{ kind: 'range-altered', from: 200, to: 300 }],
    ],
    [
      'the first entry rewritten',
      (store) => rewrite(store, 0),
      [{ kind: 'entry-altered', index: 0 }],
      [{ kind: 'range-altered', from: 0, to: 100 }],
    ],
  ];

  test.each(changes)('finds %s', async (_what, change, simple, rebuilt) => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { publicKeys, at100, at200, at300 } = await honestLog(store);
    const log = { publicKeys, since: at100, checkpoints: [at200], until: at300 };
    await change(store);
    expect(await findings(store, log)).toEqual(simple);
    await rebuildTree(store);
    expect(await findings(store, log)).toEqual(rebuilt);
    // Without the newest checkpoint, the one the auditor kept still tells of all that came before it.
    expect(await findings(store, { publicKeys, since: at300 })).not.toEqual([]);
  });

  test('tells a changed tree from a changed entry', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { publicKeys, at300 } = await honestLog(store);
    await changeTile(store, swapFirstHashes);
    expect(await findings(store, { publicKeys, until: at300 })).toEqual([
      { kind: 'tree-altered', index: 0 },
      { kind: 'tree-altered', index: 1 },
    ]);
  });

  test('finds a log that was restored, continued and signed again with the real key', async () => {
    await using database = await auditDatabase(engine);
    const { signing, publicKeys, at100 } = await honestLog(database.store);
    const restore = await database.backUp();
    await record(database.store, TREE, SIZE, SIZE + 50);
    await placeAll(database.store, TREE);
    const kept = (await signTree(database.store, TREE, signing))!;
    await restore();
    await record(database.store, TREE, 5000, 5100);
    await placeAll(database.store, TREE);
    // The key holder forgets what was signed, as a server without its checkpoint directory would.
    const forgetful = { ...memoryOnly(), signer: signing.signer };
    const until = (await signTree(database.store, TREE, forgetful))!;
    expect(await findings(database.store, { publicKeys, since: kept, until })).toEqual([{ kind: 'fork', size: 350 }]);
    expect(await findings(database.store, { publicKeys, since: at100, until })).toEqual([]);
  });

  test('rows that are not octets are found, not fatal', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { publicKeys, at300 } = await honestLog(store);
    await store.unit((tx) =>
      tx
        .db<{ audit_entries: { entry: unknown; tree_index: number } }>()
        .updateTable('audit_entries')
        .set({ entry: engine === 'sqlite' ? 'text' : Buffer.from('text') })
        .where('tree_index', '=', 5)
        .execute(),
    );
    expect(await findings(store, { publicKeys, until: at300 })).toEqual([{ kind: 'entry-altered', index: 5 }]);
  });

  test('an export verifies like the database it came from', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { publicKeys } = await honestLog(store);
    await rewrite(store, 7);
    const [newest] = await listCheckpoints(store, TREE, 1);
    const lines: Uint8Array[] = [];
    for await (const entry of streamLog(store, TREE)) lines.push(exportLine(entry));
    const chunks = (async function* () {
      yield Buffer.concat(lines);
    })();
    const verification = await verifyLog({ entries: readExport(chunks), publicKeys, until: newest!.note });
    expect(verification.findings).toEqual([{ kind: 'entry-altered', index: 7 }]);
  });
});

describe('verifying with bad checkpoints', () => {
  const leaves = Array.from({ length: 10 }, (_, index) => Buffer.from(`leaf ${index}`));
  const signer = p256Signer();
  const publicKeys = [signer.publicKey];

  async function* entries(from: readonly Uint8Array[] = leaves): AsyncGenerator<LoggedEntry> {
    for (const [index, bytes] of from.entries()) yield { index, bytes };
  }

  function head(size: number, origin = 'muster.example/audit') {
    const range = CompactRange.empty();
    for (const leaf of leaves.slice(0, size)) range.append(leafHash(leaf));
    return { origin, size, rootHash: range.root() };
  }

  test('without any, nothing is proven', async () => {
    expect(await verifyLog({ entries: entries(), publicKeys })).toMatchObject({
      ok: false,
      findings: [{ kind: 'no-checkpoint' }],
      provenSize: 0,
    });
  });

  test('a checkpoint of the empty log proves nothing and contradicts nothing', async () => {
    const since = await signCheckpoint(head(0), signer);
    expect(await verifyLog({ entries: entries(), publicKeys, since })).toMatchObject({ ok: true, provenSize: 0 });
  });

  test('a forged one is no proof, and is reported', async () => {
    const forged = await signCheckpoint(head(10), p256Signer());
    expect(
      (await verifyLog({ entries: entries(), publicKeys, until: forged })).findings.map(({ kind }) => kind),
    ).toEqual(['bad-checkpoint', 'no-checkpoint']);
    const good = await signCheckpoint(head(4), signer);
    const stretched = good.replace('\n4\n', '\n5\n');
    const verification = await verifyLog({ entries: entries(), publicKeys, since: good, until: stretched });
    expect(verification).toMatchObject({ findings: [{ kind: 'bad-checkpoint', note: stretched }], provenSize: 4 });
  });

  test('one of another log is reported', async () => {
    const since = await signCheckpoint(head(4), signer);
    const until = await signCheckpoint(head(10, 'muster.example/audit/acme'), signer);
    expect((await verifyLog({ entries: entries(), publicKeys, since, until })).findings).toMatchObject([
      { kind: 'bad-checkpoint', note: until },
    ]);
    expect((await verifyLog({ entries: entries(), publicKeys, since, origin: 'muster.example/audit/acme' })).ok).toBe(
      false,
    );
  });

  test('two of one size with different roots are a fork', async () => {
    const since = await signCheckpoint(head(10), signer);
    const until = await signCheckpoint({ ...head(10), rootHash: head(9).rootHash }, signer);
    expect((await verifyLog({ entries: entries(), publicKeys, since, until })).findings).toContainEqual({
      kind: 'fork',
      size: 10,
    });
  });

  test('keys that were rolled over count', async () => {
    const newer = p256Signer();
    const since = await signCheckpoint(head(4), signer);
    const until = await signCheckpoint(head(10), newer);
    const verification = await verifyLog({
      entries: entries(),
      publicKeys: [...publicKeys, newer.publicKey],
      since,
      until,
    });
    expect(verification).toMatchObject({ ok: true, provenSize: 10 });
  });

  test('an index that is repeated is found', async () => {
    const twice = (async function* () {
      yield* entries(leaves.slice(0, 3));
      yield { index: 2, bytes: leaves[2]! };
    })();
    const until = await signCheckpoint(head(3), signer);
    expect((await verifyLog({ entries: twice, publicKeys, until })).findings).toEqual([
      { kind: 'wrong-index', index: 3, found: 2 },
    ]);
  });
});
