import { sql } from 'kysely';

import { databaseNow } from '../store/database-clock.ts';
import type { ShortLived } from '../store/short-lived.ts';
import { statement } from '../store/statement.ts';
import type { Engine, Store } from '../store/store.ts';
import { BoundedReads } from './bounded-reads.ts';
import { REVOCATIONS_CHANGED } from './revocation.ts';
import type { AuthorityTables, RevocationRow } from './tables.ts';

/** A certificate whose status has changed, as this node learned of it. */
export interface RevocationChange {
  readonly tenant: string;
  readonly authority: string;
  readonly serialNumber: string;
  readonly certificate: string;
  readonly state: RevocationRow['state'];
  /** When the database took the change and when this node saw it, both by the database's clock. */
  readonly changedAt: number;
  readonly seenAt: number;
}

/** What the view tells; `undefined` when it missed something or there is too much to name: everything may have changed. */
export type RevocationListener = (changes: readonly RevocationChange[] | undefined) => void;

/** How the view is kept. */
export interface RevocationViewParts {
  readonly store: Store;
  /** Makes other nodes look at once; correctness never hangs on it. */
  readonly hints: Pick<ShortLived, 'publish' | 'subscribe'>;
  /** Told when looking fails, once until it succeeds again. */
  readonly report: (error: unknown) => void;
  /** Milliseconds between looks; 250 by default. */
  readonly pollMs?: number;
}

const CHANNEL = 'revocations';
const POLL_MS = 250;
/** Each look reads this much again: a change becomes visible when it commits, which is after it took the database's time. */
const REREAD_MS = 10_000;
/** A unit commits or is given up within this; a look later than the rest of {@link REREAD_MS} may have missed one. */
const LONGEST_UNIT_MS = 5_000;
/** A look without an answer is given up after this, and so many may be without one. */
const LOOK_MS = 1_500;
const LOOKS = 3;
/** More changes than this are not named one by one. */
const MOST_CHANGES = 20_000;

/**
 * What this node knows of revocations: changed certificates are named to listeners within a second of the commit on whatever
 * node, because the database is asked every {@link POLL_MS}. `ageMs` says how old the knowledge is; whoever answers from
 * memory looks at it first.
 */
export class RevocationView {
  readonly #store: Store;
  readonly #hints: RevocationViewParts['hints'];
  readonly #report: (error: unknown) => void;
  readonly #pollMs: number;
  readonly #listeners = new Set<RevocationListener>();
  readonly #reads = new BoundedReads(LOOK_MS, LOOKS);
  /** What was named already, with the time of its change: a look reads the last seconds again and again. */
  #known = new Map<string, number>();
  /** `performance.now()` at the start of the last look that succeeded. */
  #seenAt = -Infinity;
  #looking: Promise<void> | undefined;
  #failing = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: () => Promise<void> = async () => undefined;

  constructor({ store, hints, report, pollMs }: RevocationViewParts) {
    this.#store = store;
    this.#hints = hints;
    this.#report = report;
    this.#pollMs = pollMs ?? POLL_MS;
  }

  /** Milliseconds since the database was last asked with success; changes older than that are known here. */
  get ageMs(): number {
    return performance.now() - this.#seenAt;
  }

  /** Looks for the first time, then again and again until {@link stop}. */
  async start(): Promise<void> {
    const unsubscribe = await this.#hints.subscribe(CHANNEL, () => void this.look());
    const stopHearing = this.#store.onSignal(REVOCATIONS_CHANGED, () => this.#announce());
    this.#unsubscribe = async () => {
      stopHearing();
      await unsubscribe();
    };
    await this.look();
    this.#schedule();
  }

  /** Stops looking. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#unsubscribe();
    await this.#looking;
  }

  /** Calls back after each look that found something; returns what stops that. */
  subscribe(listener: RevocationListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Asks the database now: what was committed before is known when this resolves. A look under way may have started before the
   * caller's commit: it is followed by another.
   */
  async look(): Promise<void> {
    await this.#looking;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  /** Something was revoked here, by whatever way: the other nodes look now, and so does this one. */
  #announce(): void {
    void this.#hints.publish(CHANNEL, '').catch(this.#report);
    void this.look();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.look().then(() => this.#schedule()), this.#pollMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    const missed = startedAt - this.#seenAt > REREAD_MS - LONGEST_UNIT_MS;
    try {
      const window = { window: REREAD_MS, limit: MOST_CHANGES + 1 };
      const rows = await this.#reads.run(() => this.#store.query(changedLately, window));
      this.#seenAt = startedAt;
      this.#failing = false;
      this.#tell(rows, missed || rows.length > MOST_CHANGES);
    } catch (error) {
      if (!this.#failing) this.#report(error);
      this.#failing = true;
    }
  }

  #tell(rows: readonly ChangedRow[], everything: boolean): void {
    const fresh = rows.filter((row) => this.#known.get(keyOf(row)) !== row.changed_at);
    this.#known = new Map(rows.map((row) => [keyOf(row), row.changed_at]));
    if (!everything && fresh.length === 0) return;
    const changes = everything ? undefined : fresh.map(changeOf);
    for (const listener of this.#listeners) listener(changes);
  }
}

type ChangedRow = Pick<
  RevocationRow,
  'tenant' | 'authority' | 'serial_number' | 'certificate' | 'state' | 'changed_at'
> & { readonly now: number };

function keyOf({ authority, serial_number: serialNumber }: ChangedRow): string {
  return `${authority}/${serialNumber}`;
}

function changeOf(row: ChangedRow): RevocationChange {
  return {
    tenant: row.tenant,
    authority: row.authority,
    serialNumber: row.serial_number,
    certificate: row.certificate,
    state: row.state,
    changedAt: row.changed_at,
    seenAt: row.now,
  };
}

/** PostgreSQL compares an index with a time that stands still for the statement, not with `clock_timestamp`. */
function startOfStatement(engine: Engine) {
  return engine === 'sqlite'
    ? databaseNow(engine)
    : sql<number>`cast(extract(epoch from statement_timestamp()) * 1000 as bigint)`;
}

const changedLately = statement<AuthorityTables>()(
  'revocations-changed',
  (db, p: { window: number; limit: number }, engine) =>
    db
      .selectFrom('revocations')
      .select(['tenant', 'authority', 'serial_number', 'certificate', 'state', 'changed_at'])
      .select(() => databaseNow(engine).as('now'))
      .where('changed_at', '>', sql<number>`${startOfStatement(engine)} - cast(${p.window} as bigint)`)
      .limit(sql<number>`cast(${p.limit} as bigint)`),
);
