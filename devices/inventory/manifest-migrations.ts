import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** The manifest, what was proved of its devices, and what operators must look at. */
export const manifestMigrations: readonly Migration[] = [
  {
    id: 'inventory-0002',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('expected_devices')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('serial_number', textKey)
        .addColumn('ek_sha256', textKey)
        .addColumn('idevid_sha256', textKey)
        .addColumn('vendor_id', text)
        .addColumn('product_id', text)
        .addColumn('model', text)
        .addColumn('name', textKey)
        .addColumn('state', textKey, (column) => column.notNull())
        .addColumn('enrollment', textKey)
        .addColumn('device', textKey)
        .addColumn('manifest', textKey)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('expected_devices_pk', ['tenant', 'id'])
        .execute();
      for (const column of ['serial_number', 'ek_sha256', 'idevid_sha256', 'name'] as const) {
        await db.schema
          .createIndex(`expected_devices_${column}`)
          .on('expected_devices')
          .columns([column, 'tenant'])
          .unique()
          .where(column, 'is not', null)
          .execute();
      }
      await db.schema
        .createIndex('expected_devices_enrollment')
        .on('expected_devices')
        .columns(['enrollment'])
        .where('enrollment', 'is not', null)
        .execute();
    },
  },
  {
    id: 'inventory-0003',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('manifests')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', text, (column) => column.notNull())
        .addColumn('format', text, (column) => column.notNull())
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('lines', integer, (column) => column.notNull())
        .addColumn('columns', text)
        .addColumn('added', integer, (column) => column.notNull())
        .addColumn('unchanged', integer, (column) => column.notNull())
        .addColumn('refused', integer, (column) => column.notNull())
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('manifests_pk', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('manifest_faults')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('manifest', textKey, (column) => column.notNull())
        .addColumn('line', integer, (column) => column.notNull())
        .addColumn('fault', text, (column) => column.notNull())
        .addPrimaryKeyConstraint('manifest_faults_pk', ['tenant', 'manifest', 'line'])
        .addForeignKeyConstraint('manifest_faults_manifest', ['tenant', 'manifest'], 'manifests', ['tenant', 'id'])
        .execute();
      await db.schema
        .createTable('identities')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('identity', textKey, (column) => column.notNull())
        .addColumn('fresh_from', integer, (column) => column.notNull())
        .addColumn('touched_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('identities_pk', ['tenant', 'identity'])
        .execute();
      await db.schema
        .createTable('alerts')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('kind', textKey, (column) => column.notNull())
        .addColumn('object', textKey, (column) => column.notNull())
        .addColumn('state', textKey, (column) => column.notNull())
        .addColumn('occurrences', integer, (column) => column.notNull())
        .addColumn('details', text, (column) => column.notNull())
        .addColumn('acknowledged_by', text)
        .addColumn('first_at', integer, (column) => column.notNull())
        .addColumn('last_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('alerts_pk', ['tenant', 'id'])
        .addUniqueConstraint('alerts_about', ['tenant', 'kind', 'object'])
        .execute();
    },
  },
  {
    // The name `alerts` is that of what is told to operators' channels.
    id: 'inventory-0004',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema.dropTable('alerts').execute();
      await db.schema
        .createTable('device_alarms')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('kind', textKey, (column) => column.notNull())
        .addColumn('object', textKey, (column) => column.notNull())
        .addColumn('state', textKey, (column) => column.notNull())
        .addColumn('occurrences', integer, (column) => column.notNull())
        .addColumn('details', text, (column) => column.notNull())
        .addColumn('acknowledged_by', text)
        .addColumn('first_at', integer, (column) => column.notNull())
        .addColumn('last_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('device_alarms_pk', ['tenant', 'id'])
        .addUniqueConstraint('device_alarms_about', ['tenant', 'kind', 'object'])
        .execute();
    },
  },
];
