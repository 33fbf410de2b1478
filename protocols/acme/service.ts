import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { spkiSha256, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { newAccount, changeKey, updateAccount } from './accounts.ts';
import { answerAuthorization, answerChallenge, attestations, identifiersOf } from './authorizations.ts';
import { requireCaaOf } from './caa-of-order.ts';
import { CHAINS, downloadCertificate } from './certificates.ts';
import { requestFor } from './certificate-names.ts';
import type { AcmeDependencies, Answer, Call, OpenEndpoint, Question } from './dependencies.ts';
import { directory } from './directory.ts';
import { Finalization } from './finalization.ts';
import { isOfDevice } from './identifier.ts';
import { fromBase64url, requiredString } from './json.ts';
import type { Nonces } from './nonces.ts';
import { currentOrder, listOrders, newOrder, orderAnswer } from './orders.ts';
import type { Route } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { renewalInfo } from './renewal-info.ts';
import {
  type AccountRequest,
  payloadOf,
  RequestAuthentication,
  requireEmptyPayload,
} from './request-authentication.ts';
import { revoke } from './revocation.ts';
import { accountOfSpki } from './statements.ts';
import type { OrderRow } from './tables.ts';
import { ValidationOffice } from './validation-office.ts';

const READABLE = ['directory', 'new-nonce', 'renewal-info'] as const;
type OfAccount = Exclude<Route['resource'], 'new-account' | 'revoke-cert' | (typeof READABLE)[number]>;

/** The rules of ACME (RFC 8555), without HTTP. */
export class AcmeService {
  readonly #dependencies: AcmeDependencies;
  readonly #nonces: Nonces;
  readonly #authentication: RequestAuthentication;
  readonly #office: ValidationOffice;
  readonly #finalization: Finalization;

  constructor(dependencies: AcmeDependencies) {
    const { store, nonces, observer } = dependencies;
    this.#dependencies = dependencies;
    this.#nonces = nonces;
    this.#authentication = new RequestAuthentication(store, nonces, observer);
    this.#office = new ValidationOffice(dependencies);
    this.#finalization = new Finalization(dependencies);
  }

  /** A nonce for the next request. */
  nonce(): string {
    return this.#nonces.issue();
  }

  /** Where clients reach this listener. */
  baseUrl(host: string | undefined): string {
    return this.#dependencies.baseUrl(host);
  }

  /**
   * The endpoint of a label, the default one without.
   * @throws PeerError `unknown-endpoint`, PolicyError `protocol-not-open`
   */
  async open(label: string | undefined): Promise<OpenEndpoint> {
    const endpoint = await this.#dependencies.endpoints.resolve(label);
    if (endpoint === undefined) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
    const settings = endpoint.protocols.acme;
    if (settings === undefined) throw new PolicyError('protocol-not-open', 'this endpoint is not open for ACME');
    return { endpoint, settings };
  }

  /** Answers a GET: directory, nonce or renewal information. */
  async read(question: Question, { resource, ids }: Route): Promise<Answer> {
    const readable = READABLE.find((name) => name === resource);
    switch (readable) {
      case 'directory':
        return directory(question, question.base);
      case 'new-nonce':
        // RFC 8555 §7.2: 204 to GET; the listener makes 200 of it for HEAD.
        return { status: 204 };
      case 'renewal-info':
        return renewalInfo(this.#dependencies, question, ids[0]!);
      case undefined:
        throw new PeerError('not-found', 'expected a resource that is read by GET');
    }
  }

  /** Answers a POST. @throws MusterError */
  async answer(call: Call, { resource, ids }: Route, query: URLSearchParams): Promise<Answer> {
    const authentication = this.#authentication;
    if (isOfAccount(resource)) return this.#ofAccount(call, resource, ids, await authentication.byAccount(call), query);
    switch (resource) {
      case 'new-account':
        return newAccount(this.#dependencies, call, await authentication.byKey(call));
      case 'revoke-cert':
        return revoke(this.#dependencies, call, await authentication.byEither(call));
      case 'directory':
      case 'new-nonce':
        // RFC 8555 §6.3: POST-as-GET, where GET is allowed too.
        requireEmptyPayload(await authentication.byAccount(call));
        return this.read(call, { label: call.endpoint.label, resource, ids });
      case 'renewal-info':
        throw new PeerError('not-found', 'expected a resource that is read by GET');
    }
  }

  /** Goes on with validations and orders that other processes left; for the background. */
  async resume(): Promise<void> {
    await this.#office.resume();
    await this.#finalization.resume();
  }

  /** Ends the validations that are under way, and waits for certificates that are being issued. */
  async close(): Promise<void> {
    await Promise.all([this.#office.close(), this.#finalization.close()]);
  }

  async #ofAccount(
    call: Call,
    resource: OfAccount,
    ids: readonly string[],
    request: AccountRequest,
    query: URLSearchParams,
  ): Promise<Answer> {
    const { store } = this.#dependencies;
    const [id = '', second = ''] = ids;
    switch (resource) {
      case 'account':
        return updateAccount(this.#dependencies, call, request, id);
      case 'orders':
        requireEmptyPayload(request);
        return listOrders(store, call, request, id, query.get('after') ?? undefined);
      case 'key-change':
        return changeKey(this.#dependencies, call, request);
      case 'new-order':
        return newOrder(this.#dependencies, call, request);
      case 'order':
        requireEmptyPayload(request);
        return this.#order(call, request, id);
      case 'finalize':
        return this.#finalize(call, request, id);
      case 'authorization':
        return answerAuthorization(store, call, request, id);
      case 'challenge':
        return answerChallenge({ ...this.#dependencies, office: this.#office }, call, request, [id, second]);
      case 'certificate':
        return downloadCertificate(this.#dependencies, call, request, [id, 'without-root']);
      case 'certificate-chain': {
        const chain = CHAINS.find((name) => name === second);
        if (chain === undefined) throw new AcmeProblem('malformed', 'no such chain', { status: 404 });
        return downloadCertificate(this.#dependencies, call, request, [id, chain]);
      }
    }
  }

  async #order(call: Call, { account }: AccountRequest, id: string): Promise<Answer> {
    const { store } = this.#dependencies;
    const order = await currentOrder(store, call, account, id);
    await this.#finalization.continue(call, order);
    const now = store.clock.now();
    return orderAnswer(
      call,
      order.status === 'processing' ? await currentOrder(store, call, account, id) : order,
      200,
      now,
    );
  }

  /** finalize (RFC 8555 §7.4). Asked again (A5), an order that is under way or done is answered as it stands. */
  async #finalize(call: Call, request: AccountRequest, id: string): Promise<Answer> {
    const { store } = this.#dependencies;
    const order = await currentOrder(store, call, request.account, id);
    const der = csrOf(requiredString(payloadOf(request), 'csr'));
    if (order.status === 'pending' || order.status === 'invalid')
      throw new AcmeProblem('orderNotReady', `the order is ${order.status}`);
    const csr = await requestFor(der, identifiersOf(order));
    if (order.status === 'ready') {
      await this.#requireNoAccountKey(call, csr.publicKey);
      await this.#requireAttestedKey(order, csr.publicKey);
      await requireCaaOf(store, call, order);
      await this.#finalization.begin(call, order, csr);
    } else if (!isSameKey(order, csr.publicKey.der)) {
      throw new AcmeProblem('orderNotReady', `the order is ${order.status} with another key`);
    }
    return orderAnswer(call, await currentOrder(store, call, request.account, id), 200);
  }

  /** RFC 8555 §11.1: the key of an account, of whichever, certifies nothing but its account. */
  async #requireNoAccountKey({ endpoint }: Call, publicKey: SubjectPublicKeyInfo): Promise<void> {
    const key = { endpoint: endpoint.id, spki: spkiSha256(publicKey) };
    const [account] = await this.#dependencies.store.query(accountOfSpki, key);
    if (account !== undefined) throw new AcmeProblem('badCSR', 'the key of the request is the key of an account');
  }

  /** Said here already, while the order can still be finalized; the hall holds evidence against the key all the same. */
  async #requireAttestedKey(order: OrderRow, publicKey: SubjectPublicKeyInfo): Promise<void> {
    if (!identifiersOf(order).some(isOfDevice)) return;
    const attested = await attestations(this.#dependencies.store, order);
    if (attested.length === 0 || attested.some(({ attestedKey }) => attestedKey !== spkiSha256(publicKey)))
      throw new AcmeProblem('badCSR', 'the key of the request is not the one that the evidence attests');
  }
}

/** Whether a resource is asked for by an account, and by nobody else. */
function isOfAccount(resource: Route['resource']): resource is OfAccount {
  return resource !== 'new-account' && resource !== 'revoke-cert' && !READABLE.some((name) => name === resource);
}

/** A2: some clients pad their base64url here. */
function csrOf(text: string): Uint8Array {
  return fromBase64url(text.replace(/={1,2}$/, ''), 'csr');
}

function isSameKey({ csr }: OrderRow, spki: Uint8Array): boolean {
  return csr !== null && octetsEqual(parseCertificationRequest(csr).publicKey.der, spki);
}
