import { hash } from 'node:crypto';

import type { AuthorityDirectory, Issuer } from '../../core/authority/directory.ts';
import { BoundedReads } from '../../core/authority/bounded-reads.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import { standingOf, type Standing } from '../../core/authority/revocation.ts';
import type { ServiceIdentities, ServiceIdentity } from '../../core/authority/service-identities.ts';
import { PeerError, UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import { httpDate } from './caching-headers.ts';
import { isIssuer, knownIssuer, type KnownIssuer } from './authority.ts';
import {
  type CertId,
  type CertificateStatus,
  encodeOcspResponse,
  encodeResponseData,
  type FailureStatus,
  type OcspRequest,
  type SingleResponse,
} from './messages.ts';
import { RecentChanges } from './recent-changes.ts';
import { type CachedResponse, ResponseCache } from './response-cache.ts';
import { SigningBudget, type SigningLimits } from './signing-budget.ts';

/** How answers live, and what they may cost. */
export interface OcspSettings {
  /** Seconds that caches on the way may keep an answer. */
  readonly maxAgeSeconds: number;
  /** Seconds from signing to nextUpdate. */
  readonly lifetimeSeconds: number;
  /** Octets of pre-signed answers in memory. */
  readonly cacheBytes: number;
  /** What one source may ask for that no cache holds. */
  readonly signing: SigningLimits;
}

/** Beyond us an answer lives for 300 seconds in a cache, for an hour in a client that keeps it to its end. */
export const OCSP_SETTINGS: OcspSettings = {
  maxAgeSeconds: 300,
  lifetimeSeconds: 3_600,
  cacheBytes: 64 * 1024 * 1024,
  signing: { perSecond: 50, burst: 200 },
};

/** How a request was answered, for metrics. */
export type OcspSource = 'cache' | 'store' | 'signed' | FailureStatus;

/** What the responder stands on. */
export interface OcspDependencies {
  readonly store: Store;
  readonly authorities: Pick<AuthorityDirectory, 'byId' | 'subordinate'>;
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
/** Clocks of relying parties that are slow would find an answer not yet valid (V52). */
const BACKDATE_MS = 300_000;
/** A database that takes longer counts as away, and so many questions may be without an answer. */
const READ_MS = 1_500;
const READS = 256;
/** No answer is given that ends while it travels. */
const LAST_MOMENT_MS = 5_000;
/** A certificate whose status changes while its answer is signed is looked up again, so often. */
const ATTEMPTS = 3;

/** After a token did not answer, so long nothing is refreshed ahead. */
const REFRESH_AGAIN_MS = 5_000;

interface Responder {
  readonly issuer: Issuer;
  readonly known: KnownIssuer;
  refreshAfter: number;
}

/** Answers from our own store only, signed by a delegate of the authority that issued the certificates (RFC 6960, RFC 5019). */
export class OcspResponder {
  readonly settings: OcspSettings;
  readonly cache: ResponseCache;
  readonly #dependencies: OcspDependencies;
  readonly #budget: SigningBudget;
  readonly #changes = new RecentChanges();
  readonly #reads = new BoundedReads(READ_MS, READS);
  readonly #responders = new Map<string, Responder>();
  /** Pre-signed answers on their way, by what is asked. */
  readonly #signing = new Map<string, Promise<CachedResponse>>();
  readonly #unsubscribe: () => void;

  constructor(dependencies: OcspDependencies) {
    this.#dependencies = dependencies;
    this.settings = { ...OCSP_SETTINGS, ...dependencies.settings };
    this.cache = new ResponseCache(this.settings.cacheBytes);
    this.#budget = new SigningBudget(this.settings.signing);
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
   * Answers a decoded request that came to an authority's URL. `meanings`: of several that it may be, the first about certificates
   * that there are. `spelling` is what {@link recall} finds the answer by next time.
   * @throws what `failureOf` makes a response status of.
   */
  async answer(
    authority: string,
    meanings: readonly [OcspRequest, ...OcspRequest[]],
    source: string,
    spelling: string,
  ): Promise<OcspAnswer> {
    const responder = await this.#responder(authority);
    const request = meanings.length === 1 ? meanings[0] : await this.#meant(responder, meanings);
    const ours = request.certIds.filter((id) => isIssuer(responder.known, id));
    if (ours.length === 0) throw new PeerError('not-found', 'the CertIDs name no issuer that is answered for here');
    const [only] = ours;
    if (only === undefined || !request.isPlain) return this.#answerExtended(responder, request, source);
    return this.#answerPlain(responder, only, source, spelling);
  }

  /** A slash in another place is another certificate, and hardly one that was issued. */
  async #meant(responder: Responder, meanings: readonly [OcspRequest, ...OcspRequest[]]): Promise<OcspRequest> {
    for (const request of meanings) {
      const statuses = await Promise.all(request.certIds.map((id) => this.#status(responder, id)));
      if (statuses.every(({ kind }) => kind !== 'unknown')) return request;
    }
    return meanings[0];
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

  async #respond(responder: Responder, ids: readonly CertId[], nonce: Uint8Array | undefined): Promise<Response> {
    const { issuer } = responder;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const readAt = performance.now();
      const statuses = await Promise.all(ids.map((id) => this.#status(responder, id)));
      const identity = await this.#dependencies.identities.current(issuer.tenant, issuer.id, 'ocsp');
      const response = await this.#signResponse(identity, issuer, ids, statuses, nonce);
      const changed = ids.some((id) => this.#changes.since(keyOfCertificate(issuer.id, id.serialNumber), readAt));
      if (!changed) return response;
    }
    throw new UpstreamError('overloaded', 'the status changes while it is being signed');
  }

  async #signResponse(
    identity: ServiceIdentity,
    { tenant }: Issuer,
    ids: readonly CertId[],
    statuses: readonly CertificateStatus[],
    nonce: Uint8Array | undefined,
  ): Promise<Response> {
    const { certificate, key } = identity;
    const now = Math.floor(this.#dependencies.store.clock.now() / 1000) * 1000;
    const nextUpdate = Math.min(now + this.settings.lifetimeSeconds * 1000, certificate.notAfter.getTime());
    const responses = ids.map((id, index) => single(id, statuses[index]!, now, nextUpdate));
    const tbs = encodeResponseData({
      responderKeyHash: keyIdentifier(certificate.publicKey),
      producedAt: new Date(now),
      responses,
      nonce,
    });
    const signature = await key.sign(tbs, { tenant });
    const der = encodeOcspResponse(tbs, key.signatureAlgorithm, signature, certificate.der);
    return {
      body: Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1'),
      responses,
      producedAt: now,
    };
  }

  async #status({ issuer, known }: Responder, id: CertId): Promise<CertificateStatus> {
    if (!isIssuer(known, id)) return { kind: 'unknown' };
    const { store, authorities } = this.#dependencies;
    const { serialNumber } = id;
    const standing = await this.#reads.run(() => standingOf(store, issuer.tenant, issuer.id, serialNumber));
    if (standing.kind === 'unknown' && (await authorities.subordinate(issuer, id.serialNumber)))
      return { kind: 'good' };
    return statusOf(standing);
  }

  async #responder(authority: string): Promise<Responder> {
    const known = this.#responders.get(authority);
    if (known) return known;
    const issuer = await this.#reads.run(() => this.#dependencies.authorities.byId(authority));
    if (!issuer) throw new PeerError('not-found', 'no authority has this id');
    const responder = { issuer, known: knownIssuer(issuer.certificate), refreshAfter: 0 };
    this.#responders.set(authority, responder);
    return responder;
  }
}

interface Response {
  readonly body: string;
  readonly responses: readonly SingleResponse[];
  readonly producedAt: number;
}

function single(id: CertId, status: CertificateStatus, now: number, nextUpdate: number): SingleResponse {
  // RFC 6960 §2.4: thisUpdate is when the status was known to be so; a revocation is no older than itself.
  const since = status.kind === 'revoked' ? Math.min(status.at.getTime(), now) : 0;
  const thisUpdate = Math.floor(Math.max(now - BACKDATE_MS, since) / 1000) * 1000;
  return { certId: id.der, status, thisUpdate: new Date(thisUpdate), nextUpdate: new Date(nextUpdate) };
}

function cachedResponse(authority: string, id: CertId, { body, responses, producedAt }: Response): CachedResponse {
  const [{ status, thisUpdate, nextUpdate }] = responses as [SingleResponse];
  const end = nextUpdate.getTime();
  return {
    authority,
    serialNumber: id.serialNumber,
    status,
    body,
    etag: `"${hash('sha256', Buffer.from(body, 'latin1'), 'hex').slice(0, 32)}"`,
    lastModified: httpDate(thisUpdate.getTime()),
    thisUpdate: thisUpdate.getTime(),
    nextUpdate: end,
    refreshAt: producedAt + (end - producedAt) / 2,
  };
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
