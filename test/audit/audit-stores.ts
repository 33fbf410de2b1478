import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { inject } from 'vitest';
import { auditMigrations } from '../../core/audit/migrations.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { migrate } from '../../core/store/migrations.ts';
import { openPostgres } from '../../core/store/postgres-store.ts';
import { openSqlite } from '../../core/store/sqlite-store.ts';
import type { Engine, Store } from '../../core/store/store.ts';
import { freshDatabase } from '../support/postgres.ts';

/** A new database with the audit tables, which can be copied and put back. */
export async function auditDatabase(engine: Engine): Promise<AuditDatabase> {
  const files = engine === 'sqlite' ? await sqliteFiles() : await postgresFiles();
  const store = await files.open();
  await migrate(store, auditMigrations);
  return new AuditDatabase(files, store);
}

/** Where a database lives. */
interface DatabaseFiles {
  open(): Promise<Store>;
  /** Copies the database, which nobody has open, aside or back. */
  copy(direction: 'aside' | 'back'): Promise<void>;
  remove(): Promise<void>;
}

export class AuditDatabase implements AsyncDisposable {
  readonly #files: DatabaseFiles;
  readonly #others: Store[] = [];
  store: Store;
  #isAway = false;

  constructor(files: DatabaseFiles, store: Store) {
    this.#files = files;
    this.store = store;
  }

  /** A second node on the same database; only PostgreSQL lets it write. */
  async secondNode(): Promise<Store> {
    const store = await this.#files.open();
    this.#others.push(store);
    return store;
  }

  /** Copies the database as it is now; the returned function puts the copy back, as a restore from backup does. */
  async backUp(): Promise<() => Promise<void>> {
    await this.#reopenAfter(() => this.#files.copy('aside'));
    return () => this.#reopenAfter(() => this.#files.copy('back'));
  }

  async #reopenAfter(work: () => Promise<void>): Promise<void> {
    await this.store.close();
    await work();
    this.store = await this.#files.open();
  }

  /** Takes the database away from whoever still uses the store. */
  async goAway(): Promise<void> {
    this.#isAway = true;
    await this.store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const other of this.#others) await other.close();
    if (!this.#isAway) await this.store.close();
    await this.#files.remove();
  }
}

async function sqliteFiles(): Promise<DatabaseFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-audit-'));
  const file = join(folder, 'muster.db');
  return {
    open: () => openSqlite({ file }),
    async copy(direction) {
      if (direction === 'aside') return copyFile(file, `${file}.backup`);
      for (const suffix of ['-wal', '-shm']) await rm(file + suffix, { force: true });
      await copyFile(`${file}.backup`, file);
    },
    remove: () => rm(folder, { recursive: true }),
  };
}

async function postgresFiles(): Promise<DatabaseFiles> {
  const url = await freshDatabase();
  const name = new URL(url).pathname.slice(1);
  return {
    open: () => openPostgres({ url, connections: 4 }),
    async copy(direction) {
      const [from, to] = direction === 'aside' ? [name, `${name}_backup`] : [`${name}_backup`, name];
      const admin = new Client({ connectionString: inject('postgresUrl') });
      await admin.connect();
      await admin.query(`drop database if exists ${to}`);
      await admin.query(`create database ${to} template ${from}`);
      await admin.end();
    },
    remove: () => Promise.resolve(),
  };
}

/** Changes the first leaf tile, as somebody with access to the database can. */
export async function changeTile(store: Store, change: (hashes: Uint8Array) => Uint8Array): Promise<void> {
  await store.unit(async (tx) => {
    const db = tx.db<AuditTables>();
    const { hashes } = await db
      .selectFrom('audit_tiles')
      .select('hashes')
      .where('level', '=', 0)
      .where('tile_index', '=', 0)
      .executeTakeFirstOrThrow();
    await db
      .updateTable('audit_tiles')
      .set({ hashes: change(hashes) })
      .where('level', '=', 0)
      .where('tile_index', '=', 0)
      .execute();
  });
}

/** Swaps the hashes of the first two leaves. */
export function swapFirstHashes(hashes: Uint8Array): Uint8Array {
  return Buffer.concat([hashes.subarray(32, 64), hashes.subarray(0, 32), hashes.subarray(64)]);
}
