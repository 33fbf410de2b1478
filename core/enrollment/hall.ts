import { certificateDer } from '../authority/certificates.ts';
import { InternalError, PolicyError } from '../errors/muster-error.ts';
import type { Unit } from '../store/store.ts';
import { accept, idempotencyKey, possibleKeys, storedPrincipal, type Principal } from './accept.ts';
import { admit, type AdmissionPorts } from './admit.ts';
import { attest, type Attestation, recordEvidence } from './attest.ts';
import { Continuation, issued, type ContinuationDependencies } from './continuation.ts';
import { authenticatorsOf } from './endpoint.ts';
import {
  asksForSame,
  isRestored,
  insertAsked,
  insertRejected,
  namesOf,
  newRow,
  recordEnrollmentEvent,
  recordTurnedAway,
  type Asked,
} from './enrollment-record.ts';
import { finishEach, interruptedEnrollments } from './interrupted.ts';
import { Issuance, type Prepared } from './issuance.ts';
import type { Outcome } from './outcome.ts';
import type { Approvals, AttestationGate } from './ports.ts';
import { refusalOf, rejected, rejectionHolds, rejectionOf, type Refusal } from './refusal.ts';
import type { EnrollmentRequest, RestoredRequest } from './request.ts';
import { enrollmentByKey } from './statements.ts';
import type { EnrollmentRow } from './tables.ts';
import { Turnstile } from './turnstile.ts';
import { rememberWaiting } from './waiting-requests.ts';

/** Who asked, where and by which carrier. */
export type AskedBy = Pick<EnrollmentRequest, 'requestId' | 'endpoint' | 'protocol' | 'sourceAddress'>;

/** Told of each decision after it is durable: for metrics and logs. */
export interface EnrollmentObserver {
  decided(outcome: Outcome, request: AskedBy): void;
}

/** A question after an enrolment that was asked for earlier. */
export interface PollQuery extends Pick<
  EnrollmentRequest,
  'requestId' | 'endpoint' | 'protocol' | 'requestKey' | 'facts' | 'sourceAddress'
> {
  /** Reads the stored request (the `der` of its EnrollmentRequest) back, where an approved one is to be prepared. */
  restore(der: Uint8Array): RestoredRequest;
}

/** What the hall stands on. */
export interface HallDependencies extends ContinuationDependencies, AdmissionPorts {
  /** Absent where none is wired: then evidence cannot be accepted. */
  readonly gate: AttestationGate | undefined;
  readonly approvals: Approvals;
  readonly observer: EnrollmentObserver;
}

/** How long a repeat is answered with the certificate it got. */
const REPLAY_WINDOW_MS = 24 * 3_600_000;

/** One enrolment under way, with what attestation says of it. */
type AttestedAsked = Asked & { readonly attestation: Attestation };

/** What this process works on under one name; only what was asked can be joined by a repeat. */
type UnderWay =
  | { readonly asked: Asked; readonly work: Promise<Outcome> }
  | { readonly asked: undefined; readonly work: Promise<Outcome | undefined> };

/**
 * The hall behind every door: accept → admit → prepare → unit 1 → sign → unit 2. A carrier hands it a typed request with
 * verified facts and encodes the outcome; it decides nothing itself.
 */
export class Hall {
  readonly #dependencies: HallDependencies;
  readonly #issuance: Issuance;
  readonly #turnstile: Turnstile;
  readonly #continuation: Continuation;
  /** Requests this process is working on, by endpoint and key: a repeat on a second connection joins the first. */
  readonly #underWay = new Map<string, UnderWay>();

  constructor(dependencies: HallDependencies) {
    this.#dependencies = dependencies;
    this.#issuance = new Issuance(dependencies);
    this.#turnstile = new Turnstile(dependencies.store.clock);
    this.#continuation = new Continuation(dependencies, this.#issuance, this.#turnstile);
  }

  /**
   * Decides one request. Refusals are outcomes; what throws is a part that is away (UpstreamError: repeating is safe) or a
   * fault of ours.
   */
  async enroll(request: EnrollmentRequest): Promise<Outcome> {
    const outcome = await this.#turnstile.pass(request.endpoint.tenant, () => this.#decide(request));
    this.#dependencies.observer.decided(outcome, request);
    return outcome;
  }

  /**
   * Answers after an enrolment by the key it was asked for under, and signs one that was approved meanwhile. For `scep` the
   * facts are not looked at: the carrier has verified a signature with the key that is part of the request key. For others
   * they must name the principal that asked.
   * @returns undefined when there is no such enrolment.
   */
  async poll(query: PollQuery): Promise<Outcome | undefined> {
    for (const { key, facts } of possibleKeys(query)) {
      const name = nameOf(query.endpoint.id, key);
      const outcome = await this.#turnstile.pass(query.endpoint.tenant, () =>
        this.#inTurn(name, () => this.#answerPollOrRefuse({ ...query, facts }, key)),
      );
      if (outcome === undefined) continue;
      this.#dependencies.observer.decided(outcome, query);
      return outcome;
    }
    return undefined;
  }

  /**
   * Signs what was left in `signing`: by nodes whose lease ended, or (`byAnyNode`, for the only node of a site at its
   * start) by whomever. Returns how many certificates it finished.
   * @throws UpstreamError when the token or the store is away; InternalError when some could not be finished: the others
   *   are.
   */
  async resumeInterrupted(byAnyNode: boolean): Promise<number> {
    const { store } = this.#dependencies;
    const rows = await interruptedEnrollments(store, byAnyNode ? undefined : store.clock.now());
    return finishEach(rows, async (row) => {
      if (this.#underWay.has(nameOf(row.endpoint, row.idempotency_key))) return false;
      return (await this.#continuation.resume(row, byAnyNode)) !== undefined;
    });
  }

  async #decide(request: EnrollmentRequest): Promise<Outcome> {
    const now = this.#dependencies.store.clock.now();
    let principal: Principal;
    try {
      principal = accept(request, authenticatorsOf(request.endpoint, request.protocol), now);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return this.#turnAway(request, refusal, now);
    }
    return this.#once({ request, principal, key: idempotencyKey(request, principal) });
  }

  #once(asked: Asked): Promise<Outcome> {
    const name = nameOf(asked.request.endpoint.id, asked.key);
    const running = this.#underWay.get(name);
    if (running?.asked && isRepeat(asked, running.asked)) return running.work.then(asRepeat);
    const work = after(running, () => this.#answerOrRefuse(asked));
    this.#register(name, { asked, work });
    return work;
  }

  /** One at a time under one name, each from what the one before left in the store. */
  #inTurn(name: string, answer: () => Promise<Outcome | undefined>): Promise<Outcome | undefined> {
    const work = after(this.#underWay.get(name), answer);
    this.#register(name, { asked: undefined, work });
    return work;
  }

  #register(name: string, entry: UnderWay): void {
    this.#underWay.set(name, entry);
    const done = (): void => {
      if (this.#underWay.get(name) === entry) this.#underWay.delete(name);
    };
    entry.work.then(done, done);
  }

  async #answerPollOrRefuse(query: PollQuery, key: string): Promise<Outcome | undefined> {
    try {
      return await this.#answerPoll(query, key);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return rejected(undefined, refusal);
    }
  }

  async #answerPoll(query: PollQuery, key: string): Promise<Outcome | undefined> {
    const { store } = this.#dependencies;
    const { endpoint } = query;
    const [existing] = await store.query(enrollmentByKey, { endpoint: endpoint.id, key });
    if (!existing) return undefined;
    const again = (): Promise<Outcome | undefined> => this.#answerPoll(query, key);
    switch (existing.status) {
      case 'pending':
        return this.#continuation.pending(existing, endpoint.retryAfterSeconds, again);
      case 'approved':
        return this.#continuation.approved(this.#restored(query, existing, key), existing, again);
      case 'signing':
        return this.#continuation.interrupted(existing, again);
      case 'issued':
        // A key made here was handed out once; who lost it asks anew.
        return existing.server_generated === 1 ? undefined : this.#storedCertificate(existing);
      case 'rejected':
      case 'expired':
        return rejectionOf(existing);
    }
  }

  /**
   * The request as it was approved, with who asks. SCEP's poll names nobody: the carrier has verified a signature with the
   * requested key, and the row says who was let in.
   * @throws InternalError when the carrier restored something else than what was approved.
   */
  #restored(query: PollQuery, existing: EnrollmentRow, key: string): Asked {
    const { restore, ...asking } = query;
    const request: EnrollmentRequest = {
      ...asking,
      ...restore(existing.request),
      operation: existing.replaces === null ? 'enroll' : 'renew',
      der: existing.request,
    };
    if (!isRestored(existing, request)) throw new InternalError(`${query.protocol} restored another request`);
    if (query.protocol === 'scep') return { request, principal: storedPrincipal(existing), key };
    const now = this.#dependencies.store.clock.now();
    const principal = accept(request, authenticatorsOf(query.endpoint, query.protocol), now);
    if (idempotencyKey(request, principal) === key) return { request, principal, key };
    throw new PolicyError('not-authorized', 'the enrolment was asked for with another credential');
  }

  async #answerOrRefuse(asked: Asked): Promise<Outcome> {
    try {
      return await this.#answer(asked);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return this.#refuse(asked, refusal);
    }
  }

  async #answer(asked: Asked): Promise<Outcome> {
    const { request, key } = asked;
    const { endpoint } = request;
    const [existing] = await this.#dependencies.store.query(enrollmentByKey, { endpoint: endpoint.id, key });
    if (!existing) return this.#fresh(asked, undefined);
    if (!asksForSame(existing, request)) return this.#anotherUnderSameKey(asked, existing);
    const again = (): Promise<Outcome> => this.#answer(asked);
    switch (existing.status) {
      case 'pending':
        return this.#continuation.pending(existing, endpoint.retryAfterSeconds, again);
      case 'approved':
        return this.#continuation.approved(asked, existing, again);
      case 'signing':
        return this.#continuation.interrupted(existing, again);
      case 'issued':
        return this.#replay(asked, existing);
      case 'rejected':
        return rejectionHolds(existing, endpoint.revision, asked.principal)
          ? rejectionOf(existing)
          : this.#fresh(asked, existing);
      case 'expired':
        return this.#fresh(asked, existing);
    }
  }

  /** Nobody gets by an approval what was not approved; when the earlier request is over, the key is free for another. */
  async #anotherUnderSameKey(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    switch (existing.status) {
      case 'pending':
      case 'approved':
      case 'signing':
        return this.#turnAway(asked.request, IN_USE, this.#dependencies.store.clock.now());
      case 'issued':
      case 'rejected':
      case 'expired':
        return this.#fresh(asked, existing);
    }
  }

  /** Attested first: the verdict is recorded whatever becomes of the request. */
  async #fresh(asked: Asked, supersedes: EnrollmentRow | undefined): Promise<Outcome> {
    const attested = { ...asked, attestation: await attest(asked.request, asked.principal, this.#dependencies.gate) };
    try {
      return await this.#attested(attested, supersedes);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return this.#refuse(attested, refusal);
    }
  }

  async #attested(asked: AttestedAsked, supersedes: EnrollmentRow | undefined): Promise<Outcome> {
    const { store, approvals } = this.#dependencies;
    const { request, principal, attestation } = asked;
    const { needsOperator, findings } = await admit(request, principal, attestation, this.#dependencies);
    const now = store.clock.now();
    const prepared = await this.#issuance.prepare(request, principal, now);
    if (!needsOperator) return this.#issue(asked, supersedes, prepared, findings);
    // What was prepared is thrown away: no operator is asked about what could not be issued anyway.
    const row = { ...newRow(asked, 'pending', now), evidence: attestation.restsOn ?? null };
    const inserted = await store.unit(async (tx) => {
      if (!(await insertAsked(tx, asked, row, supersedes))) return false;
      await this.#recordEvidence(tx, asked, row, true);
      await rememberWaiting(tx, row.id, request);
      const details = { findings: [...findings] };
      await recordEnrollmentEvent(tx, row, { action: 'enrollment.pending', outcome: 'success', details, at: now });
      tx.onCommitted(() => approvals.waiting(row.id, request.endpoint));
      return true;
    });
    if (!inserted) return this.#answer(asked);
    return { kind: 'pending', enrollmentId: row.id, retryAfterSeconds: request.endpoint.retryAfterSeconds };
  }

  async #issue(
    asked: AttestedAsked,
    supersedes: EnrollmentRow | undefined,
    prepared: Prepared,
    findings: readonly string[],
  ): Promise<Outcome> {
    const { store, faultPoint } = this.#dependencies;
    const now = store.clock.now();
    const { tbsDer: tbs, serialNumber: serial_number } = prepared.linted.certificate;
    const lease = this.#continuation.lease(now);
    const evidence = asked.attestation.restsOn ?? null;
    const row: EnrollmentRow = { ...newRow(asked, 'signing', now), ...lease, serial_number, tbs, evidence };
    await faultPoint?.('before-unit-1');
    // Unit 1: from here on the store knows the serial number, whatever becomes of this process.
    const inserted = await store.unit(async (tx) => {
      if (!(await insertAsked(tx, asked, row, supersedes))) return false;
      await this.#recordEvidence(tx, asked, row, true);
      if (findings.length === 0) return true;
      const details = { findings: [...findings] };
      await recordEnrollmentEvent(tx, row, { action: 'enrollment.observed', outcome: 'success', details, at: now });
      return true;
    });
    if (!inserted) return this.#answer(asked);
    return issued(await this.#issuance.signAndRecord(row, prepared, asked.request.onIssued), false);
  }

  async #replay(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const inWindow = existing.updated_at + REPLAY_WINDOW_MS > store.clock.now();
    // A spent one-time secret answers repeats for a while and admits nothing more.
    if (!inWindow && asked.principal.secret?.usage === 'one-time')
      throw new PolicyError('bad-credential', 'the password is not valid here');
    if (!inWindow || existing.server_generated === 1) return this.#fresh(asked, existing);
    return this.#storedCertificate(existing);
  }

  async #storedCertificate({ id, tenant, certificate: certificateId }: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const certificate = certificateId === null ? undefined : await certificateDer(store, tenant, certificateId);
    if (certificateId === null || !certificate)
      throw new InternalError(`the enrolment ${id} is issued and its certificate is not in the store`);
    return issued({ enrollmentId: id, certificateId, certificate }, true);
  }

  #recordEvidence(tx: Unit, asked: AttestedAsked, row: EnrollmentRow, admitted: boolean): Promise<void> {
    const { request, principal, attestation } = asked;
    const decided = { request, principal, admitted, enrollment: row.id, at: row.created_at };
    return recordEvidence(tx, this.#dependencies.gate, attestation, decided);
  }

  async #refuse(asked: Asked | AttestedAsked, refusal: Refusal): Promise<Outcome> {
    const { store } = this.#dependencies;
    const at = store.clock.now();
    const { reason, message } = refusal;
    const row: EnrollmentRow = { ...newRow(asked, 'rejected', at), reason, detail: message };
    const inserted = await store.unit(async (tx) => {
      const recorded = await insertRejected(tx, row);
      if ('attestation' in asked) await this.#recordEvidence(tx, asked, row, false);
      const details = { reason, message };
      await recordEnrollmentEvent(tx, row, { action: 'enrollment.rejected', outcome: 'refused', details, at });
      return recorded;
    });
    return rejected(inserted ? row.id : undefined, refusal);
  }

  /** Refuses who showed a genuine credential that may not do this; who showed none leaves no trace in the store. */
  async #turnAway(request: EnrollmentRequest, refusal: Refusal, now: number): Promise<Outcome> {
    if (request.facts.length > 0) {
      await this.#dependencies.store.unit((tx) => recordTurnedAway(tx, request, refusal, now));
    }
    return rejected(undefined, refusal);
  }
}

const IN_USE: Refusal = {
  reason: 'transaction-in-use',
  message: 'the transaction is under way for another subject or other names',
};

/** Starts when what went before has ended, well or badly. */
function after<T>(running: UnderWay | undefined, answer: () => Promise<T>): Promise<T> {
  return running ? running.work.then(answer, answer) : answer();
}

/**
 * Whether the answer to one is the answer to the other. Server-made keys cannot be shared: a second request of the same text
 * waits, and then gets a pair of its own.
 */
function isRepeat({ request }: Asked, running: Asked): boolean {
  return request.proofOfPossession !== 'server-generated' && asksForSame(namesOf(running.request), request);
}

/** What a request is told that came while the same one was being answered. */
function asRepeat(outcome: Outcome): Outcome {
  return outcome.kind === 'issued' ? { ...outcome, replayed: true } : outcome;
}

function nameOf(endpoint: string, key: string | null): string {
  return `${endpoint}:${key}`;
}
