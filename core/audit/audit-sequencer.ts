import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../errors/muster-error.ts';
import { newId } from '../store/id.ts';
import type { Store } from '../store/store.ts';
import type { AuditTree } from './entry.ts';
import { listTrees, listUnsignedTrees, listWaitingTrees } from './head.ts';
import { acquireLease, releaseLease } from './lease.ts';
import { ENTRIES_PER_UNIT, sequenceOnce } from './sequencer.ts';
import { ForkError, assertContinued, signTree } from './signing.ts';
import type { CheckpointSigning } from './signing.ts';

/** Something about the audit log that an operator must hear of. */
export interface AuditAlarm {
  /** `fork`: the log does not continue what was signed. `failed`: placing or signing failed and is tried again. */
  readonly kind: 'fork' | 'failed';
  /** Undefined when it concerns all trees. */
  readonly tree: AuditTree | undefined;
  readonly error: unknown;
}

/** What an AuditSequencer works with. */
export interface AuditSequencerOptions {
  readonly store: Store;
  readonly signing: CheckpointSigning;
  /** Hears of each trouble once, when it begins. Must not throw. */
  readonly onAlarm: (alarm: AuditAlarm) => void;
  /** Pause between two passes, milliseconds; 500 by default, so that an entry waits less than a second. */
  readonly intervalMs?: number;
  /** Least time between two checkpoints of a tree, milliseconds; 10,000 by default. */
  readonly checkpointIntervalMs?: number;
  /** How long another node waits for this one when it dies, milliseconds; 6,000 by default. */
  readonly leaseTtlMs?: number;
}

/**
 * Places the entries of all trees and signs their heads. Any number of nodes may run one: the lease lets one of them
 * work, and its fencing token refuses what a node does that lost the lease without noticing.
 */
export class AuditSequencer {
  readonly #options: Required<AuditSequencerOptions>;
  readonly #holder = newId();
  readonly #troubles = new Map<string, AuditAlarm>();
  readonly #signedAt = new Map<AuditTree, number>();
  #lease: { fence: number; renewAt: number } | undefined;

  constructor(options: AuditSequencerOptions) {
    this.#options = { intervalMs: 500, checkpointIntervalMs: 10_000, leaseTtlMs: 6_000, ...options };
  }

  /** Whether this node held the lease at its last pass. */
  get leads(): boolean {
    return this.#lease !== undefined;
  }

  /** The troubles that last. */
  get troubles(): readonly AuditAlarm[] {
    return [...this.#troubles.values()];
  }

  /** Works until `signal` aborts; then places and signs what is left and gives the lease back. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.pass();
      await sleep(this.#options.intervalMs, undefined, { signal }).catch(() => undefined);
    }
    await this.pass({ signAll: true });
    if (this.#lease === undefined) return;
    this.#lease = undefined;
    await this.#attempt(undefined, () => releaseLease(this.#options.store, this.#holder));
  }

  /** One pass: places what waits, and signs what is due (with `signAll`, what is not signed). Never rejects. */
  async pass({ signAll = false }: { readonly signAll?: boolean } = {}): Promise<void> {
    await this.#attempt(undefined, async () => {
      if (!(await this.#lead())) return;
      await this.#placeWaiting();
      await this.#signDue(signAll);
    });
  }

  async #lead(): Promise<boolean> {
    // The clock that only goes forward: a step of the wall clock must not stretch the lease.
    const now = performance.now();
    if (this.#lease !== undefined && now < this.#lease.renewAt) return true;
    const { store, leaseTtlMs } = this.#options;
    const lease = await acquireLease(store, this.#holder, leaseTtlMs);
    const isNew = lease !== undefined && this.#lease === undefined;
    this.#lease = lease && { fence: lease.fence, renewAt: now + leaseTtlMs / 2 };
    if (isNew) await this.#checkAll();
    return lease !== undefined;
  }

  // A restored database must be noticed although nothing new was recorded, and so must one that lacks a whole tree.
  async #checkAll(): Promise<void> {
    const { store, signing } = this.#options;
    const trees = new Set([...(await listTrees(store)), ...(await signing.memory.trees())]);
    for (const tree of trees) await this.#attempt(tree, () => assertContinued(store, tree, signing));
  }

  // One unit for each tree in turn, so that a busy tenant does not keep the others waiting.
  async #placeWaiting(): Promise<void> {
    let trees = await listWaitingTrees(this.#options.store);
    while (trees.length > 0) {
      const unfinished: AuditTree[] = [];
      for (const tree of trees) if (await this.#placeSome(tree)) unfinished.push(tree);
      trees = unfinished;
    }
  }

  async #placeSome(tree: AuditTree): Promise<boolean> {
    if (!(await this.#lead())) return false;
    const fence = this.#lease!.fence;
    const sequenced = await this.#attempt(tree, () => sequenceOnce(this.#options.store, tree, { fence }), 'placing');
    return sequenced?.placed === ENTRIES_PER_UNIT;
  }

  async #signDue(signAll: boolean): Promise<void> {
    if (!(await this.#lead())) return;
    const { store, signing, checkpointIntervalMs } = this.#options;
    for (const tree of await listUnsignedTrees(store)) {
      const dueAt = (this.#signedAt.get(tree) ?? -Infinity) + checkpointIntervalMs;
      if (!signAll && performance.now() < dueAt) continue;
      this.#signedAt.set(tree, performance.now());
      await this.#attempt(tree, () => signTree(store, tree, signing));
    }
  }

  async #attempt<T>(tree: AuditTree | undefined, work: () => Promise<T>, what = 'signing'): Promise<T | undefined> {
    const key = tree === undefined ? 'pass' : `${what} ${tree ?? ''}`;
    try {
      const result = await work();
      this.#troubles.delete(key);
      return result;
    } catch (error) {
      this.#note(key, tree, error);
      return undefined;
    }
  }

  #note(key: string, tree: AuditTree | undefined, error: unknown): void {
    const isFork = error instanceof ForkError;
    if (!isFork && reasonOf(error) === 'conflict') {
      // Another sequencer was quicker: it has the lease, or will show by the next pass that it has not.
      this.#lease = undefined;
      return;
    }
    const alarm: AuditAlarm = { kind: isFork ? 'fork' : 'failed', tree, error };
    const known = this.#troubles.get(key)?.kind === alarm.kind;
    this.#troubles.set(key, alarm);
    if (!known) this.#options.onAlarm(alarm);
  }
}
