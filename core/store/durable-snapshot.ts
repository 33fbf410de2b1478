import type Database from 'better-sqlite3';

/** A read transaction that stays open: what readers see moves only when it is told to. */
export interface DurableSnapshot {
  /** Shows what is committed by now. */
  advance(): void;
  /** Holds no part of the log any more; until `advance` each statement sees what is committed. */
  release(): void;
}

/**
 * Keeps a connection that only reads in one transaction, moved from one durable state to the next. A COMMIT that is not
 * synced yet stays invisible, and statements take no lock of their own.
 */
export function durableSnapshot(reader: Database.Database): DurableSnapshot {
  const begin = reader.prepare('BEGIN');
  const end = reader.prepare('COMMIT');
  // BEGIN alone takes no snapshot: the first read does.
  const firstRead = reader.prepare<[], number>('select 1 from sqlite_schema').pluck();
  const release = (): void => {
    if (reader.inTransaction) end.run();
  };
  const advance = (): void => {
    release();
    begin.run();
    firstRead.get();
  };
  advance();
  return { advance, release };
}
