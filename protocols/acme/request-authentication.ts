import { setTimeout as delay } from 'node:timers/promises';

import type { Store } from '../../core/store/store.ts';
import { type AccountKey, restoreAccountKey } from './account-key.ts';
import type { Call } from './dependencies.ts';
import { type JsonObject, parseObject } from './json.ts';
import { carriedKey, type Jws, parseJws, requireAlgorithm, verifyJws } from './jws.ts';
import type { Nonces } from './nonces.ts';
import type { AcmeObserver, NonceRefusal } from './observer.ts';
import { AcmeUrls } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { accountById } from './statements.ts';
import type { AccountRow } from './tables.ts';

/** A request whose signature, nonce and URL are right. */
export interface SignedRequest {
  readonly jws: Jws;
  readonly key: AccountKey;
}

/** A request of an account. */
export interface AccountRequest extends SignedRequest {
  readonly account: AccountRow;
}

/** Keys that were read lately, by their JWK: making one costs more than a signature. */
const MAX_KEYS = 10_000;
const REHEARSAL = { delayMs: 300, everyNonce: 5 };

/** The envelope of every POST (RFC 8555 §6.2 to §6.5). */
export class RequestAuthentication {
  readonly #store: Store;
  readonly #nonces: Nonces;
  readonly #observer: Pick<AcmeObserver, 'nonceRefused'>;
  readonly #keys = new Map<string, AccountKey>();
  /** Counts nonces of rehearsals; the accounts whose last one was refused. */
  #rehearsed = 0;
  readonly #justRefused = new Set<string>();

  constructor(store: Store, nonces: Nonces, observer: Pick<AcmeObserver, 'nonceRefused'>) {
    this.#store = store;
    this.#nonces = nonces;
    this.#observer = observer;
  }

  /**
   * A request that carries its key: newAccount, and revocation by the certificate's key.
   * @throws AcmeProblem
   */
  async byKey(call: Call): Promise<SignedRequest> {
    const jws = this.#read(call);
    requireAlgorithm(jws);
    const key = carriedKey(jws);
    await this.#accept(call, jws, key);
    return { jws, key };
  }

  /**
   * A request of an account, which it names by its URL.
   * @throws AcmeProblem
   */
  async byAccount(call: Call): Promise<AccountRequest> {
    const jws = this.#read(call);
    requireAlgorithm(jws);
    if (jws.signer.kind !== 'kid') throw new AcmeProblem('malformed', 'JWS: expected a kid, found a jwk');
    const account = await this.#account(call, jws.signer.kid);
    const key = this.keyOf(account);
    await this.#accept(call, jws, key);
    // RFC 8555 §7.3.6: 401, so that a client knows that its account is at an end.
    if (account.status !== 'valid')
      throw new AcmeProblem('unauthorized', `the account is ${account.status}`, { status: 401 });
    return { jws, key, account };
  }

  /** Whichever of both the request is (RFC 8555 §7.6). @throws AcmeProblem */
  byEither(call: Call): Promise<SignedRequest | AccountRequest> {
    return this.#read(call).signer.kind === 'kid' ? this.byAccount(call) : this.byKey(call);
  }

  /** The key of an account, as it stands in the store. */
  keyOf({ jwk }: AccountRow): AccountKey {
    const known = this.#keys.get(jwk);
    if (known !== undefined) return known;
    const key = restoreAccountKey(jwk);
    if (this.#keys.size >= MAX_KEYS) this.#keys.delete(this.#keys.keys().next().value!);
    this.#keys.set(jwk, key);
    return key;
  }

  /** Everything that can be refused without a signature, cheapest first. */
  #read({ body, url }: Call): Jws {
    const jws = parseJws(parseObject(body, 'the request'));
    // RFC 8555 §6.4: compared as strings; a request for another server, or another resource, is not ours to answer.
    if (jws.url !== url) {
      const message = `the url in the protected header: expected ${url}`;
      throw new AcmeProblem('unauthorized', message, { status: 401 });
    }
    return jws;
  }

  async #account({ endpoint, base }: Call, kid: string): Promise<AccountRow> {
    const id = new AcmeUrls(base, endpoint.label).accountId(kid);
    const { tenant } = endpoint;
    const [account] =
      id === undefined ? [] : await this.#store.query(accountById, { tenant, endpoint: endpoint.id, id });
    if (account === undefined) throw new AcmeProblem('accountDoesNotExist', 'the kid is no account of this server');
    return account;
  }

  async #accept(call: Call, jws: Jws, key: AccountKey): Promise<void> {
    if (jws.nonce === undefined) throw new AcmeProblem('malformed', 'JWS: expected a nonce');
    const nonce = this.#nonces.returned(jws.nonce);
    if (!nonce.ours) throw this.#badNonce('foreign', 'the nonce is not one of ours, or too old');
    await verifyJws(jws, key);
    // Last, as it costs the store a row: who cannot sign makes us keep nothing.
    if (!(await nonce.take())) throw this.#badNonce('used', 'the nonce was used before, or by another process');
    if (call.settings.rehearsal === 'on') await this.#rehearse(key);
  }

  /** Delays, and refuses every fifth nonce: never two in a row of one key, so that one repeat is enough. */
  async #rehearse({ thumbprint }: AccountKey): Promise<void> {
    await delay(Math.random() * REHEARSAL.delayMs);
    this.#rehearsed += 1;
    if (this.#justRefused.delete(thumbprint) || this.#rehearsed % REHEARSAL.everyNonce !== 0) return;
    this.#justRefused.add(thumbprint);
    throw this.#badNonce('rehearsal', 'this endpoint rehearses: the nonce is refused, use the one of this answer');
  }

  #badNonce(refusal: NonceRefusal, message: string): AcmeProblem {
    this.#observer.nonceRefused(refusal);
    return new AcmeProblem('badNonce', message);
  }
}

/** The JSON of a payload. @throws AcmeProblem `malformed`. */
export function payloadOf({ jws }: SignedRequest): JsonObject {
  return parseObject(jws.payload, 'payload');
}

/** RFC 8555 §6.3. @throws AcmeProblem `malformed` for a request that is no POST-as-GET. */
export function requireEmptyPayload({ jws }: SignedRequest): void {
  if (jws.payload.length > 0) throw new AcmeProblem('malformed', 'expected an empty payload (POST-as-GET)');
}
