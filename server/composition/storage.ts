import { adapterMigrations } from '../../adapters/sdk/migrations.ts';
import { auditMigrations } from '../../core/audit/migrations.ts';
import { authorityMigrations } from '../../core/authority/migrations.ts';
import { enrollmentMigrations } from '../../core/enrollment/migrations.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import { migrate, type Migration } from '../../core/store/migrations.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import { openSqlite, type SqliteOptions } from '../../core/store/sqlite-store.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Store } from '../../core/store/store.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import { acmeMigrations } from '../../protocols/acme/migrations.ts';
import { batchMigrations } from '../../protocols/batch/tables.ts';
import { cmpMigrations } from '../../protocols/cmp/migrations.ts';
import { attestationMigrations } from '../../devices/attestation/migrations.ts';
import { attestationKeyMigrations } from '../../devices/attestation/tpm/migrations.ts';
import { descriptionMigrations } from '../../devices/inventory/descriptions.ts';
import { inventoryMigrations } from '../../devices/inventory/migrations.ts';
import { apiMigrations } from '../api/token-tables.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { notifyMigrations } from '../notify/tables.ts';
import { installationMigrations } from '../installation/tables.ts';

/** The whole schema, in the order it is applied: a folder's tables refer only to those before it. */
const MIGRATIONS: readonly Migration[] = [
  ...storeMigrations,
  ...auditMigrations,
  ...authorityMigrations,
  ...enrollmentMigrations,
  ...inventoryMigrations,
  ...descriptionMigrations,
  ...adapterMigrations,
  ...attestationMigrations,
  ...attestationKeyMigrations,
  ...cmpMigrations,
  ...acmeMigrations,
  ...batchMigrations,
  ...apiMigrations,
  ...installationMigrations,
  ...notifyMigrations,
];

/** Told what went wrong behind a caller's back. */
export type Report = (error: unknown) => void;

/** Opens the configured database and brings its schema forward. */
export async function openStore(
  settings: Configuration['store'],
  report: Report,
  forTests: Partial<SqliteOptions> = {},
): Promise<Store> {
  const store =
    settings.engine === 'sqlite'
      ? await openSqlite({ file: settings.file, report, ...forTests })
      : await openPostgresStore(settings.url.reveal(), report);
  try {
    await migrate(store, MIGRATIONS);
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

/** Redis where it is configured, this process's memory otherwise. */
export async function openShortLived(
  settings: Configuration['redis'],
  store: Store,
  report: Report,
): Promise<ShortLived> {
  const options = { clock: store.clock, takenKeys: takenKeysOf(store), report };
  if (settings === undefined) return new MemoryShortLived(options);
  // A site on SQLite never loads the clients of PostgreSQL and Redis: they would be a quarter of its memory.
  const { openRedisShortLived } = await import('../../core/store/redis-short-lived.ts');
  return openRedisShortLived({ ...options, url: settings.url.reveal() });
}

async function openPostgresStore(url: string, report: Report): Promise<Store> {
  const { openPostgres } = await import('../../core/store/postgres-store.ts');
  return openPostgres({ url, report });
}
