import type { JsonObject } from '../audit/canonical-json.ts';
import { appendAudit } from '../audit/log.ts';
import { PeerError, StateError } from '../errors/muster-error.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { newId } from '../store/id.ts';
import type { Store, Unit } from '../store/store.ts';
import { certificateFingerprint } from '../x509/certificate.ts';
import { listAuthorities } from './authorities.ts';
import { recordEnd } from './authority-end.ts';
import { crossCertify, makeSuccessor, type SuccessorWish } from './rollover-certificates.ts';
import { liveCertificates } from './rollover-readiness.ts';
import {
  advanceRollover,
  dueRollovers,
  findRollover,
  insertRollover,
  listRollovers,
  moveState,
  setSwitchDate,
  type Rollover,
} from './rollover-records.ts';
import type { Rollovers } from './rollovers.ts';
import type { ServiceIdentities } from './service-identities.ts';
import type { ServicePurpose } from './service-profiles.ts';
import type { AuthorityRow, AuthorityTables, RolloverMemberRow } from './tables.ts';

/** What the ceremony stands on. */
export interface CaRolloverParts {
  readonly store: Store;
  readonly keys: KeyStore;
  readonly rollovers: Pick<Rollovers, 'forget'>;
  readonly identities: Pick<ServiceIdentities, 'current'>;
  /** Has the endpoints of one authority issue by another, inside the unit; returns how many. */
  readonly moveEndpoints: (tx: Unit, tenant: string, from: string, to: string) => Promise<number>;
}

/** Which authority is to be replaced, and by what. */
export interface RolloverWish extends SuccessorWish {
  readonly tenant: string;
  /** Id or name. */
  readonly authority: string;
  /** When the successor takes over, epoch milliseconds; without it, when somebody says so. */
  readonly switchAt?: number | undefined;
  readonly actor: string;
}

/** Who asks for the next step of which rollover. */
export interface RolloverCall {
  readonly tenant: string;
  readonly id: string;
  readonly actor: string;
}

const BY_DATE = 'system:rollover';

/**
 * The rollover of authorities: announced → switched → retired. Keys and certificates are made first; what changes who issues is
 * one unit, by compare-and-set, so that a crash leaves the step done or not done. Each step may be asked for again.
 */
export class CaRollover {
  readonly #parts: CaRolloverParts;
  readonly #listeners = new Set<() => void>();

  constructor(parts: CaRolloverParts) {
    this.#parts = parts;
  }

  /** Calls `listener` after a switch has committed on this node; returns what stops that. */
  onSwitched(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Makes and announces the successor of an authority. Of a root: the next root with the cross certificates, and a successor
   * under it for each active authority under the root. Where one is announced already, that one is returned.
   * @throws PeerError `not-found`; StateError `conflict` when the authority, or one below it, is being replaced otherwise;
   *   UpstreamError when the token is away
   */
  async start(wish: RolloverWish): Promise<Rollover> {
    const { store } = this.#parts;
    const { tenant } = wish;
    const rows = await listAuthorities(store, tenant);
    const authority = rows.find(({ id, name }) => id === wish.authority || name === wish.authority);
    if (!authority) throw new PeerError('not-found', 'no such authority');
    const announced = await this.#announced(authority);
    if (announced) return announced;
    if (authority.kind === 'root' && wish.subject)
      throw new PeerError('malformed-request', 'subject: expected none, because a root keeps its name');
    requireReplaceable(authority, rows);
    const now = store.clock.now();
    const made = await this.#make(authority, rows, wish, now);
    const id = newId(now);
    const row = {
      tenant,
      id,
      state: 'announced' as const,
      switch_at: wish.switchAt ?? null,
      created_by: wish.actor,
      created_at: now,
      switched_at: null,
      retired_at: null,
    };
    const members = made.members.map((member) => ({ tenant, rollover: id, ...member }));
    await store.unit(async (tx) => {
      await insertRollover(tx, { row, members, successors: made.successors });
      const details = { switchAt: wish.switchAt ?? null, members: detailsOf(made) };
      await audit(tx, { tenant, id, actor: wish.actor }, 'rollover.announced', now, details);
      tx.onCommitted(() => this.#parts.rollovers.forget(tenant));
    });
    return this.#get(tenant, id);
  }

  /**
   * Sets the date of the switch; one that has come switches within seconds, on whichever node looks first.
   * @throws PeerError `not-found`; StateError `conflict` when it has switched
   */
  async schedule({ tenant, id, actor }: RolloverCall, at: number): Promise<Rollover> {
    const { store } = this.#parts;
    await this.#get(tenant, id);
    await store.unit(async (tx) => {
      await setSwitchDate(tx, tenant, id, at);
      await audit(tx, { tenant, id, actor }, 'rollover.scheduled', store.clock.now(), { switchAt: at });
      tx.onCommitted(() => this.#parts.rollovers.forget(tenant));
    });
    return this.#get(tenant, id);
  }

  /**
   * Has the successors issue from now on. What has switched stays so.
   * @throws PeerError `not-found`; UpstreamError when the successors' service identities cannot be made: nothing has changed
   */
  async switch({ tenant, id, actor }: RolloverCall): Promise<Rollover> {
    const { store } = this.#parts;
    const rollover = await this.#get(tenant, id);
    if (rollover.state !== 'announced') return rollover;
    // Before, because no unit waits for a token: from the switch on every door finds its keys.
    for (const member of rollover.members) await this.#prepareIdentities(tenant, member);
    const at = store.clock.now();
    await store.unit(async (tx) => {
      if (!(await advanceRollover(tx, tenant, id, { from: 'announced', to: 'switched', at }))) return;
      let endpoints = 0;
      for (const { predecessor, successor } of rollover.members) {
        await moveState(tx, tenant, predecessor, 'active', 'retiring');
        await moveState(tx, tenant, successor, 'next', 'active');
        endpoints += await this.#parts.moveEndpoints(tx, tenant, predecessor, successor);
      }
      await audit(tx, { tenant, id, actor }, 'rollover.switched', at, { endpoints });
      tx.onCommitted(() => {
        this.#parts.rollovers.forget(tenant);
        for (const listener of this.#listeners) listener();
      });
    });
    return this.#get(tenant, id);
  }

  /**
   * Switches what is due, in every tenant; returns how many. For the background.
   * @throws what kept one from switching; the others have
   */
  async switchDue(): Promise<number> {
    const { store } = this.#parts;
    const failures: unknown[] = [];
    let switched = 0;
    for (const { tenant, id } of await dueRollovers(store, store.clock.now())) {
      try {
        await this.switch({ tenant, id, actor: BY_DATE });
        switched += 1;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return switched;
  }

  /**
   * Ends the predecessors: they sign nothing any more but CRLs, until what they issued has ended. What is retired stays so.
   * @throws PeerError `not-found`; StateError `conflict` before the switch, while a certificate of a device has not ended, or
   *   while an authority under a root has not
   */
  async retire({ tenant, id, actor }: RolloverCall): Promise<Rollover> {
    const { store } = this.#parts;
    const rollover = await this.#get(tenant, id);
    if (rollover.state === 'retired') return rollover;
    if (rollover.state === 'announced') throw new StateError('conflict', 'the successor has not taken over yet');
    const at = store.clock.now();
    await store.unit(async (tx) => {
      if (!(await advanceRollover(tx, tenant, id, { from: 'switched', to: 'retired', at }))) return;
      await requireEnded(tx, rollover, at);
      for (const { predecessor, successor } of rollover.members) {
        // An endpoint made meanwhile by somebody who did not look.
        await this.#parts.moveEndpoints(tx, tenant, predecessor, successor);
        await moveState(tx, tenant, predecessor, 'retiring', 'retired');
        await recordEnd(tx, tenant, predecessor);
      }
      await requireNoneBelow(tx, rollover);
      await audit(tx, { tenant, id, actor }, 'rollover.retired', at, {});
      tx.onCommitted(() => this.#parts.rollovers.forget(tenant));
    });
    return this.#get(tenant, id);
  }

  async #get(tenant: string, id: string): Promise<Rollover> {
    const rollover = await findRollover(this.#parts.store, tenant, id);
    if (!rollover) throw new PeerError('not-found', 'no such rollover');
    return rollover;
  }

  async #announced({ tenant, id }: AuthorityRow): Promise<Rollover | undefined> {
    const all = await listRollovers(this.#parts.store, tenant);
    return all.find(
      ({ state, members }) => state === 'announced' && members.some(({ predecessor }) => predecessor === id),
    );
  }

  /** Keys and certificates, in the token. A crash before they are stored leaves unused keys there and nothing else. */
  async #make(authority: AuthorityRow, rows: readonly AuthorityRow[], wish: SuccessorWish, now: number): Promise<Made> {
    const { keys } = this.#parts;
    const taken = new Set(rows.map(({ name }) => name));
    const order = { wish, taken, now };
    if (authority.kind === 'issuing') {
      const parent = rows.find(({ id }) => id === authority.parent);
      if (!parent) throw new StateError('conflict', `the authority above ${authority.name} is not here`);
      const successor = await makeSuccessor(keys, authority, parent, order);
      return {
        members: [{ predecessor: authority.id, successor: successor.id, ...NO_CROSSES }],
        successors: [successor],
      };
    }
    const root = await makeSuccessor(keys, authority, undefined, order);
    const crosses = {
      old_with_new: await crossCertify(keys, root, authority),
      new_with_old: await crossCertify(keys, authority, root),
    };
    const members: Made['members'][number][] = [{ predecessor: authority.id, successor: root.id, ...crosses }];
    const successors = [root];
    for (const below of activeBelow(authority, rows)) {
      const successor = await makeSuccessor(keys, below, root, order);
      members.push({ predecessor: below.id, successor: successor.id, ...NO_CROSSES });
      successors.push(successor);
    }
    return { members, successors };
  }

  /** For what the predecessor has keys for, the successor gets some of its own. */
  async #prepareIdentities(tenant: string, { predecessor, successor }: Rollover['members'][number]): Promise<void> {
    const purposes = await this.#parts.store
      .forTenant<AuthorityTables>(tenant)
      .selectFrom('service_identities')
      .select('purpose')
      .distinct()
      .where('authority', '=', predecessor)
      .where('generation', 'is not', null)
      .execute();
    for (const { purpose } of purposes) {
      await this.#parts.identities.current(tenant, successor, purpose as ServicePurpose);
    }
  }
}

/** Successors with what is stored beside them. */
interface Made {
  readonly members: readonly Omit<RolloverMemberRow, 'tenant' | 'rollover'>[];
  readonly successors: readonly AuthorityRow[];
}

const NO_CROSSES = { old_with_new: null, new_with_old: null };

function activeBelow({ id: root }: AuthorityRow, rows: readonly AuthorityRow[]): AuthorityRow[] {
  return rows.filter(({ parent, state }) => parent === root && state === 'active');
}

function requireReplaceable(authority: AuthorityRow, rows: readonly AuthorityRow[]): void {
  if (authority.state !== 'active')
    throw new StateError('conflict', `the authority ${authority.name} is ${authority.state}, and not active`);
  const around = rows.filter(({ id, parent }) => id === authority.parent || parent === authority.id);
  // A successor under a root that itself is replaced would have to be replaced at once.
  if (around.some(({ kind, state }) => (kind === 'root' ? state !== 'active' : state === 'next')))
    throw new StateError('conflict', 'the authority above it, or one below it, is being replaced');
}

async function requireEnded(tx: Unit, rollover: Rollover, now: number): Promise<void> {
  const { certificates, lastNotAfter } = await liveCertificates(tx, rollover, now);
  if (certificates === 0) return;
  const last = new Date(lastNotAfter ?? now).toISOString();
  throw new StateError('conflict', `${certificates} certificates have not ended; the last does on ${last}`);
}

/** An authority that still signs CRLs needs its root; that is found out after those of this rollover have ended. */
async function requireNoneBelow(tx: Unit, { tenant, members }: Rollover): Promise<void> {
  const below = await tx
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('authorities')
    .select('name')
    .where(
      'parent',
      'in',
      members.map(({ predecessor }) => predecessor),
    )
    .where('state', '!=', 'retired')
    .executeTakeFirst();
  if (below) throw new StateError('conflict', `the authority ${below.name} below it has not ended`);
}

function detailsOf({ members, successors }: Made): readonly JsonObject[] {
  return members.map(({ predecessor, successor, old_with_new, new_with_old }) => {
    const made = successors.find(({ id }) => id === successor)!;
    return {
      predecessor,
      successor,
      name: made.name,
      certificate: certificateFingerprint(made.certificate),
      ...(old_with_new && { oldWithNew: certificateFingerprint(old_with_new) }),
      ...(new_with_old && { newWithOld: certificateFingerprint(new_with_old) }),
    };
  });
}

async function audit(
  tx: Unit,
  { tenant, id, actor }: RolloverCall,
  action: string,
  at: number,
  details: JsonObject,
): Promise<void> {
  await appendAudit(tx, { tenant, at, actor, action, object: `rollover:${id}`, outcome: 'success', details });
}
