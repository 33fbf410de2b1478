import { sql } from 'kysely';

import type { Store, Unit } from '../store/store.ts';
import type { Rollover } from './rollover-records.ts';
import type { Rollovers } from './rollovers.ts';
import type { AuthorityTables, RolloverSightingRow } from './tables.ts';

/** What proves that a device knows the successor of its authority. */
export type RolloverEvidence = RolloverSightingRow['evidence'];

/** Who fetched the certificates of an authority and of its successor. */
export interface CertificateFetch {
  readonly tenant: string;
  readonly authority: string;
  readonly protocol: string;
  /** The device, and how it proved to be it; undefined for anybody. */
  readonly by: { readonly device: string; readonly evidence: 'mtls-fetch' | 'signed-fetch' } | undefined;
}

/** A device that used a chain of an authority: it presented its own, or accepted ours. */
export interface ChainUse {
  readonly tenant: string;
  /** The authority that issued the certificate. */
  readonly authority: string;
  readonly protocol: string;
  readonly device: string;
  readonly evidence: 'presented' | 'accepted';
}

/** What sightings stand on. */
export interface SightingParts {
  readonly store: Store;
  readonly rollovers: Pick<Rollovers, 'lately'>;
  /** Told of each new piece of evidence, and of each fetch by anybody. */
  readonly onSighting?: (evidence: RolloverEvidence | 'anonymous-fetch') => void;
}

/** What waits for the store; a device beyond that is seen the next time it comes. */
const MAX_WAITING = 10_000;
/** What this node remembers to have stored, so that a device that comes daily costs one row and no more. */
const MAX_REMEMBERED = 100_000;

/**
 * Notes who is known to know the successor. What devices do costs them nothing: it waits in memory, bounded, and is stored
 * by {@link flush} in the background. What a crash loses leaves a device unknown, which is not ready.
 */
export class RolloverSightings {
  readonly #parts: SightingParts;
  #waiting = new Map<string, RolloverSightingRow>();
  #fetches = new Map<
    string,
    { readonly row: Pick<Rollover, 'tenant' | 'id'>; readonly protocol: string; count: number }
  >();
  readonly #stored = new Set<string>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(parts: SightingParts) {
    this.#parts = parts;
  }

  /** Certificates went out: those of a successor among them, where there is one. */
  fetched({ tenant, authority, protocol, by }: CertificateFetch): void {
    for (const rollover of this.#parts.rollovers.lately(tenant)) {
      const { members } = rollover;
      if (!members.some(({ predecessor, successor }) => [predecessor, successor].includes(authority))) continue;
      if (by) this.#note(rollover, protocol, by.device, by.evidence);
      else this.#count(rollover, protocol);
    }
  }

  /** A certificate of this authority was presented by a device, or ours was accepted by it. */
  used({ tenant, authority, protocol, device, evidence }: ChainUse): void {
    for (const rollover of this.#parts.rollovers.lately(tenant)) {
      if (rollover.members.some(({ successor }) => successor === authority))
        this.#note(rollover, protocol, device, evidence);
    }
  }

  /** Stores what waits. @throws UpstreamError when the store is away: it waits on */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.catch(() => undefined).then(() => this.#flush());
    return this.#flushing;
  }

  #note(rollover: Rollover, protocol: string, device: string, evidence: RolloverEvidence): void {
    const { tenant, id } = rollover;
    const name = `${id} ${device} ${evidence}`;
    if (this.#stored.has(name) || this.#waiting.has(name) || this.#waiting.size >= MAX_WAITING) return;
    const seen_at = this.#parts.store.clock.now();
    this.#waiting.set(name, { tenant, rollover: id, device, evidence, protocol, seen_at });
    this.#parts.onSighting?.(evidence);
  }

  #count({ tenant, id }: Rollover, protocol: string): void {
    const name = `${id} ${protocol}`;
    const counted = this.#fetches.get(name) ?? { row: { tenant, id }, protocol, count: 0 };
    counted.count += 1;
    this.#fetches.set(name, counted);
    this.#parts.onSighting?.('anonymous-fetch');
  }

  async #flush(): Promise<void> {
    const [waiting, fetches] = [this.#waiting, this.#fetches];
    if (waiting.size + fetches.size === 0) return;
    this.#waiting = new Map();
    this.#fetches = new Map();
    const last_at = this.#parts.store.clock.now();
    try {
      await this.#parts.store.unit(async (tx) => {
        for (const row of waiting.values()) await insertSighting(tx, row);
        for (const { row, protocol, count } of fetches.values())
          await addFetches(tx, { tenant: row.tenant, rollover: row.id, protocol, fetches: count, last_at });
      });
    } catch (error) {
      for (const [name, row] of waiting) if (this.#waiting.size < MAX_WAITING) this.#waiting.set(name, row);
      for (const [name, { row, protocol, count }] of fetches) {
        this.#fetches.set(name, { row, protocol, count: count + (this.#fetches.get(name)?.count ?? 0) });
      }
      throw error;
    }
    if (this.#stored.size + waiting.size > MAX_REMEMBERED) this.#stored.clear();
    for (const name of waiting.keys()) this.#stored.add(name);
  }
}

async function insertSighting(tx: Unit, row: RolloverSightingRow): Promise<void> {
  await tx
    .db<AuthorityTables>()
    .insertInto('rollover_sightings')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

async function addFetches(tx: Unit, row: AuthorityTables['rollover_fetches']): Promise<void> {
  await tx
    .db<AuthorityTables>()
    .insertInto('rollover_fetches')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['tenant', 'rollover', 'protocol']).doUpdateSet({
        fetches: sql`rollover_fetches.fetches + excluded.fetches`,
        last_at: sql`excluded.last_at`,
      }),
    )
    .execute();
}
