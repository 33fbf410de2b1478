import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { openServiceKey, type ServiceKey } from '../keys/service-key.ts';
import type { Store } from '../store/store.ts';
import { parseCertificate, type Certificate } from '../x509/certificate.ts';
import { isAuthorityKey } from './authorities.ts';
import type { AuthorityDirectory } from './directory.ts';
import {
  finishIdentity,
  givenUp,
  insertIdentity,
  newestIdentities,
  storedIdentities,
  type StoredIdentity,
} from './service-identity-rows.ts';
import { SERVICE_PROFILES, type ServicePurpose } from './service-profiles.ts';

export type { ServicePurpose } from './service-profiles.ts';

/** A key in the token with a certificate of the authority it serves. */
export interface ServiceIdentity {
  readonly certificate: Certificate;
  /** From the issuing authority's certificate to the root's, DER. */
  readonly chain: readonly Uint8Array[];
  readonly key: ServiceKey;
}

/** What the identities stand on. */
export interface ServiceIdentityParts {
  readonly store: Store;
  readonly keys: KeyStore;
  readonly authorities: AuthorityDirectory;
}

/** Whose identities, and what for. */
export interface IdentityScope {
  readonly tenant: string;
  readonly authority: string;
  readonly purpose: ServicePurpose;
}

/** How long what was read is answered from memory: the time after which every node uses a successor. */
const FRESH_MS = 30_000;

interface Loaded {
  readonly identities: readonly ServiceIdentity[];
  /** Epoch milliseconds until which they are not read again. */
  readonly until: number;
}

/**
 * The keys Muster serves an authority's devices with, each with a certificate of that authority: made in the authority's token
 * when first needed, once for all nodes, and renewed in the background.
 */
export class ServiceIdentities {
  readonly #parts: ServiceIdentityParts;
  readonly #loaded = new Map<string, Loaded>();
  readonly #loading = new Map<string, Promise<Loaded>>();
  /** Open keys by id of the identity: neither key nor certificate of one ever changes. */
  readonly #open = new Map<string, ServiceIdentity>();

  constructor(parts: ServiceIdentityParts) {
    this.#parts = parts;
  }

  /**
   * The newest identity of a purpose; made where there is none.
   * @throws UpstreamError when the token or the store is away; InternalError when the tenant has no such authority.
   */
  async current(tenant: string, authority: string, purpose: ServicePurpose): Promise<ServiceIdentity> {
    return (await this.valid(tenant, authority, purpose))[0]!;
  }

  /**
   * All that have neither expired nor been revoked, newest first: a client may still encrypt to an earlier one. One is made
   * where there is none.
   * @throws as {@link current} does.
   */
  async valid(tenant: string, authority: string, purpose: ServicePurpose): Promise<readonly ServiceIdentity[]> {
    const scope = { tenant, authority, purpose };
    const name = nameOf(scope);
    const now = this.#parts.store.clock.now();
    const known = this.#loaded.get(name);
    const usable = known?.identities.filter(({ certificate }) => certificate.notAfter.getTime() > now) ?? [];
    if (known && known.until > now && usable.length > 0) return usable;
    try {
      return (await this.#load(scope)).identities;
    } catch (error) {
      // A database that is away for a minute must not keep a key from working that needs none.
      if (error instanceof UpstreamError && usable.length > 0) return usable;
      throw error;
    }
  }

  /**
   * Makes the successors of those that are due; returns how many. For the background.
   * @throws what kept one from being made; the others are made.
   */
  async renewDue(): Promise<number> {
    const { store } = this.#parts;
    const failures: unknown[] = [];
    let made = 0;
    for (const { scope, newest, issuerNotAfter } of await newestIdentities(store)) {
      if (!isDue(scope.purpose, newest, issuerNotAfter, store.clock.now())) continue;
      try {
        await this.#make(scope, newest);
        this.#loaded.delete(nameOf(scope));
        made += 1;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return made;
  }

  #load(scope: IdentityScope): Promise<Loaded> {
    const name = nameOf(scope);
    const under = this.#loading.get(name);
    if (under) return under;
    const loading = this.#read(scope).finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    return loading;
  }

  async #read(scope: IdentityScope): Promise<Loaded> {
    const { store } = this.#parts;
    let stored = await storedIdentities(store, scope);
    if (!stored.some((row) => isUsable(row, store.clock.now()))) {
      await this.#make(scope, stored[0]);
      stored = await storedIdentities(store, scope);
    }
    const now = store.clock.now();
    const [newest, ...earlier] = stored.filter((row) => isUsable(row, now));
    if (!newest) throw new InternalError(`the identity ${nameOf(scope)} was made and cannot be used`);
    const identities = [await this.#opened(scope, newest)];
    for (const row of earlier) {
      const opened = await this.#openedIfThere(scope, row);
      if (opened) identities.push(opened);
    }
    const loaded = { identities, until: now + FRESH_MS };
    this.#loaded.set(nameOf(scope), loaded);
    return loaded;
  }

  /** Makes the generation after `newest`, or finishes `newest` where another node, or this one before a crash, left it. */
  async #make(scope: IdentityScope, newest: StoredIdentity | undefined): Promise<void> {
    const { store } = this.#parts;
    const issuer = await this.#parts.authorities.issuer(scope.tenant, scope.authority);
    const unfinished = newest && newest.der === null && !givenUp(newest, store.clock.now());
    const generation = (newest?.generation ?? 0) + 1;
    const row = unfinished ? newest : await insertIdentity(this.#parts, issuer, scope, generation);
    await finishIdentity(store, issuer, scope, row);
  }

  async #opened({ tenant, authority }: IdentityScope, { id, der, keyUri }: StoredIdentity): Promise<ServiceIdentity> {
    const known = this.#open.get(id);
    if (known) return known;
    const { store, keys, authorities } = this.#parts;
    const certificate = parseCertificate(der!);
    const issuer = await authorities.issuer(tenant, authority);
    const key = await openServiceKey(keys, parseKeyUri(keyUri).uri, certificate, {
      isAuthorityKey: (spkiSha256) => isAuthorityKey(store, spkiSha256),
    });
    const identity = { certificate, chain: issuer.chain.map((link) => link.der), key };
    this.#open.set(id, identity);
    return identity;
  }

  /** An earlier key that was removed from its token decrypts for nobody; that must not stop the newest. */
  async #openedIfThere(scope: IdentityScope, row: StoredIdentity): Promise<ServiceIdentity | undefined> {
    try {
      return await this.#opened(scope, row);
    } catch (error) {
      if (error instanceof InternalError) return undefined;
      throw error;
    }
  }
}

function isUsable({ der, status, notAfter }: StoredIdentity, now: number): boolean {
  return der !== null && status === 'active' && (notAfter ?? 0) > now;
}

/** Due when its time comes, when it was revoked, or when its making was interrupted; never when no successor would last longer. */
function isDue(purpose: ServicePurpose, newest: StoredIdentity, issuerNotAfter: number, now: number): boolean {
  if (newest.der === null || newest.status !== 'active') return true;
  const notAfter = newest.notAfter ?? 0;
  return notAfter - SERVICE_PROFILES[purpose].renewBeforeSeconds * 1000 <= now && notAfter < issuerNotAfter;
}

function nameOf({ authority, purpose }: IdentityScope): string {
  return `${authority}:${purpose}`;
}
