import { describe, expect, test } from 'vitest';
import { AuditOutcome } from '../../core/audit/entry.ts';
import { appendAudit, listAudit } from '../../core/audit/log.ts';
import type { AuditFilter } from '../../core/audit/log.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import type { Store } from '../../core/store/store.ts';
import { numberedEntry, placeAll, record } from './audit-log.ts';
import { auditDatabase } from './audit-stores.ts';
import { ENGINES } from '../support/stores.ts';

async function listAll(store: Store, filter: AuditFilter): Promise<number[]> {
  const indexes: number[] = [];
  let from: number | undefined;
  do {
    const page = await listAudit(store.read(), { ...filter, from });
    expect(page.entries.length).toBeLessThanOrEqual(filter.limit);
    indexes.push(...page.entries.map((entry) => entry.index));
    from = page.next;
  } while (from !== undefined);
  return indexes;
}

describe.each(ENGINES)('the log on %s', (engine) => {
  test('is listed newest first, page by page, a tenant at a time', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 23);
    await record(store, 'other', 0, 5);
    await record(store, null, 0, 2);
    for (const tree of ['acme', 'other', null]) await placeAll(store, tree);
    const downFrom = (count: number) => Array.from({ length: count }, (_, index) => count - 1 - index);
    for (const limit of [1, 5, 23, 100]) expect(await listAll(store, { tenant: 'acme', limit })).toEqual(downFrom(23));
    expect(await listAll(store, { tenant: 'other', limit: 2 })).toEqual(downFrom(5));
    expect(await listAll(store, { tenant: null, limit: 2 })).toEqual(downFrom(2));
    const even = downFrom(23).filter((index) => index % 2 === 0);
    expect(await listAll(store, { tenant: 'acme', action: 'certificate.issued', limit: 4 })).toEqual(even);
    expect(await listAll(store, { tenant: 'acme', object: 'certificate:7', limit: 4 })).toEqual([7]);
    expect(
      await listAll(store, { tenant: 'acme', action: 'certificate.issued', object: 'certificate:7', limit: 4 }),
    ).toEqual([]);
    const [newest] = (await listAudit(store.read(), { tenant: 'acme', limit: 1 })).entries;
    expect(newest).toEqual({ index: 22, entry: numberedEntry('acme', 22) });
  });

  test('shows an entry once it has its place', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 1);
    expect(await listAll(store, { tenant: 'acme', limit: 10 })).toEqual([]);
    await placeAll(store, 'acme');
    expect(await listAll(store, { tenant: 'acme', limit: 10 })).toEqual([0]);
  });

  test('takes any text, whatever the database says to it', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const odd = `certificate:\0\ud800"${'x'.repeat(10_000)}`;
    const entry = { ...numberedEntry('acme', 1), object: odd, actor: 'a\0\udfff', outcome: AuditOutcome.Refused };
    await store.unit((tx) => appendAudit(tx, entry));
    await placeAll(store, 'acme');
    const page = await listAudit(store.read(), { tenant: 'acme', object: odd, limit: 1 });
    expect(page.entries).toEqual([{ index: 0, entry }]);
  });

  test('an entry that cannot be recorded takes its unit with it', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    const unit = store.unit(async (tx) => {
      await appendAudit(tx, numberedEntry('acme', 1));
      // @ts-expect-error -- what the type refuses, a cast or plain JavaScript would let through
      await appendAudit(tx, { ...numberedEntry('acme', 2), details: { pin: new Secret('1234') } });
    });
    await expect(unit).rejects.toThrow(InternalError);
    expect(await placeAll(store, 'acme')).toBe(0);
  });

  test('a row that was changed is listed without its content', async () => {
    await using database = await auditDatabase(engine);
    const { store } = database;
    await record(store, 'acme', 0, 2);
    await placeAll(store, 'acme');
    await store.unit((tx) =>
      tx
        .db<AuditTables>()
        .updateTable('audit_entries')
        .set({ entry: Buffer.from('nothing happened') })
        .where('tree_index', '=', 1)
        .execute(),
    );
    const page = await listAudit(store.read(), { tenant: 'acme', limit: 10 });
    expect(page.entries).toEqual([
      { index: 1, entry: undefined },
      { index: 0, entry: numberedEntry('acme', 0) },
    ]);
  });
});
