import type { BoundedReads } from '../../core/authority/bounded-reads.ts';
import type { AuthorityDirectory, Issuer } from '../../core/authority/directory.ts';
import { type StatusLifetimes, statusLifetimes } from '../../core/authority/status-lifetimes.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { isIssuer, type KnownIssuer, knownIssuer } from './authority.ts';
import type { OcspRequest } from './messages.ts';

/** An authority that is answered for. */
export interface Responder {
  readonly issuer: Issuer;
  readonly known: KnownIssuer;
  /** After a token did not answer: until then nothing is refreshed ahead (`performance.now()`). */
  refreshAfter: number;
  lifetimes: { readonly value: StatusLifetimes; readonly readAt: number } | undefined;
}

/** What responders are found with. */
export interface RespondersParts {
  readonly store: Store;
  readonly authorities: Pick<AuthorityDirectory, 'byId' | 'allOf'>;
}

/** How long what was read is answered from memory, milliseconds: CertIDs of strangers cost a query no more often. */
const FRESH_MS = 1_000;

/** Which authority a request is about: the one that its path names, or another one of the same tenant. */
export class Responders {
  readonly #parts: RespondersParts;
  readonly #reads: BoundedReads;
  readonly #byId = new Map<string, Responder>();
  readonly #tenants = new Map<string, { readonly all: readonly Responder[]; readonly readAt: number }>();

  constructor(parts: RespondersParts, reads: BoundedReads) {
    this.#parts = parts;
    this.#reads = reads;
  }

  /**
   * The authority of a path. @throws PeerError `not-found`; UpstreamError when the store does not say.
   */
  async ofPath(authority: string): Promise<Responder> {
    const known = this.#byId.get(authority);
    if (known) return known;
    const issuer = await this.#reads.run(() => this.#parts.authorities.byId(authority));
    if (!issuer || isElsewhere(issuer)) throw new PeerError('not-found', 'no authority has this id');
    return this.#responderOf(issuer);
  }

  /**
   * Whose certificates a request asks about: the path's authority where a CertID names it, else the first authority of its
   * tenant that one names. Some clients ask one URL about a whole chain. An answer has one signature, and only a delegate of
   * the issuer may give it (RFC 6960 §4.2.2.2): whatever other issuers certified is unknown to it.
   * @throws PeerError `not-found` where the tenant has none of them; UpstreamError when the store does not say
   */
  async forRequest(own: Responder, { certIds }: OcspRequest): Promise<Responder> {
    if (certIds.some((id) => isIssuer(own.known, id))) return own;
    const all = await this.#ofTenant(own.issuer.tenant);
    for (const id of certIds) {
      const found = all.find(({ known }) => isIssuer(known, id));
      if (found) return found;
    }
    throw new PeerError('not-found', 'the CertIDs name no issuer that is answered for here');
  }

  /** How long answers of an authority hold, as of a second ago. @throws UpstreamError when the store does not say */
  async lifetimes(responder: Responder): Promise<StatusLifetimes> {
    const known = responder.lifetimes;
    if (known && performance.now() - known.readAt < FRESH_MS) return known.value;
    const readAt = performance.now();
    const value = await this.#reads.run(() => statusLifetimes(this.#parts.store, responder.issuer.id));
    responder.lifetimes = { value, readAt };
    return value;
  }

  async #ofTenant(tenant: string): Promise<readonly Responder[]> {
    const known = this.#tenants.get(tenant);
    if (known && performance.now() - known.readAt < FRESH_MS) return known.all;
    const readAt = performance.now();
    const issuers = await this.#reads.run(() => this.#parts.authorities.allOf(tenant));
    const all = issuers.filter((issuer) => !isElsewhere(issuer)).map((issuer) => this.#responderOf(issuer));
    this.#tenants.set(tenant, { all, readAt });
    return all;
  }

  #responderOf(issuer: Issuer): Responder {
    const known = this.#byId.get(issuer.id);
    if (known) return known;
    const responder = { issuer, known: knownIssuer(issuer.certificate), refreshAfter: 0, lifetimes: undefined };
    this.#byId.set(issuer.id, responder);
    return responder;
  }
}

/** An authority above ours whose key is not here answers for itself. */
function isElsewhere({ kind }: Issuer): boolean {
  return kind === 'external';
}
