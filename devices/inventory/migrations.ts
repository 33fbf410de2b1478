import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';
import { manifestMigrations } from './manifest-migrations.ts';

/** The schema of the inventory. */
export const inventoryMigrations: readonly Migration[] = [
  {
    id: 'inventory-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('devices')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('certificate', textKey)
        .addColumn('certificate_not_after', integer)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('devices_pk', ['tenant', 'id'])
        .addUniqueConstraint('devices_name', ['tenant', 'name'])
        .execute();
    },
  },
  ...manifestMigrations,
];
