import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import { authorityStanding } from '../../core/authority/authority-revocation.ts';
import { BoundedReads } from '../../core/authority/bounded-reads.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import { standingOf, type Standing } from '../../core/authority/revocation.ts';
import type { ServiceIdentities } from '../../core/authority/service-identities.ts';
import { PeerError, UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { isIssuer } from './authority.ts';
import type { CertId, CertificateStatus, FailureStatus, OcspRequest } from './messages.ts';
import { RecentChanges } from './recent-changes.ts';
import { type Responder, Responders } from './responders.ts';
import { type CachedResponse, ResponseCache } from './response-cache.ts';
import { cachedResponse, type SignedResponse, signResponse } from './signed-response.ts';
import { SigningBudget, type SigningLimits } from './signing-budget.ts';

/** What answers may cost. */
export interface OcspSettings {
  /** Octets of pre-signed answers in memory. */
  readonly cacheBytes: number;
  /** What one source may ask for that no cache holds. */
  readonly signing: SigningLimits;
}

const OCSP_SETTINGS: OcspSettings = {
  cacheBytes: 64 * 1024 * 1024,
  signing: { perSecond: 50, burst: 200 },
};

/** How a request was answered, for metrics. */
export type OcspSource = 'cache' | 'store' | 'signed' | FailureStatus;

/** What the responder stands on. */
export interface OcspDependencies {
  readonly store: Store;
  readonly authorities: Pick<AuthorityDirectory, 'byId' | 'allOf' | 'certified'>;
  readonly identities: Pick<ServiceIdentities, 'current'>;
  readonly revocations: Pick<RevocationView, 'ageMs' | 'subscribe'>;
  readonly settings?: Partial<OcspSettings>;
}

/** An answer with a signature. */
export interface OcspAnswer {
  readonly source: OcspSource;
  /** DER, one octet a character. */
  readonly body: string;
  /** What caches may be told; `undefined`: nothing may keep it. */
  readonly cacheable: CachedResponse | undefined;
}

/** DESIGN: a node that knows less than this does not answer from memory. Milliseconds. */
const OLDEST_VIEW_MS = 2_000;
/** A database that takes longer counts as away, and so many questions may be without an answer. */
const READ_MS = 1_500;
const READS = 256;
/** No answer is given that ends while it travels. */
const LAST_MOMENT_MS = 5_000;
/** A certificate whose status changes while its answer is signed is looked up again, so often. */
const ATTEMPTS = 3;

/** After a token did not answer, so long nothing is refreshed ahead. */
const REFRESH_AGAIN_MS = 5_000;

/** Answers from our own store only, signed by a delegate of the authority that issued the certificates (RFC 6960, RFC 5019). */
export class OcspResponder {
  readonly cache: ResponseCache;
  readonly #dependencies: OcspDependencies;
  readonly #budget: SigningBudget;
  readonly #changes = new RecentChanges();
  readonly #reads = new BoundedReads(READ_MS, READS);
  readonly #responders: Responders;
  /** Pre-signed answers on their way, by what is asked. */
  readonly #signing = new Map<string, Promise<CachedResponse>>();
  readonly #unsubscribe: () => void;

  constructor(dependencies: OcspDependencies) {
    this.#dependencies = dependencies;
    const settings = { ...OCSP_SETTINGS, ...dependencies.settings };
    this.cache = new ResponseCache(settings.cacheBytes);
    this.#budget = new SigningBudget(settings.signing);
    this.#responders = new Responders(dependencies, this.#reads);
    this.#unsubscribe = dependencies.revocations.subscribe((changes) => {
      this.#changes.note(changes?.map(({ authority, serialNumber }) => keyOfCertificate(authority, serialNumber)));
      if (changes === undefined) this.cache.clear();
      else for (const { authority, serialNumber } of changes) this.cache.forget(authority, serialNumber);
    });
  }

  /** Stops listening to revocations. */
  close(): void {
    this.#unsubscribe();
  }

  /** The answer to a request in exactly this spelling, where one is in memory, may be given and needs no successor yet. */
  recall(spelling: string): CachedResponse | undefined {
    const known = this.cache.recall(spelling);
    if (known === undefined || this.#dependencies.revocations.ageMs > OLDEST_VIEW_MS) return undefined;
    return known.refreshAt > this.#dependencies.store.clock.now() ? known : undefined;
  }

  /**
   * Answers a decoded request that came to an authority's URL, about certificates of that authority or of another one of its
   * tenant. `meanings`: of several that it may be, the first about certificates that there are. `spelling` is what
   * {@link recall} finds the answer by next time.
   * @throws what `failureOf` makes a response status of.
   */
  async answer(
    authority: string,
    meanings: readonly [OcspRequest, ...OcspRequest[]],
    source: string,
    spelling: string,
  ): Promise<OcspAnswer> {
    const { responder, request } = await this.#meant(await this.#responders.ofPath(authority), meanings);
    const [only] = request.certIds.filter((id) => isIssuer(responder.known, id));
    if (only === undefined || !request.isPlain) return this.#answerExtended(responder, request, source);
    return this.#answerPlain(responder, only, source, spelling);
  }

  /** A slash in another place is another certificate, and hardly one that was issued. */
  async #meant(own: Responder, meanings: readonly [OcspRequest, ...OcspRequest[]]): Promise<Meant> {
    const [first, ...others] = meanings;
    if (others.length === 0) return { request: first, responder: await this.#responders.forRequest(own, first) };
    for (const request of meanings) {
      const responder = await this.#responders.forRequest(own, request).catch(noneOfOurs);
      if (responder === undefined) continue;
      const statuses = await Promise.all(request.certIds.map((id) => this.#status(responder, id)));
      if (statuses.every(({ kind }) => kind !== 'unknown')) return { request, responder };
    }
    return { request: first, responder: await this.#responders.forRequest(own, first) };
  }

  async #answerPlain(responder: Responder, id: CertId, source: string, spelling: string): Promise<OcspAnswer> {
    const key = keyOfQuestion(responder.issuer.id, id);
    const known = this.cache.get(key);
    if (known !== undefined && this.#isValid(known)) {
      const isFresh = this.#dependencies.revocations.ageMs <= OLDEST_VIEW_MS;
      if (isFresh || sameStatus(known.status, await this.#status(responder, id))) {
        this.cache.alias(spelling, key);
        this.#refreshIfDue(responder, id, known);
        return { source: isFresh ? 'cache' : 'store', body: known.body, cacheable: known };
      }
      this.cache.forget(known.authority, known.serialNumber);
    }
    const status = await this.#status(responder, id);
    // What we never issued has no place in memory: serial numbers are many, and each would cost a signature.
    if (status.kind === 'unknown') return this.#signed(responder, [id], undefined, source);
    const cacheable = await this.#presign(responder, id);
    this.cache.alias(spelling, key);
    return { source: 'signed', body: cacheable.body, cacheable };
  }

  /** A nonce, several certificates, or extensions: an answer for this request alone, as far as the source's budget goes. */
  async #answerExtended(responder: Responder, request: OcspRequest, source: string): Promise<OcspAnswer> {
    const [only, ...more] = request.certIds;
    // RFC 6960 §4.4.1, RFC 9654 §2.1: a nonce may be left out. Beyond the budget the pre-signed answer has to do (V36).
    if (only !== undefined && more.length === 0 && (request.nonce === undefined || !this.#mayHave(source))) {
      const status = await this.#status(responder, only);
      if (status.kind === 'unknown') return this.#signed(responder, [only], undefined, source);
      const reusable = this.#reusable(responder, only, status);
      const cacheable = reusable ?? (await this.#presign(responder, only));
      return { source: reusable ? 'store' : 'signed', body: cacheable.body, cacheable };
    }
    if (more.length > 0) this.#requireBudget(source);
    return this.#sign(responder, request.certIds, request.nonce);
  }

  #reusable(responder: Responder, id: CertId, status: CertificateStatus): CachedResponse | undefined {
    const known = this.cache.get(keyOfQuestion(responder.issuer.id, id));
    return known && this.#isValid(known) && sameStatus(known.status, status) ? known : undefined;
  }

  #mayHave(source: string): boolean {
    return this.#budget.take(source, performance.now());
  }

  #requireBudget(source: string): void {
    if (this.#mayHave(source)) return;
    throw new UpstreamError('overloaded', 'this source asks for more signatures than it may have');
  }

  async #signed(
    responder: Responder,
    ids: readonly CertId[],
    nonce: Uint8Array | undefined,
    source: string,
  ): Promise<OcspAnswer> {
    this.#requireBudget(source);
    return this.#sign(responder, ids, nonce);
  }

  async #sign(responder: Responder, ids: readonly CertId[], nonce: Uint8Array | undefined): Promise<OcspAnswer> {
    const { body } = await this.#respond(responder, ids, nonce);
    return { source: 'signed', body, cacheable: undefined };
  }

  /** Signs an answer for memory; of several that ask for the same one at once, one signs. */
  #presign(responder: Responder, id: CertId): Promise<CachedResponse> {
    const key = keyOfQuestion(responder.issuer.id, id);
    const underWay = this.#signing.get(key);
    if (underWay) return underWay;
    const made = this.#respond(responder, [id], undefined)
      .then((response) => {
        const cached = cachedResponse(responder.issuer.id, id, response);
        this.cache.set(key, cached);
        return cached;
      })
      .finally(() => this.#signing.delete(key));
    this.#signing.set(key, made);
    return made;
  }

  #refreshIfDue(responder: Responder, id: CertId, known: CachedResponse): void {
    if (this.#dependencies.store.clock.now() < known.refreshAt || performance.now() < responder.refreshAfter) return;
    // A token that is away leaves the answer as it is: it is valid until its nextUpdate.
    this.#presign(responder, id).catch(() => (responder.refreshAfter = performance.now() + REFRESH_AGAIN_MS));
  }

  #isValid({ nextUpdate }: CachedResponse): boolean {
    return nextUpdate - this.#dependencies.store.clock.now() > LAST_MOMENT_MS;
  }

  async #respond(responder: Responder, ids: readonly CertId[], nonce: Uint8Array | undefined): Promise<SignedResponse> {
    const { issuer } = responder;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const readAt = performance.now();
      const statuses = await Promise.all(ids.map((id) => this.#status(responder, id)));
      const identity = await this.#dependencies.identities.current(issuer.tenant, issuer.id, 'ocsp');
      const lifetimes = await this.#responders.lifetimes(responder);
      const now = this.#dependencies.store.clock.now();
      const answers = ids.map((id, index) => ({ id, status: statuses[index]! }));
      const response = await signResponse(identity, { tenant: issuer.tenant, answers, nonce, lifetimes, now });
      const changed = ids.some((id) => this.#changes.since(keyOfCertificate(issuer.id, id.serialNumber), readAt));
      if (!changed) return response;
    }
    throw new UpstreamError('overloaded', 'the status changes while it is being signed');
  }

  async #status({ issuer, known }: Responder, id: CertId): Promise<CertificateStatus> {
    if (!isIssuer(known, id)) return { kind: 'unknown' };
    const { store, authorities } = this.#dependencies;
    const { serialNumber } = id;
    const standing = await this.#reads.run(() => standingOf(store, issuer.tenant, issuer.id, serialNumber));
    if (standing.kind === 'unknown' && (await authorities.certified(issuer, serialNumber)))
      return statusOf(await this.#reads.run(() => authorityStanding(store, issuer.id, serialNumber)));
    return statusOf(standing);
  }
}

/** One of the requests that a path may mean, and the authority that it is about. */
interface Meant {
  readonly request: OcspRequest;
  readonly responder: Responder;
}

/** What a repaired path says may well name nobody. */
function noneOfOurs(error: unknown): undefined {
  if (!(error instanceof PeerError)) throw error;
  return undefined;
}

function statusOf(standing: Standing): CertificateStatus {
  if (standing.kind !== 'revoked') return standing;
  return { kind: 'revoked', at: new Date(standing.at), reason: standing.reason };
}

function sameStatus(a: CertificateStatus, b: CertificateStatus): boolean {
  if (a.kind !== 'revoked' || b.kind !== 'revoked') return a.kind === b.kind;
  return a.reason === b.reason && a.at.getTime() === b.at.getTime();
}

function keyOfQuestion(authority: string, { der }: CertId): string {
  return `${authority}/${Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1')}`;
}

function keyOfCertificate(authority: string, serialNumber: string): string {
  return `${authority}/${serialNumber}`;
}
