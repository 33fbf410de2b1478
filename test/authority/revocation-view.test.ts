import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { insertTenant } from '../../core/authority/authorities.ts';
import { authorityMigrations } from '../../core/authority/migrations.ts';
import { noteSightings, revocationTimeline } from '../../core/authority/revocation-timeline.ts';
import {
  type RevocationChange,
  RevocationView,
  type RevocationViewParts,
} from '../../core/authority/revocation-view.ts';
import { REVOCATIONS_CHANGED } from '../../core/authority/revocation.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { databaseNow } from '../../core/store/database-clock.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import { migrate } from '../../core/store/migrations.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Store } from '../../core/store/store.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import { cutStore } from '../support/cut-store.ts';
import { ENGINES, type TestDatabase, testDatabase } from '../support/stores.ts';

const SLOW_MS = 60_000;

describe.each(ENGINES)("a node's view of revocations on %s", (engine) => {
  let database: TestDatabase;
  let store: Store;
  let hints: MemoryShortLived;
  const views: RevocationView[] = [];

  beforeAll(async () => {
    database = await testDatabase(engine);
    store = await database.open();
    await migrate(store, [...storeMigrations, ...authorityMigrations]);
    await store.unit((tx) => insertTenant(tx, { id: 't', name: 't', created_at: 0 }));
    hints = new MemoryShortLived({ clock: store.clock, takenKeys: takenKeysOf(store), report: () => undefined });
  });
  afterEach(async () => {
    for (const view of views.splice(0)) await view.stop();
  });
  afterAll(async () => {
    await store.close();
    await database[Symbol.asyncDispose]();
  });

  async function watching(parts: Partial<RevocationViewParts> = {}) {
    const view = new RevocationView({ store, hints, report: () => undefined, ...parts });
    const seen: (readonly RevocationChange[] | undefined)[] = [];
    await view.start();
    view.subscribe((changes) => seen.push(changes));
    views.push(view);
    return { view, seen };
  }
  /** `here`: by this process, which says so; otherwise as if another one had. */
  async function revoked(count = 1, { here = false } = {}): Promise<string[]> {
    const serials = Array.from({ length: count }, () => randomBytes(8).toString('hex'));
    const row = {
      tenant: 't',
      authority: 'a',
      shard: 0,
      state: 'revoked' as const,
      reason: 1,
      revoked_at: 0,
      invalidity_date: null,
      not_after: 0,
    };
    await store.unit(async (tx) => {
      if (here) tx.signal(REVOCATIONS_CHANGED);
      await tx
        .db<AuthorityTables>()
        .insertInto('revocations')
        .values(
          serials.map((serial) => ({
            ...row,
            serial_number: serial,
            certificate: `c-${serial}`,
            changed_at: databaseNow(engine) as never,
          })),
        )
        .execute();
    });
    return serials;
  }
  const serialsOf = (seen: readonly (readonly RevocationChange[] | undefined)[]) =>
    seen.flatMap((changes) => changes ?? []).map(({ serialNumber }) => serialNumber);

  it('learns of a commit on any node within a second, once, without hints', async () => {
    const { seen, view } = await watching({
      hints: { publish: async () => undefined, subscribe: async () => async () => undefined },
    });
    const [serial] = await revoked();
    await expect.poll(() => serialsOf(seen), { timeout: 1000, interval: 10 }).toContain(serial);
    await delay(700);
    expect(serialsOf(seen).filter((each) => each === serial)).toHaveLength(1);
    expect(view.ageMs).toBeLessThan(1000);
    const change = seen.flatMap((changes) => changes ?? []).find(({ serialNumber }) => serialNumber === serial)!;
    expect(change.seenAt - change.changedAt).toBeLessThan(1000);
    expect(change.seenAt).toBeGreaterThanOrEqual(change.changedAt);
  });

  it('learns at once of what any node revokes', async () => {
    const here = await watching({ pollMs: SLOW_MS });
    const there = await watching({ pollMs: SLOW_MS });
    const [serial] = await revoked(1, { here: true });
    for (const { seen } of [here, there])
      await expect.poll(() => serialsOf(seen), { timeout: 1000, interval: 5 }).toContain(serial);
  });

  // What counts is time, and not the engine: once is enough.
  it.runIf(engine === 'sqlite')(
    'grows old while the database does not answer, and then knows that it missed something',
    async () => {
      const errors: unknown[] = [];
      const fault = { away: false };
      const { view, seen } = await watching({
        store: cutStore(store, fault),
        pollMs: 50,
        report: (error) => errors.push(error),
      });
      fault.away = true;
      await expect.poll(() => view.ageMs, { timeout: 10_000 }).toBeGreaterThan(5_500);
      expect(errors).toHaveLength(1);
      fault.away = false;
      await expect.poll(() => seen.some((changes) => changes === undefined), { timeout: 2000 }).toBe(true);
      expect(view.ageMs).toBeLessThan(1000);
    },
  );

  it('stands in the timeline of each certificate', async () => {
    const { view } = await watching({ pollMs: SLOW_MS });
    const stop = noteSightings(store, view, 'node-1', () => undefined);
    const [serial] = await revoked();
    await view.look();
    const certificate = { id: `c-${serial}`, authority: 'a', serial_number: serial! };
    const timeline = () => revocationTimeline(store, 't', certificate);
    await expect
      .poll(async () => (await timeline()).nodes.map(({ node }) => node), { timeout: 2000 })
      .toEqual(['node-1']);
    const { revocation, nodes } = await timeline();
    expect(nodes[0]!.effectiveAt).toBeGreaterThanOrEqual(revocation!.changed_at);
    stop();
    expect((await revocationTimeline(store, 'other', certificate)).revocation).toBeUndefined();
  });

  it('names no more than twenty thousand changes one by one', async () => {
    const { view, seen } = await watching({ pollMs: SLOW_MS });
    for (let i = 0; i < 21; i++) await revoked(1000);
    await view.look();
    expect(seen).toContain(undefined);
  });
});
