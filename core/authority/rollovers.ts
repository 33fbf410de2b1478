import type { Store } from '../store/store.ts';
import { octetsEqual } from '../x509/octets.ts';
import type { AuthorityDirectory } from './directory.ts';
import { listRollovers, type Rollover } from './rollover-records.ts';

/** RootCaKeyUpdateContent of RFC 9810 §5.3.19.15, DER. */
export interface RootKeyUpdate {
  readonly newWithNew: Uint8Array;
  readonly newWithOld: Uint8Array;
  readonly oldWithNew: Uint8Array;
}

/** What rollovers are read from. */
export interface RolloversParts {
  readonly store: Store;
  readonly authorities: AuthorityDirectory;
  /** Told what kept rollovers from being read in the background. */
  readonly report: (error: unknown) => void;
}

/** How long what was read is answered from memory: the time after which every node offers a successor. */
const FRESH_MS = 1_000;

interface Known {
  readonly open: readonly Rollover[];
  readonly revision: string;
  readonly readAt: number;
}

/** The rollovers under way, and what devices are told because of them. Retired ones are history. */
export class Rollovers {
  readonly #parts: RolloversParts;
  readonly #known = new Map<string, Known>();
  readonly #reading = new Map<string, Promise<Known>>();

  constructor(parts: RolloversParts) {
    this.#parts = parts;
  }

  /** Those of a tenant that are announced or switched, oldest first; at most a second old. */
  async open(tenant: string): Promise<readonly Rollover[]> {
    const known = this.#known.get(tenant);
    return known && this.#isFresh(known) ? known.open : (await this.#read(tenant)).open;
  }

  /** What {@link open} knew last, at once: for what must cost a request nothing. */
  lately(tenant: string): readonly Rollover[] {
    const known = this.#known.get(tenant);
    if (!known || !this.#isFresh(known)) this.#read(tenant).catch(this.#parts.report);
    return known?.open ?? [];
  }

  /** Has a tenant's rollovers and authorities read again: for whoever has changed them. */
  forget(tenant: string): void {
    this.#known.delete(tenant);
    this.#reading.delete(tenant);
    this.#parts.authorities.forget(tenant);
  }

  /**
   * What a device needs to trust an authority, the one it takes over from and the one that takes over from it (RFC 7030
   * §4.1.3): the authority's own chain first, OldWithNew and NewWithOld last. DER.
   */
  async trustCertificates(tenant: string, authority: string): Promise<readonly Uint8Array[]> {
    const { authorities } = this.#parts;
    const certificates = [...(await authorities.caCertificates(tenant, authority))];
    for (const { members } of await this.open(tenant)) {
      const member = members.find(({ predecessor, successor }) => [predecessor, successor].includes(authority));
      if (!member) continue;
      const other = member.predecessor === authority ? member.successor : member.predecessor;
      certificates.push(...(await authorities.caCertificates(tenant, other)));
      for (const { crossCertificates: cross } of members)
        if (cross) certificates.push(cross.oldWithNew, cross.newWithOld);
    }
    return certificates.filter((der, index) => certificates.findIndex((other) => octetsEqual(der, other)) === index);
  }

  /**
   * The certificates of the authority that is announced to take over from this one, its own first, DER (RFC 8894 §4.7). An
   * authority that retires without an announcement is followed by the newest active one.
   */
  async successorCertificates(tenant: string, authority: string): Promise<readonly Uint8Array[]> {
    const { authorities } = this.#parts;
    const announced = (await this.open(tenant)).filter(({ state }) => state === 'announced');
    const member = announced.flatMap(({ members }) => members).find(({ predecessor }) => predecessor === authority);
    return member === undefined
      ? authorities.successorCertificates(tenant, authority)
      : authorities.caCertificates(tenant, member.successor);
  }

  /**
   * What takes the place of a root of this authority (RFC 9810 §5.3.19.15): `current` where it is the newest, undefined where
   * this authority knows no such root.
   * @param root the one that the device has, DER; without it, any that is being replaced
   */
  async rootUpdate(
    tenant: string,
    authority: string,
    root: Uint8Array | undefined,
  ): Promise<RootKeyUpdate | 'current' | undefined> {
    const { authorities } = this.#parts;
    let isCurrent = root === undefined || isSame(root, (await authorities.caCertificates(tenant, authority)).at(-1));
    for (const { members } of await this.open(tenant)) {
      const [top] = members;
      if (!top?.crossCertificates || !names(members, authority)) continue;
      const [oldRoot] = await authorities.caCertificates(tenant, top.predecessor);
      const [newWithNew] = await authorities.caCertificates(tenant, top.successor);
      if (newWithNew && (root === undefined || isSame(root, oldRoot))) return { newWithNew, ...top.crossCertificates };
      isCurrent ||= isSame(root, newWithNew);
    }
    return isCurrent ? 'current' : undefined;
  }

  /**
   * What a chain of this authority needs besides, so that whoever trusts only the root before it can verify it: NewWithOld,
   * DER. Nothing once the rollover is over.
   */
  async bridges(tenant: string, authority: string): Promise<readonly Uint8Array[]> {
    return (await this.open(tenant))
      .filter(({ state, members }) => state === 'switched' && members.some(({ successor }) => successor === authority))
      .flatMap(({ members }) => members.flatMap(({ crossCertificates: cross }) => (cross ? [cross.newWithOld] : [])));
  }

  /** The authorities that this one took over from and that have not ended yet, the latest first. */
  async predecessors(tenant: string, authority: string): Promise<readonly string[]> {
    const before = new Map<string, string>();
    for (const { state, members } of await this.open(tenant)) {
      if (state === 'switched') for (const { predecessor, successor } of members) before.set(successor, predecessor);
    }
    const found: string[] = [];
    for (let at = before.get(authority); at !== undefined; at = before.get(at)) found.push(at);
    return found;
  }

  #isFresh({ readAt }: Known): boolean {
    // By a clock that nobody sets.
    return performance.now() - readAt < FRESH_MS;
  }

  #read(tenant: string): Promise<Known> {
    const under = this.#reading.get(tenant);
    if (under) return under;
    const reading = this.#readNow(tenant).then((known) => {
      // Whoever changed something meanwhile has had this reading forgotten.
      if (this.#reading.get(tenant) === reading) this.#keep(tenant, known);
      return known;
    });
    this.#reading.set(tenant, reading);
    const done = (): void => {
      if (this.#reading.get(tenant) === reading) this.#reading.delete(tenant);
    };
    reading.then(done, done);
    return reading;
  }

  async #readNow(tenant: string): Promise<Known> {
    const readAt = performance.now();
    const all = await listRollovers(this.#parts.store, tenant);
    const open = all.filter(({ state }) => state !== 'retired');
    return { open, revision: all.map(({ id, state }) => `${id}:${state}`).join(), readAt };
  }

  /** What another node has changed changes states of authorities: those are read again. */
  #keep(tenant: string, known: Known): void {
    const before = this.#known.get(tenant)?.revision ?? '';
    if (before !== known.revision) this.#parts.authorities.forget(tenant);
    this.#known.set(tenant, known);
  }
}

function names(members: Rollover['members'], authority: string): boolean {
  return members.some(({ predecessor, successor }) => predecessor === authority || successor === authority);
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && octetsEqual(a, b);
}
