import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { columnTypes } from '../store/column-types.ts';
import type { ColumnTypes } from '../store/column-types.ts';
import type { Migration, MigrationTables } from '../store/migrations.ts';

type Schema = Kysely<MigrationTables>['schema'];

/** The schema of the audit logs. */
export const auditMigrations: readonly Migration[] = [
  {
    id: 'audit-0001',
    async up(db, engine) {
      const types = columnTypes(engine);
      await createEntries(db.schema, types);
      await createTrees(db.schema, types);
      await createSigning(db.schema, types);
    },
  },
];

async function createEntries(schema: Schema, types: ColumnTypes): Promise<void> {
  await schema
    .createTable('audit_entries')
    .addColumn('id', types.rowNumber, (column) => column.primaryKey())
    .addColumn('tenant', types.textKey, (column) => column.notNull())
    .addColumn('tree_index', types.integer)
    .addColumn('action', types.textKey, (column) => column.notNull())
    .addColumn('object', types.textKey, (column) => column.notNull())
    .addColumn('entry', types.blob, (column) => column.notNull())
    .execute();
  // Recording an entry writes the row and this index only; the others grow when the sequencer places it.
  const index = (name: string) => schema.createIndex(name).on('audit_entries');
  const place = sql.ref('tree_index');
  await index('audit_entries_waiting').columns(['tenant', 'id']).where(place, 'is', null).execute();
  await index('audit_entries_placed').unique().columns(['tenant', 'tree_index']).where(place, 'is not', null).execute();
  for (const column of ['action', 'object']) {
    await index(`audit_entries_by_${column}`)
      .columns(['tenant', column, 'tree_index'])
      .where(place, 'is not', null)
      .execute();
  }
}

async function createTrees(schema: Schema, types: ColumnTypes): Promise<void> {
  await schema
    .createTable('audit_heads')
    .addColumn('tenant', types.textKey, (column) => column.primaryKey().notNull())
    .addColumn('size', types.integer, (column) => column.notNull())
    .addColumn('root', types.blob, (column) => column.notNull())
    .addColumn('frontier', types.blob, (column) => column.notNull())
    .addColumn('fence', types.integer, (column) => column.notNull())
    .addColumn('checkpoint_size', types.integer, (column) => column.notNull())
    .execute();
  await schema
    .createIndex('audit_heads_unsigned')
    .on('audit_heads')
    .column('tenant')
    .where(sql.ref('size'), '>', sql.ref('checkpoint_size'))
    .execute();
  await schema
    .createTable('audit_tiles')
    .addColumn('tenant', types.textKey, (column) => column.notNull())
    .addColumn('level', types.integer, (column) => column.notNull())
    .addColumn('tile_index', types.integer, (column) => column.notNull())
    .addColumn('hashes', types.blob, (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_tiles_key', ['tenant', 'level', 'tile_index'])
    .execute();
}

async function createSigning(schema: Schema, types: ColumnTypes): Promise<void> {
  await schema
    .createTable('audit_checkpoints')
    .addColumn('tenant', types.textKey, (column) => column.notNull())
    .addColumn('size', types.integer, (column) => column.notNull())
    .addColumn('signed_at', types.integer, (column) => column.notNull())
    .addColumn('note', types.text, (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_checkpoints_key', ['tenant', 'size'])
    .execute();
  await schema
    .createTable('audit_lease')
    .addColumn('name', types.textKey, (column) => column.primaryKey().notNull())
    .addColumn('holder', types.textKey, (column) => column.notNull())
    .addColumn('fence', types.integer, (column) => column.notNull())
    .addColumn('expires_at', types.integer, (column) => column.notNull())
    .execute();
}
