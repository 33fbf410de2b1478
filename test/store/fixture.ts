import { sql } from 'kysely';
import { columnTypes } from '../../core/store/column-types.ts';
import { migrate, type Migration } from '../../core/store/migrations.ts';
import { statement } from '../../core/store/statement.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Engine, Store } from '../../core/store/store.ts';
import { openTestStore, type TestStoreOptions } from '../support/stores.ts';

/** The tables these tests write to. */
export interface Shelf {
  parent: { id: string };
  item: {
    id: string;
    tenant: string;
    count: number;
    note: string | null;
    data: Uint8Array | null;
    parent: string | null;
  };
}

/** A foreign key that is checked at COMMIT only: the one way to make a COMMIT fail on both engines. */
const shelfMigration: Migration = {
  id: 'shelf-0001',
  async up(db, engine) {
    const type = columnTypes(engine);
    await db.schema
      .createTable('parent')
      .addColumn('id', type.textKey, (column) => column.primaryKey())
      .execute();
    await db.schema
      .createTable('item')
      .addColumn('id', type.textKey, (column) => column.primaryKey().notNull())
      .addColumn('tenant', type.textKey, (column) => column.notNull())
      .addColumn('count', type.integer, (column) => column.notNull())
      .addColumn('note', type.text)
      .addColumn('data', type.blob)
      .addColumn('parent', type.textKey)
      .addForeignKeyConstraint('item_parent', ['parent'], 'parent', ['id'], (constraint) =>
        constraint.deferrable().initiallyDeferred(),
      )
      .execute();
  },
};

/** What the fixture's databases are migrated by. */
export const shelfMigrations: readonly Migration[] = [...storeMigrations, shelfMigration];

/** Opens a store with the tables in it. */
export async function openShelf(engine: Engine, options: TestStoreOptions = {}): Promise<Store> {
  const store = await openTestStore(engine, options);
  await migrate(store, shelfMigrations);
  return store;
}

export const insertItem = statement<Shelf>()(
  'shelf-insert',
  (db, p: { id: string; count: number; note?: string | null; data?: Uint8Array | null; parent?: string | null }) =>
    db.insertInto('item').values({
      id: p.id,
      tenant: 'acme',
      count: p.count,
      note: p.note ?? null,
      data: p.data ?? null,
      parent: p.parent ?? null,
    }),
);

export const selectItem = statement<Shelf>()('shelf-select', (db, p: { id: string }) =>
  db.selectFrom('item').select(['id', 'count', 'note', 'data']).where('id', '=', p.id),
);

export const raiseCount = statement<Shelf>()('shelf-raise', (db, p: { id: string; expected: number }) =>
  db
    .updateTable('item')
    .set({ count: sql`count + 1` })
    .where('id', '=', p.id)
    .where('count', '=', p.expected)
    .returning('count'),
);

/** The identifiers of all durable items. */
export async function itemIds(store: Store): Promise<string[]> {
  const rows = await store.read<Shelf>().selectFrom('item').select('id').orderBy('id').execute();
  return rows.map((row) => row.id);
}
