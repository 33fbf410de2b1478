import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InternalError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { ENGINES } from '../support/stores.ts';
import { openShelf, type Shelf } from './fixture.ts';

const row = (id: string) => ({ id, count: 0, note: null, data: null, parent: null });

describe.each(ENGINES)('tenants on %s', (engine) => {
  let store: Store;
  beforeAll(async () => {
    store = await openShelf(engine);
    await store.unit(async (tx) => {
      await tx
        .forTenant<Shelf>('acme')
        .insertInto('item', [row('a1'), row('a2')])
        .execute();
      await tx.forTenant<Shelf>('globex').insertInto('item', row('g1')).execute();
    });
  });
  afterAll(() => store.close());

  const everything = () =>
    store.read<Shelf>().selectFrom('item').select(['id', 'tenant', 'count']).orderBy('id').execute();

  it('see their own rows only', async () => {
    const rows = await store.forTenant<Shelf>('acme').selectFrom('item').select('id').orderBy('id').execute();
    expect(rows).toEqual([{ id: 'a1' }, { id: 'a2' }]);
    const other = await store.forTenant<Shelf>('acme').selectFrom('item').select('id').where('id', '=', 'g1').execute();
    expect(other).toEqual([]);
  });

  it('change their own rows only', async () => {
    const changed = await store.unit((tx) =>
      tx
        .forTenant<Shelf>('acme')
        .updateTable('item', { count: 5 })
        .where('id', 'in', ['a1', 'g1'])
        .executeTakeFirstOrThrow(),
    );
    expect(changed.numUpdatedRows).toBe(1n);
    expect(await everything()).toContainEqual({ id: 'g1', tenant: 'globex', count: 0 });
  });

  it('delete their own rows only, even without a condition', async () => {
    await store.unit((tx) => tx.forTenant<Shelf>('globex').deleteFrom('item').execute());
    expect((await everything()).map(({ tenant }) => tenant)).toEqual(['acme', 'acme']);
  });

  it('cannot write for another tenant, nor move a row there', async () => {
    const smuggled = { ...row('s'), tenant: 'globex' };
    await store.unit((tx) => tx.forTenant<Shelf>('acme').insertInto('item', smuggled).execute());
    expect(await everything()).toContainEqual({ id: 's', tenant: 'acme', count: 0 });
    const move = { tenant: 'globex', count: 1 };
    await expect(
      store.unit(async (tx) => tx.forTenant<Shelf>('acme').updateTable('item', move).execute()),
    ).rejects.toThrow(InternalError);
  });

  it('are named', () => {
    expect(() => store.forTenant<Shelf>('')).toThrow(InternalError);
    expect(() => store.forTenant<Shelf>('acme').selectFrom('item as i' as 'item')).toThrow(InternalError);
  });
});
