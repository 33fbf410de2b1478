import { columnTypes } from '../../core/store/column-types.ts';
import type { Migration } from '../../core/store/migrations.ts';

/** Tables of this folder. Times are epoch milliseconds. */
export interface NotifyTables {
  expiry_alerts: ExpiryAlertRow;
  notification_channels: ChannelRow;
}

/** A certificate that is about to end and has no successor: announced once, ever. */
export interface ExpiryAlertRow {
  tenant: string;
  id: string;
  /** Id of the certificate. */
  certificate: string;
  opened_at: number;
  closed_at: number | null;
  closed_by: 'replaced' | 'revoked' | 'expired' | null;
}

/** Where a tenant is told of alerts. */
export interface ChannelRow {
  tenant: string;
  id: string;
  name: string;
  kind: 'webhook' | 'slack' | 'email' | 'syslog';
  /** JSON: what is no secret. */
  settings: string;
  /** HMAC key, password, or URL that is a credential; sealed under the tenant's data key. */
  sealed: Uint8Array | null;
  /** 1: it is told. */
  enabled: number;
  revision: number;
  created_at: number;
}

/** The schema of alerts and channels; after the migrations of core/authority. */
export const notifyMigrations: readonly Migration[] = [
  {
    id: 'notify-0001',
    async up(db, engine) {
      const { textKey, text, integer, blob } = columnTypes(engine);
      await db.schema
        .createTable('expiry_alerts')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('certificate', textKey, (column) => column.notNull())
        .addColumn('opened_at', integer, (column) => column.notNull())
        .addColumn('closed_at', integer)
        .addColumn('closed_by', text)
        .addPrimaryKeyConstraint('expiry_alerts_pk', ['tenant', 'id'])
        .addUniqueConstraint('expiry_alerts_certificate', ['tenant', 'certificate'])
        .execute();
      await db.schema
        .createTable('notification_channels')
        .addColumn('tenant', textKey, (column) => column.notNull().references('tenants.id'))
        .addColumn('id', textKey, (column) => column.notNull())
        .addColumn('name', textKey, (column) => column.notNull())
        .addColumn('kind', text, (column) => column.notNull())
        .addColumn('settings', text, (column) => column.notNull())
        .addColumn('sealed', blob)
        .addColumn('enabled', integer, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addColumn('created_at', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('notification_channels_pk', ['tenant', 'id'])
        .addUniqueConstraint('notification_channels_name', ['tenant', 'name'])
        .execute();
    },
  },
];
