import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';

/** The schema of rollovers: which authority takes over from which, and who is known to be ready for it. */
export const rolloverMigrations: readonly Migration[] = [
  {
    id: 'rollover-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('rollovers')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('switch_at', integer)
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('switched_at', integer)
        .addColumn('retired_at', integer)
        .addPrimaryKeyConstraint('rollovers_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('rollover_members')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('rollover', textKey, (column) => column.notNull())
        .addColumn('predecessor', textKey, (column) => column.notNull())
        .addColumn('successor', textKey, (column) => column.notNull())
        .addColumn('old_with_new', blob)
        .addColumn('new_with_old', blob)
        // An authority has one successor, ever: of two who start at once, the database lets one.
        .addPrimaryKeyConstraint('rollover_members_pk', ['tenant', 'predecessor'])
        .execute();
      await db.schema
        .createTable('rollover_sightings')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('rollover', textKey, (column) => column.notNull())
        .addColumn('device', textKey, (column) => column.notNull())
        .addColumn('evidence', textKey, (column) => column.notNull())
        .addColumn('protocol', text, (column) => column.notNull())
        .addColumn('seen_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('rollover_sightings_pk', ['tenant', 'rollover', 'device', 'evidence'])
        .execute();
      await db.schema
        .createTable('rollover_fetches')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('rollover', textKey, (column) => column.notNull())
        .addColumn('protocol', textKey, (column) => column.notNull())
        .addColumn('fetches', integer, (column) => column.notNull())
        .addColumn('last_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('rollover_fetches_pk', ['tenant', 'rollover', 'protocol'])
        .execute();
    },
  },
];
