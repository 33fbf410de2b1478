import { describe, expect, it } from 'vitest';
import { InternalError } from '../../core/errors/muster-error.ts';
import { migrate, type Migration } from '../../core/store/migrations.ts';
import { ENGINES, testDatabase } from '../support/stores.ts';

const table = (id: string, name: string): Migration => ({
  id,
  up: (db) => db.schema.createTable(name).addColumn('id', 'integer').execute(),
});

describe.each(ENGINES)('migrations on %s', (engine) => {
  it('are applied once, in the order given, and later ones after a restart', async () => {
    await using database = await testDatabase(engine);
    const [one, two] = [table('part-0001', 'one'), table('part-0002', 'two')];
    {
      await using store = await database.open();
      expect(await migrate(store, [one])).toEqual(['part-0001']);
      expect(await migrate(store, [one])).toEqual([]);
    }
    await using store = await database.open();
    expect(await migrate(store, [one, two])).toEqual(['part-0002']);
  });

  it('leave nothing of one that fails, and keep those before it', async () => {
    await using database = await testDatabase(engine);
    await using store = await database.open();
    const half: Migration = {
      id: 'part-0002',
      async up(db) {
        await db.schema.createTable('half').addColumn('id', 'integer').execute();
        await db.schema.createTable('one').addColumn('id', 'integer').execute();
      },
    };
    await expect(migrate(store, [table('part-0001', 'one'), half])).rejects.toThrow(InternalError);
    expect(await migrate(store, [table('part-0001', 'one'), table('part-0002', 'half')])).toEqual(['part-0002']);
  });

  it('refuse a database of a newer version, and an identifier used twice', async () => {
    await using database = await testDatabase(engine);
    await using store = await database.open();
    await migrate(store, [table('part-0001', 'one'), table('part-0002', 'two')]);
    await expect(migrate(store, [table('part-0001', 'one')])).rejects.toThrow('part-0002');
    await expect(migrate(store, [table('x', 'x'), table('x', 'y')])).rejects.toThrow('twice');
  });
});

it('are applied once when several nodes start together', async () => {
  await using database = await testDatabase('postgres');
  const stores = await Promise.all(Array.from({ length: 4 }, () => database.open()));
  const steps = Array.from({ length: 6 }, (_value, index) => table(`part-${index}`, `table_${index}`));
  const applied = await Promise.all(stores.map((store) => migrate(store, steps)));
  expect(applied.flat().toSorted()).toEqual(steps.map((step) => step.id));
  await Promise.all(stores.map((store) => store.close()));
});
