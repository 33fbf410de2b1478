import { sql, type SqlBool } from 'kysely';

import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** The schema of accounts, orders and authorizations. */
export const acmeMigrations: readonly Migration[] = [
  {
    id: 'acme-0001',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('acme_accounts')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('thumbprint', textKey, (column) => column.notNull())
        .addColumn('spki_sha256', textKey, (column) => column.notNull())
        .addColumn('jwk', text, (column) => column.notNull())
        .addColumn('status', textKey, (column) => column.notNull())
        .addColumn('contact', text, (column) => column.notNull())
        .addColumn('terms', text)
        .addColumn('eab_key', textKey)
        .addColumn('binding', text)
        .addColumn('source_address', text, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('acme_accounts_pk', ['tenant', 'id'])
        .addUniqueConstraint('acme_accounts_thumbprint', ['endpoint', 'thumbprint'])
        .execute();
      await db.schema
        .createIndex('acme_accounts_key')
        .on('acme_accounts')
        .columns(['spki_sha256', 'endpoint'])
        .execute();
    },
  },
  {
    id: 'acme-0002',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('acme_orders')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('label', textKey, (column) => column.notNull())
        .addColumn('account', textKey, (column) => column.notNull())
        .addColumn('status', textKey, (column) => column.notNull())
        .addColumn('identifiers', text, (column) => column.notNull())
        .addColumn('authorizations', text, (column) => column.notNull())
        .addColumn('profile', text)
        .addColumn('eab_key', textKey)
        .addColumn('replaces', textKey)
        .addColumn('replaces_name', text)
        .addColumn('error', text)
        .addColumn('csr', blob)
        .addColumn('certificate', textKey)
        .addColumn('source_address', text, (column) => column.notNull())
        .addColumn('lease_until', integer)
        .addColumn('expires_at', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addColumn('updated_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('acme_orders_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('acme_orders_account', ['tenant', 'account'], 'acme_accounts', ['tenant', 'id'])
        .execute();
      await db.schema.createIndex('acme_orders_of_account').on('acme_orders').columns(['account', 'id']).execute();
      await db.schema
        .createIndex('acme_orders_certificate')
        .on('acme_orders')
        .column('certificate')
        .where('certificate', 'is not', null)
        .execute();
      // RFC 9773 §5: a certificate is replaced once; an order that failed gives it free again.
      await db.schema
        .createIndex('acme_orders_replaces')
        .on('acme_orders')
        .column('replaces')
        .unique()
        .where(sql<SqlBool>`replaces is not null and status <> 'invalid'`)
        .execute();
      await db.schema
        .createIndex('acme_orders_processing')
        .on('acme_orders')
        .columns(['status', 'lease_until'])
        .where('status', '=', 'processing')
        .execute();
      await db.schema.createIndex('acme_orders_expiry').on('acme_orders').columns(['status', 'expires_at']).execute();
    },
  },
  {
    id: 'acme-0003',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('acme_authorizations')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('endpoint', textKey, (column) => column.notNull())
        .addColumn('label', textKey, (column) => column.notNull())
        .addColumn('account', textKey, (column) => column.notNull())
        .addColumn('type', textKey, (column) => column.notNull())
        .addColumn('value', textKey, (column) => column.notNull())
        .addColumn('wildcard', integer, (column) => column.notNull())
        .addColumn('status', textKey, (column) => column.notNull())
        .addColumn('token', text, (column) => column.notNull())
        .addColumn('offered', text, (column) => column.notNull())
        .addColumn('challenge', text)
        .addColumn('challenge_status', textKey, (column) => column.notNull())
        .addColumn('account_url', text, (column) => column.notNull())
        .addColumn('error', text)
        .addColumn('attempts', integer, (column) => column.notNull())
        .addColumn('lease_until', integer)
        .addColumn('validated_at', integer)
        .addColumn('expires_at', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('acme_authorizations_pk', ['tenant', 'id'])
        .addForeignKeyConstraint('acme_authorizations_account', ['tenant', 'account'], 'acme_accounts', [
          'tenant',
          'id',
        ])
        .execute();
      // Names that may be used again, and names that failed lately.
      await db.schema
        .createIndex('acme_authorizations_of_account')
        .on('acme_authorizations')
        .columns(['account', 'status', 'value'])
        .execute();
      await db.schema
        .createIndex('acme_authorizations_processing')
        .on('acme_authorizations')
        .columns(['challenge_status', 'lease_until'])
        .where('challenge_status', '=', 'processing')
        .execute();
      await db.schema
        .createIndex('acme_authorizations_expiry')
        .on('acme_authorizations')
        .column('expires_at')
        .execute();
    },
  },
  {
    id: 'acme-0004',
    async up(db, engine) {
      const { textKey, text, integer } = columnTypes(engine);
      await db.schema
        .createTable('acme_renewal_windows')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('certificate', textKey, (column) => column.notNull())
        .addColumn('starts_at', integer, (column) => column.notNull())
        .addColumn('ends_at', integer, (column) => column.notNull())
        .addColumn('explanation', text)
        .addColumn('set_by', text, (column) => column.notNull())
        .addColumn('set_at', integer, (column) => column.notNull())
        .addColumn('not_after', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('acme_renewal_windows_pk', ['tenant', 'certificate'])
        .execute();
      await db.schema.createIndex('acme_renewal_windows_end').on('acme_renewal_windows').column('not_after').execute();
      // The evidence that proved an identifier of a device (device-attest-01).
      await db.schema.alterTable('acme_authorizations').addColumn('evidence', textKey).execute();
      await db.schema.alterTable('acme_authorizations').addColumn('attested_key', textKey).execute();
    },
  },
];
