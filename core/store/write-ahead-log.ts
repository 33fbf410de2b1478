import { closeSync, existsSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type Database from 'better-sqlite3';
import { durableSnapshot, type DurableSnapshot } from './durable-snapshot.ts';
import { sqliteUnavailable } from './sqlite-errors.ts';

/** Brings what was written to a file to its medium. */
export type Sync = (descriptor: number) => Promise<void>;

/** fdatasync: the content and the length of the file; on macOS libuv asks for F_FULLFSYNC. */
export const syncData: Sync = promisify(fdatasync);

/** Rows written before the log is copied into the database: about 32 MB of it. */
const ROWS_BETWEEN_CHECKPOINTS = 6000;

/**
 * SQLite's write-ahead log as the leader of a batch needs it: synced beside the work, shown to readers once it is synced,
 * and copied into the database now and then.
 *
 * With `synchronous=FULL` SQLite would sync inside COMMIT and hold the event loop meanwhile. Here COMMIT only writes, and
 * `sync` does what FULL does (fdatasync of the log, https://sqlite.org/wal.html) in libuv's pool. What a transaction means
 * for the file is the same: frames are chained by checksums, so an interrupted write ends the log before it.
 */
export class WriteAheadLog {
  readonly #database: Database.Database;
  readonly #file: string;
  readonly #sync: Sync | undefined;
  readonly #snapshot: DurableSnapshot;
  readonly #rowsChanged: Database.Statement<[], number>;
  #rowsAtCheckpoint = 0;
  #descriptor: number | undefined;

  /** @param sync how the log is synced; `undefined`, for tests alone: not at all. */
  constructor(writer: Database.Database, reader: Database.Database, sync: Sync | undefined) {
    this.#database = writer;
    this.#file = `${writer.name}-wal`;
    this.#sync = sync;
    // A process that was killed may have left frames that nobody synced; they count as committed from here on.
    if (sync !== undefined && existsSync(this.#file)) fdatasyncSync(this.#open());
    this.#snapshot = durableSnapshot(reader);
    this.#rowsChanged = writer.prepare<[], number>('select total_changes()').pluck();
  }

  /** Whether the log has grown enough to be copied. */
  get isCheckpointDue(): boolean {
    return (this.#rowsChanged.get() ?? 0) - this.#rowsAtCheckpoint >= ROWS_BETWEEN_CHECKPOINTS;
  }

  /** Resolves when everything committed until now is on the medium. @throws UpstreamError store-unavailable */
  async sync(): Promise<void> {
    try {
      await this.#sync?.(this.#open());
    } catch (error) {
      throw sqliteUnavailable('the write-ahead log cannot be synced', error);
    }
  }

  /** From now on readers see everything that is committed. Only while all of it is durable. */
  publish(): void {
    this.#snapshot.advance();
  }

  /** Copies the log into the database, so that the next COMMIT starts it anew. Only while all of it is durable. */
  checkpoint(): void {
    this.#snapshot.release();
    try {
      // PASSIVE waits for nobody: what a long stream still needs is left for the next time.
      this.#database.pragma('wal_checkpoint(PASSIVE)');
    } finally {
      this.#rowsAtCheckpoint = this.#rowsChanged.get() ?? 0;
      this.#snapshot.advance();
    }
  }

  /** After the database is closed. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #open(): number {
    // SQLite keeps the file for as long as a connection is open: it is overwritten from its start, never replaced.
    return (this.#descriptor ??= openSync(this.#file, 'r'));
  }
}
