import { appendAudit } from '../audit/log.ts';
import { PeerError, StateError } from '../errors/muster-error.ts';
import { digestInTurns } from '../keys/digest-in-turns.ts';
import type { Store, Unit } from '../store/store.ts';
import { hasEnded } from './authority-end.ts';
import type { CrlBuilder } from './crl-building.ts';
import { crlOrder, type CrlScope } from './crl-contents.ts';
import type { CrlOccasion, CrlPublication } from './crl-jobs.ts';
import {
  advanceSeries,
  deltaBase,
  findCrl,
  lastNumber,
  putInForce,
  readParts,
  recordBase,
  type SignedCrl,
  storeParts,
} from './crl-records.ts';
import type { AuthorityDirectory, Issuer } from './directory.ts';
import { lintCertList } from './lint-crl.ts';
import { statusLifetimes } from './status-lifetimes.ts';
import type { CrlRow } from './tables.ts';

/** What CRLs are made with. */
export interface CrlParts {
  readonly store: Store;
  readonly authorities: Pick<AuthorityDirectory, 'issuer'>;
  readonly build: CrlBuilder;
  /** Told of each CRL put in force. */
  readonly onPublished?: (crl: CrlRow) => void;
}

/** Clocks of relying parties that are slow would find a CRL not yet valid (V52). */
const BACKDATE_MS = 300_000;
/** A revocation may commit this long after it took the database's time: a base covers no more than what is older. */
const COMMIT_SLACK_MS = 10_000;
/** Where certificates point to the full CRL, up to this many entries it is published with each change, not only its delta. */
const FULL_AT_ONCE = 20_000;
/** Each attempt reads the revocations again; more nodes than this do not publish one list at once. */
const ATTEMPTS = 4;

/** The CRLs of every authority: makes them, puts them in force by compare-and-set, and hands out the last good one. */
export class Crls {
  readonly #store: Store;
  readonly #authorities: CrlParts['authorities'];
  readonly #build: CrlBuilder;
  readonly #onPublished: (crl: CrlRow) => void;
  readonly #publishing = new Map<string, Promise<void>>();
  readonly #first = new Map<string, Promise<void>>();

  constructor({ store, authorities, build, onPublished }: CrlParts) {
    this.#store = store;
    this.#authorities = authorities;
    this.#build = build;
    this.#onPublished = onPublished ?? (() => undefined);
  }

  /**
   * The DER of an authority's full CRL: the one in force, the last good one when the token is away.
   * @throws UpstreamError when there is none yet and none can be signed; InternalError when the tenant has no such authority.
   */
  async current(tenant: string, authority: string): Promise<Uint8Array> {
    const crl = await this.inForce({ tenant, authority, scope: 'full' });
    const parts: Uint8Array[] = [];
    for await (const part of readParts(this.#store, crl)) parts.push(part);
    return Buffer.concat(parts);
  }

  /**
   * The CRL in force of one scope (`full`, `delta` or the number of a shard), published now where there is none yet.
   * @throws PeerError `not-found` for another scope, and where nothing is left to be published; as {@link publish} does.
   */
  async inForce({ tenant, authority, scope }: CrlPublication): Promise<CrlRow> {
    const key = { authority, scope };
    const stored = await findCrl(this.#store, key);
    if (stored) return stored;
    if (await hasEnded(this.#store, tenant, authority))
      throw new PeerError('not-found', 'the authority has ended without this CRL');
    await this.#publishFirst({ tenant, authority, scope });
    const made = await findCrl(this.#store, key);
    if (made) return made;
    throw new PeerError('not-found', `the authority has no CRL ${scope}`);
  }

  /** The octets of a CRL in force, slice by slice. */
  octets(crl: CrlRow): AsyncIterable<Uint8Array> {
    return readParts(this.#store, crl);
  }

  /** Whether so little of a CRL's life is left that the next one is due. */
  isDue(crl: CrlRow, now: number): boolean {
    return crl.next_update - now < (crl.next_update - crl.this_update - BACKDATE_MS) / 2;
  }

  /**
   * Signs and publishes what a scope says now. `regular`: the schedule asks, and not a revocation. `fence` runs first in
   * the unit that puts it in force.
   * @throws UpstreamError when the token is away: what is in force stays so.
   */
  publish(
    publication: CrlPublication,
    occasion: CrlOccasion,
    fence: (tx: Unit) => Promise<void> = async () => undefined,
  ): Promise<void> {
    const key = `${publication.authority}/${publication.scope}`;
    // A publication under way may have read the revocations already: whoever asks now waits for it and for one more.
    const next = (this.#publishing.get(key) ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#publish(publication, occasion, fence))
      .finally(() => {
        if (this.#publishing.get(key) === next) this.#publishing.delete(key);
      });
    this.#publishing.set(key, next);
    return next;
  }

  /** Of all that ask for a list before there is one, one publishes it. */
  #publishFirst(publication: CrlPublication): Promise<void> {
    const key = `${publication.authority}/${publication.scope}`;
    const underWay = this.#first.get(key);
    if (underWay) return underWay;
    const made = this.publish(publication, 'regular').finally(() => this.#first.delete(key));
    this.#first.set(key, made);
    return made;
  }

  async #publish(
    publication: CrlPublication,
    occasion: CrlOccasion,
    fence: (tx: Unit) => Promise<void>,
  ): Promise<void> {
    const issuer = await this.#authorities.issuer(publication.tenant, publication.authority);
    const series = isShard(publication.scope) ? publication.scope : 'complete';
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const from = await lastNumber(this.#store, issuer.id, series);
      const covers = (await this.#store.databaseTime()) - COMMIT_SLACK_MS;
      const scopes = await this.#scopes(issuer, publication.scope, { number: from + 1, covers });
      const signed: SignedCrl[] = [];
      for (const scope of scopes) signed.push(await this.#sign(issuer, scope, from + 1, occasion));
      for (const crl of signed) await storeParts(this.#store, crl);
      if (await this.#putInForce(signed, { series, from, covers }, fence)) return;
    }
    throw new StateError('conflict', `others keep publishing the CRL ${publication.scope} of this authority`);
  }

  async #scopes(
    issuer: Issuer,
    scope: string,
    next: { readonly number: number; readonly covers: number },
  ): Promise<CrlScope[]> {
    if (isShard(scope)) {
      const shard = Number(scope);
      if (shard >= issuer.crlShards || issuer.crlShards === 1)
        throw new PeerError('not-found', 'the authority has no such CRL shard');
      return [{ kind: 'shard', shard }];
    }
    const base = await deltaBase(this.#store, issuer.id, this.#store.clock.now());
    const delta: CrlScope = { kind: 'delta', base: base ?? next };
    const full = await findCrl(this.#store, { authority: issuer.id, scope: 'full' });
    const withFull = scope === 'full' || !base || !full || (issuer.crlShards === 1 && full.entries <= FULL_AT_ONCE);
    return withFull ? [delta, { kind: 'full' }] : [delta];
  }

  async #sign(issuer: Issuer, scope: CrlScope, number: number, occasion: CrlOccasion): Promise<SignedCrl> {
    const name = scope.kind === 'shard' ? String(scope.shard) : scope.kind;
    const last = await findCrl(this.#store, { authority: issuer.id, scope: name });
    const now = Math.floor(this.#store.clock.now() / 1000) * 1000;
    const thisUpdate = now - BACKDATE_MS;
    const lifetimes = await statusLifetimes(this.#store, issuer.id);
    const seconds = scope.kind === 'full' ? lifetimes.fullCrlSeconds : lifetimes.crlSeconds;
    const nextUpdate = now + seconds * 1000;
    const endedAfter = last?.regular_at ?? 0;
    const order = crlOrder({ issuer, scope, number, thisUpdate, nextUpdate, endedAfter });
    const { tbsDer, entries } = await this.#build(order);
    const crlKey = await issuer.crlKey();
    const der = await crlKey.signCertList(await lintCertList(tbsDer, issuer), issuer.tenant);
    return {
      tenant: issuer.tenant,
      authority: issuer.id,
      scope: name,
      number,
      base_number: scope.kind === 'delta' ? scope.base.number : null,
      this_update: thisUpdate,
      next_update: nextUpdate,
      regular_at: occasion === 'regular' ? thisUpdate : (last?.regular_at ?? thisUpdate),
      entries,
      size: der.length,
      sha256: (await digestInTurns('sha256', der)).toString('hex'),
      der,
    };
  }

  async #putInForce(
    signed: readonly SignedCrl[],
    { series, from, covers }: { readonly series: string; readonly from: number; readonly covers: number },
    fence: (tx: Unit) => Promise<void>,
  ): Promise<boolean> {
    const now = this.#store.clock.now();
    return this.#store.unit(async (tx) => {
      await fence(tx);
      if (!(await advanceSeries(tx, signed[0]!.authority, series, from))) return false;
      for (const crl of signed) {
        await putInForce(tx, crl);
        const { authority, number, next_update } = crl;
        if (crl.scope === 'full') await recordBase(tx, { authority, number, covers, next_update }, now);
        await recordPublication(tx, crl, now);
        tx.onCommitted(() => this.#onPublished({ ...crl, published_at: now }));
      }
      return true;
    });
  }
}

/** Shards are numbers; `full`, `delta` and `changes` are names. */
function isShard(scope: string): boolean {
  return /^\d{1,4}$/.test(scope);
}

function recordPublication(tx: Unit, crl: SignedCrl, at: number): Promise<void> {
  const { tenant, authority, scope, number, entries, size, sha256, next_update: nextUpdate } = crl;
  return appendAudit(tx, {
    tenant,
    at,
    actor: 'system:crl',
    action: 'crl.published',
    object: `authority:${authority}`,
    outcome: 'success',
    details: { scope, number, entries, size, sha256, nextUpdate },
  });
}
