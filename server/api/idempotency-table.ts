import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** Tables of idempotent requests. */
export interface IdempotencyTables {
  idempotency_keys: {
    /** Id of the token that sent it. */
    token: string;
    /** Lower-case hex SHA-256 of the Idempotency-Key. */
    key_sha256: string;
    /** Lower-case hex SHA-256 of method, URL and body. */
    request_sha256: string;
    /** Null while it is worked on. */
    status: number | null;
    /** The answer, readable only for who has the token and the key; null while it is worked on. */
    sealed: Uint8Array | null;
    /** Epoch milliseconds. */
    created_at: number;
  };
}

/** The schema of idempotent requests. */
export const idempotencyMigrations: readonly Migration[] = [
  {
    id: 'idempotency-0001',
    async up(db, engine) {
      const { textKey, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('idempotency_keys')
        .addColumn('token', textKey, (column) => column.notNull())
        .addColumn('key_sha256', textKey, (column) => column.notNull())
        .addColumn('request_sha256', textKey, (column) => column.notNull())
        .addColumn('status', integer)
        .addColumn('sealed', blob)
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('idempotency_keys_pk', ['token', 'key_sha256'])
        .execute();
      await db.schema.createIndex('idempotency_keys_created_at').on('idempotency_keys').column('created_at').execute();
    },
  },
];
