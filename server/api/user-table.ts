import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';
import type { Role } from './access.ts';

/** A person or a program that has tokens. Times are epoch milliseconds. */
export interface UserRow {
  id: string;
  /** Id of the tenant the user is confined to; empty: of the installation. */
  scope: string;
  /** Unique in its scope. */
  name: string;
  role: Role;
  description: string | null;
  state: 'active' | 'disabled';
  revision: number;
  created_at: number;
}

/** The schema of users; after that of the tokens, which belong to them. */
export const userMigrations: readonly Migration[] = [
  {
    id: 'users-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('users')
        .addColumn('id', textKey, (column) => column.primaryKey().notNull())
        .addColumn('scope', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('role', text, (column) => column.notNull())
        .addColumn('description', text)
        .addColumn('state', text, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addUniqueConstraint('users_name', ['scope', 'name'])
        .execute();
      await db.schema.alterTable('api_tokens').addColumn('user_id', textKey).execute();
    },
  },
];
