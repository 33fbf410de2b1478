import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { AuditSequencer } from '../../core/audit/audit-sequencer.ts';
import type { AuditAlarm } from '../../core/audit/audit-sequencer.ts';
import { readHead } from '../../core/audit/head.ts';
import { acquireLease, releaseLease } from '../../core/audit/lease.ts';
import { listCheckpoints } from '../../core/audit/signing.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { ENGINES } from '../support/stores.ts';
import { p256Signer } from './audit-keys.ts';
import { record } from './audit-log.ts';
import { auditDatabase } from './audit-stores.ts';

function newSequencer(store: Store, notes = new Map<string | null, string>(), sign = p256Signer()) {
  const alarms: AuditAlarm[] = [];
  const signing: CheckpointSigning = {
    originBase: 'muster.example',
    signer: sign,
    memory: {
      load: (tree) => Promise.resolve(notes.get(tree)),
      save: async (tree, note) => void notes.set(tree, note),
      trees: () => Promise.resolve([...notes.keys()]),
    },
  };
  const options = {
    store,
    signing,
    onAlarm: (alarm: AuditAlarm) => alarms.push(alarm),
    intervalMs: 10,
    leaseTtlMs: 400,
  };
  return {
    sequencer: new AuditSequencer({ ...options, checkpointIntervalMs: 0 }),
    slow: new AuditSequencer(options),
    alarms,
    notes,
    sign,
  };
}

describe.each(ENGINES)('the sequencer loop on %s', (engine) => {
  test('places and signs all trees', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { sequencer, alarms } = newSequencer(store);
    await record(store, 'acme', 0, 600);
    await record(store, 'other', 0, 3);
    await record(store, null, 0, 1);
    await sequencer.pass();
    expect(sequencer.leads).toBe(true);
    for (const [tree, size] of [
      ['acme', 600],
      ['other', 3],
      [null, 1],
    ] as const) {
      expect(await readHead(store, tree)).toMatchObject({ size, checkpointSize: size });
    }
    expect(alarms).toEqual([]);
  });

  test('signs a tree again only when it is due, and all of them at the end', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { slow } = newSequencer(store);
    for (const size of [1, 2, 3]) {
      await record(store, 'acme', size - 1, size);
      await slow.pass();
    }
    expect(await readHead(store, 'acme')).toMatchObject({ size: 3, checkpointSize: 1 });
    await slow.run(AbortSignal.abort());
    expect((await listCheckpoints(store, 'acme', 9)).map((checkpoint) => checkpoint.size)).toEqual([3, 1]);
    expect(slow.leads).toBe(false);
  });

  test('runs until it is told to stop', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { sequencer, alarms } = newSequencer(store);
    const stop = new AbortController();
    const running = sequencer.run(stop.signal);
    await record(store, 'acme', 0, 5);
    await expect.poll(async () => (await readHead(store, 'acme')).checkpointSize).toBe(5);
    await record(store, 'acme', 5, 9);
    stop.abort();
    await running;
    expect(await readHead(store, 'acme')).toMatchObject({ size: 9, checkpointSize: 9 });
    expect(await acquireLease(store, 'another', 1000)).toBeDefined();
    expect(alarms).toEqual([]);
  });

  test('raises one alarm for a restored database, goes on placing, and signs nothing', async () => {
    await using database = await auditDatabase(engine);
    const first = newSequencer(database.store);
    await record(database.store, 'acme', 0, 2);
    await first.sequencer.run(AbortSignal.abort());
    const restore = await database.backUp();
    const second = newSequencer(database.store, first.notes, first.sign);
    await record(database.store, 'acme', 2, 4);
    await record(database.store, 'new', 0, 1);
    await second.sequencer.run(AbortSignal.abort());
    await restore();

    const third = newSequencer(database.store, first.notes, first.sign);
    await third.sequencer.pass();
    // Nothing was recorded since, and the tree of the tenant "new" is gone altogether.
    expect(third.alarms.map(({ kind, tree }) => [kind, tree])).toEqual([
      ['fork', 'acme'],
      ['fork', 'new'],
    ]);
    await record(database.store, 'acme', 100, 110);
    const signed = first.sign.signatures.length;
    for (let pass = 0; pass < 3; pass++) await third.sequencer.pass();
    expect(await readHead(database.store, 'acme')).toMatchObject({ size: 12, checkpointSize: 2 });
    expect(first.sign.signatures).toHaveLength(signed);
    expect(third.alarms).toHaveLength(2);
    expect(third.sequencer.troubles.map(({ kind }) => kind)).toEqual(['fork', 'fork']);
  });

  test('an HSM that is away raises one alarm and is tried again', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const working = p256Signer();
    let away = true;
    const sign = (data: Uint8Array) =>
      away ? Promise.reject(new UpstreamError('hsm-unavailable', 'no answer')) : working.sign(data);
    const { sequencer, alarms } = newSequencer(store, new Map(), { ...working, sign });
    await record(store, 'acme', 0, 2);
    await sequencer.pass();
    await sequencer.pass();
    expect(alarms).toMatchObject([{ kind: 'failed', tree: 'acme', error: { reason: 'hsm-unavailable' } }]);
    expect(await readHead(store, 'acme')).toMatchObject({ size: 2, checkpointSize: 0 });
    away = false;
    await sequencer.pass();
    expect(await readHead(store, 'acme')).toMatchObject({ checkpointSize: 2 });
    expect(sequencer.troubles).toEqual([]);
  });

  test('one tree that is broken does not hold up the others', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const { sequencer, alarms } = newSequencer(store);
    await record(store, 'acme', 0, 2);
    await sequencer.pass();
    await store.unit((tx) =>
      tx.db<{ audit_tiles: { tenant: string } }>().deleteFrom('audit_tiles').where('tenant', '=', 'acme').execute(),
    );
    await record(store, 'acme', 2, 4);
    await record(store, 'other', 0, 2);
    await sequencer.pass();
    expect(await readHead(store, 'other')).toMatchObject({ size: 2, checkpointSize: 2 });
    expect(alarms).toMatchObject([{ kind: 'failed', tree: 'acme' }]);
  });

  test('a database that is away raises an alarm', async () => {
    await using database = await auditDatabase(engine);
    const { sequencer, alarms } = newSequencer(database.store);
    await database.goAway();
    await sequencer.pass();
    expect(alarms).toMatchObject([{ kind: 'failed', tree: undefined }]);
  });
});

describe.each(ENGINES)('the lease on %s', (engine) => {
  test("is one node's until it ends, and each change of hands raises the fence", async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    expect(await acquireLease(store, 'a', 300)).toEqual({ fence: 1 });
    expect(await acquireLease(store, 'b', 300)).toBeUndefined();
    expect(await acquireLease(store, 'a', 300)).toEqual({ fence: 1 });
    await sleep(350);
    expect(await acquireLease(store, 'b', 10_000)).toEqual({ fence: 2 });
    expect(await acquireLease(store, 'a', 300)).toBeUndefined();
    await releaseLease(store, 'a');
    expect(await acquireLease(store, 'a', 300)).toBeUndefined();
    await releaseLease(store, 'b');
    expect(await acquireLease(store, 'a', 300)).toEqual({ fence: 3 });
  });
});

describe('two nodes on PostgreSQL', () => {
  test('one works, the other takes over when it is gone', async () => {
    await using database = await auditDatabase('postgres');
    const [one, two] = [newSequencer(database.store), newSequencer(await database.secondNode())];
    await one.sequencer.pass();
    await two.sequencer.pass();
    expect([one.sequencer.leads, two.sequencer.leads]).toEqual([true, false]);
    await record(database.store, 'acme', 0, 3);
    await two.sequencer.pass();
    expect(await readHead(database.store, 'acme')).toMatchObject({ size: 0 });
    await sleep(450);
    await two.sequencer.pass();
    expect(await readHead(database.store, 'acme')).toMatchObject({ size: 3 });
    await one.sequencer.pass();
    expect([one.sequencer.leads, two.sequencer.leads]).toEqual([false, true]);
    expect([...one.alarms, ...two.alarms]).toEqual([]);
  });

  test('many entries, both running: every one placed once', async () => {
    await using database = await auditDatabase('postgres');
    const notes = new Map<string | null, string>();
    const sign = p256Signer();
    const nodes = [newSequencer(database.store, notes, sign), newSequencer(await database.secondNode(), notes, sign)];
    const stop = new AbortController();
    const running = nodes.map((node) => node.sequencer.run(stop.signal));
    await Promise.all(['acme', 'other', null].map((tree) => record(database.store, tree, 0, 400)));
    for (const tree of ['acme', 'other', null]) {
      await expect.poll(async () => (await readHead(database.store, tree)).checkpointSize, { timeout: 5000 }).toBe(400);
    }
    stop.abort();
    await Promise.all(running);
    expect(nodes.flatMap((node) => node.alarms)).toEqual([]);
  });
});
