import { InternalError, UpstreamError } from '../../core/errors/muster-error.ts';
import { toHex } from '../../core/x509/octets.ts';
import { certReqIdOf } from './certificate-wish.ts';
import { checkParty, readConfirmation, settleConfirmation } from './confirmation.ts';
import type { CmpDependencies } from './dependencies.ts';
import type { Enrolment } from './enrolment.ts';
import { rejection } from './enrolment.ts';
import { CmpFault, failureOfError } from './errors.ts';
import { type Answer, ended, type Exchange, type Progress } from './exchange.ts';
import { readGeneralInfo } from './general-info.ts';
import { checkFirst, checkNonces } from './header-rules.ts';
import type { BodyOf } from './pki-body.ts';
import { parsePkiBody, parsePkiMessage } from './pki-message.ts';
import { rejectionStatus } from './pki-status.ts';
import type { Addressee, Responder, SentAnswer } from './responder.ts';
import type { Revocation, RevocationMark } from './revocation.ts';
import { ownerOf, protectionOf } from './sender.ts';
import type { SupportMessages } from './support-messages.ts';
import type { ConfirmationOutcome, TransactionRow } from './tables.ts';
import { type Answered, Transactions } from './transactions.ts';
import { comeBackLater, inTime, isIdOf, mayWait, type OpeningBody, waitingAnswer, waitingFor } from './waiting.ts';

/** What conversations are led with. */
export interface ConversationParts {
  readonly enrolment: Pick<Enrolment, 'decide'>;
  readonly revocation: Pick<Revocation, 'revoke'>;
  readonly support: Pick<SupportMessages, 'answer'>;
  readonly responder: Responder;
}

const PKICONF: Answer = { body: { kind: 'pkiconf', value: null } };
/** How long the outcome of work that took too long waits in memory for its poll. */
const LATE_WORK_MS = 600_000;

/**
 * Transactions from their first message to pkiconf: request, polls, confirmation (RFC 9483 §4.1, §4.4). What a transaction
 * has come to stands in the store before it is answered.
 */
export class Conversation {
  readonly #store: CmpDependencies['store'];
  readonly #parts: ConversationParts;
  readonly #transactions: Transactions;
  /** Work that outlasted its request, by transaction. */
  readonly #late = new Map<string, Promise<Progress>>();

  constructor(store: CmpDependencies['store'], parts: ConversationParts) {
    this.#store = store;
    this.#parts = parts;
    this.#transactions = new Transactions(store);
  }

  /** ir, cr, kur, p10cr, rr. @throws CmpFault `transactionIdInUse`, `badRecipientNonce`; UpstreamError */
  async open(exchange: Exchange, body: OpeningBody, to: Addressee): Promise<Uint8Array> {
    checkFirst(exchange.message.header, exchange.settings);
    const row = await this.#claim(exchange, body);
    if (row !== undefined) return this.#advance(exchange, exchange, body, to, row);
    const known = await this.#find(exchange);
    if (known === undefined) throw new InternalError('a transaction is neither new nor known');
    return this.#repeat(exchange, body, to, known);
  }

  /** genm: it changes nothing, so nothing is remembered of it unless the answer takes long. @throws CmpFault; UpstreamError */
  async consult(exchange: Exchange, body: OpeningBody & { readonly kind: 'genm' }, to: Addressee): Promise<Uint8Array> {
    checkFirst(exchange.message.header, exchange.settings);
    const known = await this.#find(exchange);
    if (known !== undefined) return this.#repeat(exchange, body, to, known);
    const work = this.#decide(exchange, body, undefined, false);
    const seconds = mayWait(exchange, body) ? exchange.settings.answerWithinSeconds : undefined;
    const progress = await inTime(work, seconds);
    if (progress?.kind === 'done') return (await this.#parts.responder.answer(to, progress.answer)).der;
    const row = await this.#claim(exchange, body);
    if (row === undefined) throw inUse();
    return this.#answer(exchange, body, to, row, { progress: this.#postpone(work, row, body), isPoll: false });
  }

  /** That nothing is remembered under the id of a batch, which needs no transaction. @throws CmpFault `transactionIdInUse` */
  async requireUnused(exchange: Exchange): Promise<void> {
    checkFirst(exchange.message.header, exchange.settings);
    if ((await this.#find(exchange)) !== undefined) throw inUse();
  }

  /** pollReq (RFC 9483 §4.4). @throws CmpFault */
  async poll(exchange: Exchange, content: BodyOf<'pollReq'>, to: Addressee): Promise<Uint8Array> {
    const row = await this.#require(exchange);
    const repeated = repeatedAnswer(row, exchange);
    if (repeated !== undefined) return repeated;
    await checkParty(this.#store, exchange, row);
    if (row.state !== 'working' || row.request === null || row.last_digest === null) {
      throw new CmpFault('badRequest', 'pollReq: nothing is waiting in this transaction');
    }
    checkNonces(exchange.message.header, row.own_nonce ?? new Uint8Array(), row.peer_nonce);
    const message = parsePkiMessage(row.request);
    const body = parsePkiBody(message.bodyDer) as OpeningBody;
    const [polled, another] = content;
    if (polled === undefined || another !== undefined || !isIdOf(polled.certReqId, body)) {
      throw new CmpFault('badRequest', 'pollReq: expected the certReqId of the request that waits');
    }
    const original = { ...exchange, message, digest: row.request_digest, info: readGeneralInfo(message.header) };
    return this.#advance(exchange, original, body, to, row);
  }

  /** certConf (RFC 9483 §4.1.1): pkiconf, and a certificate that is rejected is revoked. @throws CmpFault */
  async confirm(exchange: Exchange, content: BodyOf<'certConf'>, to: Addressee): Promise<Uint8Array> {
    const row = await this.#require(exchange);
    const repeated = repeatedAnswer(row, exchange);
    if (repeated !== undefined) return repeated;
    await checkParty(this.#store, exchange, row);
    if (row.state === 'ended' && row.certificate !== null) {
      throw new CmpFault('certConfirmed', 'certConf: the certificate is confirmed already, or its time is over');
    }
    if (row.state !== 'confirming') throw new CmpFault('badRequest', 'certConf: there is nothing to confirm');
    checkNonces(exchange.message.header, row.own_nonce ?? new Uint8Array(), row.peer_nonce);
    const outcome = await readConfirmation(this.#store, exchange, row, content);
    return this.#end(exchange, row, to, outcome);
  }

  /** error (RFC 9810 §5.3.21): the client gives up; a certificate that it has not confirmed is one it rejects. */
  async abandon(exchange: Exchange, to: Addressee): Promise<Uint8Array> {
    const row = await this.#find(exchange);
    // Nothing answered yet, nothing to give up: and an error of our own, sent back to us, brings no nonce of ours.
    if (row === undefined || row.state === 'ended' || row.own_nonce === null) {
      return (await this.#parts.responder.answer(to, PKICONF)).der;
    }
    await checkParty(this.#store, exchange, row);
    checkNonces(exchange.message.header, row.own_nonce, row.peer_nonce);
    return this.#end(exchange, row, to, 'rejected');
  }

  async #end(
    exchange: Exchange,
    row: TransactionRow,
    to: Addressee,
    outcome: ConfirmationOutcome,
  ): Promise<Uint8Array> {
    const sent = await this.#parts.responder.answer(to, PKICONF);
    const answered: Answered = {
      ...sentTo(exchange, sent, PKICONF),
      state: 'ended',
      request: null,
      certificate: row.certificate,
      confirmUntil: null,
      unconfirmed: row.unconfirmed,
    };
    const noted = await this.#transactions.confirmed(row, answered, outcome, (tx) =>
      settleConfirmation(tx, row, outcome, this.#store.clock.now()),
    );
    if (noted) return sent.der;
    throw new CmpFault('certConfirmed', 'certConf: the certificate is confirmed already, or its time is over');
  }

  /** The same octets get the same answer; other octets under the same id are another's (DESIGN §1). */
  async #repeat(exchange: Exchange, body: OpeningBody, to: Addressee, row: TransactionRow): Promise<Uint8Array> {
    if (row.owner !== ownerOf(exchange.sender) || row.request_digest !== exchange.digest) throw inUse();
    const repeated = repeatedAnswer(row, exchange);
    if (repeated !== undefined) return repeated;
    // Not answered yet; or the answer held a private key, and then the hall makes another one.
    const isUnanswered = row.state === 'working' || (row.last_digest === exchange.digest && row.answer === null);
    if (!isUnanswered) throw inUse();
    return this.#advance(exchange, exchange, body, to, row);
  }

  /** Works on a request (`original`) and answers the message at hand: the request itself, or a poll for it. */
  async #advance(
    exchange: Exchange,
    original: Exchange,
    body: OpeningBody,
    to: Addressee,
    row: TransactionRow,
  ): Promise<Uint8Array> {
    const isPoll = original.digest !== exchange.digest;
    return this.#answer(exchange, body, to, row, { progress: await this.#work(original, body, row, isPoll), isPoll });
  }

  async #answer(
    exchange: Exchange,
    body: OpeningBody,
    to: Addressee,
    row: TransactionRow,
    { progress, isPoll }: { readonly progress: Progress; readonly isPoll: boolean },
  ): Promise<Uint8Array> {
    const answer = progress.kind === 'done' ? progress.answer : waitingAnswer(body, progress, isPoll);
    const sent = await this.#parts.responder.answer(to, answer);
    const answered: Answered = {
      ...sentTo(exchange, sent, answer),
      state: progress.kind === 'done' ? progress.state : 'working',
      request: progress.kind === 'done' ? null : (row.request ?? exchange.message.der),
      certificate: progress.kind === 'done' ? progress.certificate : null,
      confirmUntil: progress.kind === 'done' ? progress.confirmUntil : null,
      unconfirmed: progress.kind === 'done' ? progress.unconfirmed : row.unconfirmed,
    };
    if (await this.#transactions.answered(row, answered)) return sent.der;
    // The same message came twice at once, and the other one was answered first.
    const now = await this.#require(exchange);
    const repeated = repeatedAnswer(now, exchange);
    if (repeated !== undefined) return repeated;
    throw inUse();
  }

  /** RFC 9483 §4.4: who would wait too long is told to poll. */
  async #work(exchange: Exchange, body: OpeningBody, row: TransactionRow, isPoll: boolean): Promise<Progress> {
    const work = this.#late.get(nameOf(row)) ?? this.#decide(exchange, body, row, isPoll);
    if (!mayWait(exchange, body)) return work;
    try {
      const progress = await inTime(work, exchange.settings.answerWithinSeconds);
      if (progress === undefined) return this.#postpone(work, row, body);
      this.#late.delete(nameOf(row));
      return progress;
    } catch (error) {
      this.#late.delete(nameOf(row));
      throw error;
    }
  }

  /** Keeps what outlasts its request. After a restart it is begun again: whatever it does, it does once. */
  #postpone(work: Promise<Progress>, row: TransactionRow, body: OpeningBody): Progress {
    const id = nameOf(row);
    if (!this.#late.has(id)) {
      this.#late.set(id, work);
      const forget = (): void => void setTimeout(() => this.#late.delete(id), LATE_WORK_MS).unref();
      work.then(forget, forget);
    }
    return waitingFor(body);
  }

  /** Refusals of what was asked go into the answer's own status (RFC 9810 §5.3.4). */
  async #decide(
    exchange: Exchange,
    body: OpeningBody,
    row: TransactionRow | undefined,
    isPoll: boolean,
  ): Promise<Progress> {
    if (body.kind === 'genm') return ended(await this.#parts.support.answer(exchange, body.value));
    try {
      if (body.kind === 'rr') return ended(await this.#parts.revocation.revoke(exchange, body.value, this.#mark(row)));
      if (row !== undefined) await this.#refuseSecondUpdate(exchange, body, row);
      return await this.#parts.enrolment.decide(exchange, body, isPoll);
    } catch (error) {
      const failure = failureOfError(error);
      if (failure.reason === 'internal' || error instanceof UpstreamError) return comeBackLater(error, exchange, body);
      return ended({
        body:
          body.kind === 'rr'
            ? { kind: 'rp', value: { status: [rejectionStatus(failure.failInfo, failure.text)] } }
            : rejection(body, failure.failInfo, failure.text, certReqIdOf(body)),
      });
    }
  }

  /** RFC 9483 §4.1.3, strictly: one update of a certificate at a time. A device that lost an answer would be shut out. */
  async #refuseSecondUpdate({ settings }: Exchange, body: OpeningBody, row: TransactionRow): Promise<void> {
    if (body.kind !== 'kur' || settings.conformance !== 'lightweight') return;
    if (await this.#transactions.hasOther(row)) {
      throw new CmpFault('badRequest', 'kur: another update of this certificate is not finished');
    }
  }

  #mark(row: TransactionRow | undefined): RevocationMark {
    return {
      certificate: row?.certificate ?? undefined,
      set: async (tx, certificate) => {
        if (row !== undefined) await this.#transactions.mark(tx, row, certificate);
      },
    };
  }

  #claim(exchange: Exchange, body: OpeningBody): Promise<TransactionRow | undefined> {
    const { endpoint, settings, sender } = exchange;
    return this.#transactions.open({
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      transaction_id: exchange.transactionId,
      owner: ownerOf(sender),
      protection: protectionOf(sender),
      body: body.kind,
      request_digest: exchange.digest,
      peer_nonce: senderNonceOf(exchange),
      unconfirmed: settings.confirmation.unconfirmed,
      pendingMs: endpoint.pendingLifetimeSeconds * 1000,
    });
  }

  #find({ endpoint, transactionId }: Exchange): Promise<TransactionRow | undefined> {
    return this.#transactions.find(endpoint.tenant, endpoint.id, transactionId);
  }

  async #require(exchange: Exchange): Promise<TransactionRow> {
    const row = await this.#find(exchange);
    if (row !== undefined) return row;
    throw new CmpFault('badRequest', 'transactionID: expected that of a transaction under way');
  }
}

function nameOf({ endpoint, transaction_id: transactionId }: TransactionRow): string {
  return `${endpoint} ${transactionId}`;
}

function inUse(): CmpFault {
  return new CmpFault('transactionIdInUse', 'transactionID: expected a fresh one');
}

/** The stored answer to a message that came before, octet by octet. */
function repeatedAnswer(row: TransactionRow, { digest, sender }: Exchange): Uint8Array | undefined {
  if (row.owner !== ownerOf(sender) || row.last_digest !== digest) return undefined;
  return row.answer ?? undefined;
}

function sentTo(
  exchange: Exchange,
  { der, senderNonce }: SentAnswer,
  answer: Answer,
): Pick<Answered, 'lastDigest' | 'answer' | 'ownNonce' | 'peerNonce'> {
  return {
    lastDigest: exchange.digest,
    answer: answer.holdsKey === true ? null : der,
    ownNonce: senderNonce,
    peerNonce: senderNonceOf(exchange),
  };
}

function senderNonceOf({ message }: Exchange): Uint8Array {
  return message.header.senderNonce ?? new Uint8Array();
}

/** Lower-case hex of a transactionID. */
export function transactionIdOf(octets: Uint8Array | undefined): string {
  return toHex(octets ?? new Uint8Array());
}
