import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';
import type { Role } from './access.ts';
import { type UserRow, userMigrations } from './user-table.ts';
import { idempotencyMigrations } from './idempotency-table.ts';

/** Tables of this folder. */
export interface ApiTables {
  api_tokens: ApiTokenRow;
  users: UserRow;
}

/** A bearer token. Times are epoch milliseconds. */
export interface ApiTokenRow {
  id: string;
  /** Null: a token of the installation, for all tenants. */
  tenant: string | null;
  label: string;
  role: Role;
  /** JSON list of scopes that narrow the role; null: all of the role's. */
  scopes: string | null;
  /** Lower-case hex SHA-256 of the token. */
  hash: string;
  created_by: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
  /** Id of the user whose token it is; null: nobody's in particular. */
  user_id: string | null;
}

/** The schema of this folder; after the migrations of core/authority, which make the tenants. */
export const apiMigrations: readonly Migration[] = [
  {
    id: 'api-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('api_tokens')
        .addColumn('id', textKey, (column) => column.primaryKey().notNull())
        .addColumn('tenant', textKey, (column) => column.references('tenants.id'))
        .addColumn('label', text, (column) => column.notNull())
        .addColumn('role', text, (column) => column.notNull())
        .addColumn('scopes', text)
        .addColumn('hash', textKey, (column) => column.notNull().unique())
        .addColumn('created_by', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('expires_at', integer)
        .addColumn('last_used_at', integer)
        .addColumn('revoked_at', integer)
        .execute();
    },
  },
  ...idempotencyMigrations,
  ...userMigrations,
];
