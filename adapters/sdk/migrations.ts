import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** The schema of adapters; it refers to endpoints and devices. */
export const adapterMigrations: readonly Migration[] = [
  {
    id: 'adapter-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('device_access')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('device', textKey, (column) => column.notNull())
        .addColumn('driver', text, (column) => column.notNull())
        .addColumn('host', text, (column) => column.notNull())
        .addColumn('port', integer, (column) => column.notNull())
        .addColumn('username', text, (column) => column.notNull())
        .addColumn('host_key', text)
        .addColumn('trust_first_use', integer, (column) => column.notNull())
        .addColumn('credential_kind', text, (column) => column.notNull())
        .addColumn('credential', blob, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('device_access_pk', ['tenant', 'device'])
        .addForeignKeyConstraint('device_access_device', ['tenant', 'device'], 'devices', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('services')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('device', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('kind', text, (column) => column.notNull())
        .addColumn('host', text, (column) => column.notNull())
        .addColumn('port', integer, (column) => column.notNull())
        .addColumn('server_name', text)
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('names', text, (column) => column.notNull())
        .addColumn('settings', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('services_pk', ['tenant', 'id'])
        .addUniqueConstraint('services_name', ['tenant', 'device', 'name'])
        .addForeignKeyConstraint('services_device', ['tenant', 'device'], 'devices', ['tenant', 'id'])
        .addForeignKeyConstraint('services_endpoint', ['tenant', 'endpoint'], 'endpoints', ['tenant', 'id'])
        .execute();
    },
  },
  {
    id: 'adapter-0002',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('plans')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('device', textKey, (column) => column.notNull())
        .addColumn('device_name', text, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('holds', textKey)
        .addColumn('document', text, (column) => column.notNull())
        .addColumn('failure', text)
        .addColumn('failure_step', text)
        .addColumn('detail', text)
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('plans_pk', ['tenant', 'id'])
        .addUniqueConstraint('plans_holds', ['tenant', 'holds'])
        .addForeignKeyConstraint('plans_device', ['tenant', 'device'], 'devices', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('plan_steps')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('plan', textKey, (column) => column.notNull())
        .addColumn('position', integer, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('phase', text, (column) => column.notNull())
        .addColumn('service', text, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('attempts', integer, (column) => column.notNull())
        .addColumn('found', text, (column) => column.notNull())
        .addColumn('failure', text)
        .addColumn('detail', text)
        .addColumn('started_at', integer)
        .addColumn('ended_at', integer)
        .addPrimaryKeyConstraint('plan_steps_pk', ['tenant', 'plan', 'position'])
        .addUniqueConstraint('plan_steps_id', ['tenant', 'plan', 'id'])
        .addForeignKeyConstraint('plan_steps_plan', ['tenant', 'plan'], 'plans', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('transcripts')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('plan', textKey, (column) => column.notNull())
        .addColumn('step', text, (column) => column.notNull())
        .addColumn('way', text, (column) => column.notNull())
        .addColumn('at', integer, (column) => column.notNull())
        .addColumn('text', text, (column) => column.notNull())
        .addPrimaryKeyConstraint('transcripts_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('transcripts_plan', ['tenant', 'plan'], 'plans', ['tenant', 'id'])
        .execute();
      await db.schema.createIndex('transcripts_of_plan').on('transcripts').columns(['tenant', 'plan', 'id']).execute();
    },
  },
];
