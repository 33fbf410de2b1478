import { hash } from 'node:crypto';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { CmpOperation, CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import { authenticate } from './authentication.ts';
import { Conversation, transactionIdOf } from './conversation.ts';
import type { CmpDependencies } from './dependencies.ts';
import { DerivationThread } from './derivation-thread.ts';
import { Enrolment } from './enrolment.ts';
import { type CmpFailure, CmpFault, failureOfError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { readGeneralInfo } from './general-info.ts';
import { checkHeader } from './header-rules.ts';
import { readNested } from './nested.ts';
import { OPERATION_LABELS, type OperationLabel } from './path.ts';
import type { BodyOf, PkiBody } from './pki-body.ts';
import { parsePkiBody, parsePkiMessage, type PkiMessage } from './pki-message.ts';
import { rejectionStatus } from './pki-status.ts';
import { RefusalBudget } from './refusal-budget.ts';
import { type Addressee, Responder } from './responder.ts';
import { Revocation } from './revocation.ts';
import { SupportMessages } from './support-messages.ts';

/** An endpoint that is open for CMP, with CMP's settings. */
export interface OpenEndpoint {
  readonly endpoint: Endpoint;
  readonly settings: CmpSettings;
}

/** A message as it came over one connection. */
export interface Call {
  readonly requestId: string;
  /** The octets of the body. */
  readonly message: Uint8Array;
  /** What the path says the message is. */
  readonly operation: OperationLabel | undefined;
  readonly sourceAddress: string;
}

/** Told of each failure before it is answered, for the log. */
export type FailureObserver = (failure: CmpFailure, error: unknown) => void;

/** Where a message stands: its endpoint, the call that brought it, and how deep in others it lay. */
interface Arrival extends OpenEndpoint {
  readonly call: Call;
  readonly onFailure: FailureObserver;
  readonly depth: number;
}

/** A batch may hold messages with added protection (RFC 9483 §5.2.2); nobody wraps more. */
const MAX_DEPTH = 2;

/** The rules of CMP (RFC 9810, RFC 9483), without HTTP. Whatever comes, a PKIMessage goes back. */
export class CmpService implements AsyncDisposable {
  readonly #dependencies: CmpDependencies;
  readonly #derivation = new DerivationThread();
  readonly #responder: Responder;
  readonly #conversation: Conversation;
  readonly #refusals: RefusalBudget;

  constructor(dependencies: CmpDependencies) {
    this.#dependencies = dependencies;
    this.#responder = new Responder(dependencies);
    this.#refusals = new RefusalBudget(dependencies.store.clock);
    this.#conversation = new Conversation(dependencies.store, {
      enrolment: new Enrolment(dependencies, this.#derivation),
      revocation: new Revocation(dependencies),
      support: new SupportMessages(dependencies),
      responder: this.#responder,
    });
  }

  /**
   * The endpoint of a label, the default one without.
   * @throws PeerError `unknown-endpoint`, PolicyError `protocol-not-open`
   */
  async open(label: string | undefined): Promise<OpenEndpoint> {
    const endpoint = await this.#dependencies.endpoints.resolve(label);
    if (endpoint === undefined) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
    const settings = endpoint.protocols.cmp;
    if (settings === undefined) throw new PolicyError('protocol-not-open', 'this endpoint is not open for CMP');
    return { endpoint, settings };
  }

  /**
   * The answer to a message: a PKIMessage in DER; undefined to an announcement, which has none (RFC 9811 §3.5) and tells
   * a CA nothing. Rejects only where no answer can be built.
   */
  async answer(open: OpenEndpoint, call: Call, onFailure: FailureObserver): Promise<Uint8Array | undefined> {
    const arrival: Arrival = { ...open, call, onFailure, depth: 0 };
    let message: PkiMessage;
    try {
      message = parsePkiMessage(call.message);
    } catch (error) {
      return this.#refuse(arrival, { ...open, header: undefined, protection: { kind: 'none' } }, error);
    }
    return isAnnouncement(message) ? undefined : this.#answerMessage(arrival, message);
  }

  /** Ends what runs beside the requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#derivation[Symbol.asyncDispose]();
  }

  async #answerMessage(arrival: Arrival, message: PkiMessage, signs = false): Promise<Uint8Array> {
    const { endpoint, settings, call } = arrival;
    const verifiers = { credentials: this.#dependencies.credentials, derivation: this.#derivation };
    const authentication = await authenticate(
      verifiers,
      { endpoint, settings, sourceAddress: call.sourceAddress },
      message,
    );
    const isKnown = 'sender' in authentication;
    const alike = isKnown ? authentication.sender.protection : authentication.protection;
    // C11: what a registration authority put its signature around is answered to it, with a signature.
    const to: Addressee = {
      endpoint,
      settings,
      header: message.header,
      protection: signs ? { kind: 'signature' } : alike,
    };
    if (!isKnown) return this.#refuse(arrival, this.#affordable(to, call), authentication.refusal);
    try {
      checkHeader(message.header, settings, this.#dependencies.store.clock.now());
      const exchange: Exchange = {
        requestId: call.requestId,
        endpoint,
        settings,
        sourceAddress: call.sourceAddress,
        message,
        digest: hash('sha256', message.der, 'hex'),
        transactionId: transactionIdOf(message.header.transactionID),
        info: readGeneralInfo(message.header),
        sender: authentication.sender,
      };
      return await this.#dispatch(arrival, exchange, parsePkiBody(message.bodyDer), to);
    } catch (error) {
      return this.#refuse(arrival, to, error);
    }
  }

  async #dispatch(arrival: Arrival, exchange: Exchange, body: PkiBody, to: Addressee): Promise<Uint8Array> {
    requireAsLabelled(arrival, body);
    switch (body.kind) {
      case 'ir':
      case 'cr':
      case 'kur':
      case 'p10cr':
      case 'rr':
        requireOpen(exchange, body.kind);
        return this.#conversation.open(exchange, body, to);
      case 'certConf':
        return this.#conversation.confirm(exchange, body.value, to);
      case 'pollReq':
        return this.#conversation.poll(exchange, body.value, to);
      case 'error':
        return this.#conversation.abandon(exchange, to);
      case 'genm':
        requireOpen(exchange, body.kind);
        return this.#conversation.consult(exchange, body, to);
      case 'nested':
        requireOpen(exchange, body.kind);
        return this.#nested(arrival, exchange, body.value, to);
      case 'popdecr':
      case 'krr':
      case 'ccr':
      case 'ip':
      case 'cp':
      case 'popdecc':
      case 'kup':
      case 'krp':
      case 'rp':
      case 'ccp':
      case 'ckuann':
      case 'cann':
      case 'rann':
      case 'crlann':
      case 'pkiconf':
      case 'genp':
      case 'pollRep':
        throw new CmpFault('badRequest', `${body.kind} is not served here`, 'unsupported-operation');
    }
  }

  async #nested(arrival: Arrival, exchange: Exchange, content: BodyOf<'nested'>, to: Addressee): Promise<Uint8Array> {
    const depth = arrival.depth + 1;
    if (depth > MAX_DEPTH) throw new CmpFault('badRequest', `nested: expected at most ${MAX_DEPTH} levels`);
    const nested = readNested(exchange, content);
    const inner: Arrival = { ...arrival, call: { ...arrival.call, operation: undefined }, depth };
    if (nested.kind === 'added-protection') return this.#answerMessage(inner, nested.message, true);
    await this.#conversation.requireUnused(exchange);
    const answers = await Promise.all(nested.messages.map((message) => this.#answerMessage(inner, message)));
    return (await this.#responder.answer(to, { body: { kind: 'nested', value: answers } })).der;
  }

  #affordable(to: Addressee, { sourceAddress }: Call): Addressee {
    if (to.protection.kind !== 'signature' || this.#refusals.take(sourceAddress)) return to;
    return { ...to, protection: { kind: 'none' } };
  }

  /** CM-21: an error is protected like its request, and goes out unprotected where that cannot be done. */
  async #refuse(arrival: Arrival, to: Addressee, error: unknown): Promise<Uint8Array> {
    const failure = failureOfError(error instanceof Asn1Error ? malformed(error) : error);
    arrival.onFailure(failure, error);
    const body: PkiBody = {
      kind: 'error',
      value: {
        pKIStatusInfo: rejectionStatus(failure.failInfo, failure.text),
      },
    };
    try {
      return (await this.#responder.answer(to, { body })).der;
    } catch (unsigned) {
      if (to.protection.kind === 'none') throw unsigned;
      arrival.onFailure(failureOfError(unsigned), unsigned);
      return (await this.#responder.answer({ ...to, protection: { kind: 'none' } }, { body })).der;
    }
  }
}

/** ckuann, cann, rann and crlann, by their tags [15] to [18]. */
function isAnnouncement({ bodyDer }: PkiMessage): boolean {
  const [identifier = 0] = bodyDer;
  return identifier >= ANNOUNCEMENTS.first && identifier <= ANNOUNCEMENTS.last;
}

const ANNOUNCEMENTS = { first: 0xaf, last: 0xb2 };

function requireOpen({ settings }: Exchange, operation: CmpOperation): void {
  if (settings.operations.includes(operation)) return;
  throw new CmpFault('badRequest', `${operation} is not served at this endpoint`, 'unsupported-operation');
}

/** RFC 9483 §6.1: the operation label of the path says what the message is; what follows in a transaction comes to the same path. */
function requireAsLabelled({ call: { operation } }: Arrival, body: PkiBody): void {
  if (operation === undefined || body.kind === 'certConf' || body.kind === 'pollReq' || body.kind === 'error') return;
  const label: { readonly body: string; readonly infoType?: string } = OPERATION_LABELS[operation];
  const isAsked =
    body.kind !== 'genm' ||
    label.infoType === undefined ||
    body.value.some(({ infoType }) => infoType === label.infoType);
  if (body.kind === label.body && isAsked) return;
  throw new CmpFault('badRequest', `expected what the path says, ${operation}, found ${body.kind}`);
}

function malformed(error: Asn1Error): PeerError {
  return new PeerError('malformed-request', error.message, { cause: error });
}
