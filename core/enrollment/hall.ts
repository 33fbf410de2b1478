import { setTimeout as delay } from 'node:timers/promises';

import { certificateDer } from '../authority/certificates.ts';
import { InternalError, PolicyError } from '../errors/muster-error.ts';
import { spkiSha256 as spkiSha256Of } from '../x509/public-key.ts';
import { accept, idempotencyKey, type Principal } from './accept.ts';
import { admit, requireNotBlocked, type AdmissionPorts } from './admit.ts';
import { authenticatorsOf } from './endpoint.ts';
import {
  endAsked,
  insertAsked,
  insertRejected,
  newRow,
  pendingTooLong,
  recordEnrollmentEvent,
  recordTurnedAway,
  type Asked,
} from './enrollment-record.ts';
import { finishEach, interruptedEnrollments } from './interrupted.ts';
import { Issuance, type Issued, type IssuanceDependencies, type Prepared } from './issuance.ts';
import type { Outcome } from './outcome.ts';
import type { Approvals } from './ports.ts';
import { refusalOf, rejected, rejectionHolds, rejectionOf, type Refusal } from './refusal.ts';
import type { EnrollmentRequest } from './request.ts';
import { beginSigning, enrollmentByKey, takeLease } from './statements.ts';
import type { EnrollmentRow } from './tables.ts';
import { Turnstile } from './turnstile.ts';

/** Told of each decision after it is durable: for metrics and logs. */
export interface EnrollmentObserver {
  decided(outcome: Outcome, request: EnrollmentRequest): void;
}

/** What the hall stands on. */
export interface HallDependencies extends IssuanceDependencies, AdmissionPorts {
  readonly approvals: Approvals;
  readonly observer: EnrollmentObserver;
  /** Names this process among the nodes; a lease belongs to it. */
  readonly nodeId: string;
}

/** How long others leave an enrolment to the node that signs it: longer than the token's deadline. */
const LEASE_MS = 10_000;
/** How long a repeat is answered with the certificate it got. */
const REPLAY_WINDOW_MS = 24 * 3_600_000;
/** How long a repeat waits for another node's signature before it is told to come back. */
const OTHER_NODE = { waitMs: 2_000, pollMs: 50, comeBackSeconds: 2 };
const INTERRUPTED = {
  reason: 'enrollment-expired',
  detail: 'interrupted before it was answered; the private key was never stored',
} as const;

/**
 * The hall behind every door: accept → admit → prepare → unit 1 → sign → unit 2. A carrier hands it a typed request with
 * verified facts and encodes the outcome; it decides nothing itself.
 */
export class Hall {
  readonly #dependencies: HallDependencies;
  readonly #issuance: Issuance;
  readonly #turnstile: Turnstile;
  /** Requests this process is working on, by endpoint and key: a repeat on a second connection joins the first. */
  readonly #underWay = new Map<string, Promise<Outcome>>();

  constructor(dependencies: HallDependencies) {
    this.#dependencies = dependencies;
    this.#issuance = new Issuance(dependencies);
    this.#turnstile = new Turnstile(dependencies.store.clock);
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
      return (await this.#resume(row, byAnyNode)) !== undefined;
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
    // Server-made keys cannot be shared: a second request of the same text waits, and then gets a pair of its own.
    if (running && asked.request.proofOfPossession !== 'server-generated') return running.then(asRepeat);
    const answer = (): Promise<Outcome> => this.#answerOrRefuse(asked);
    const work = running ? running.then(answer, answer) : answer();
    this.#underWay.set(name, work);
    const done = (): void => {
      if (this.#underWay.get(name) === work) this.#underWay.delete(name);
    };
    work.then(done, done);
    return work;
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
    const { endpoint } = asked.request;
    const [existing] = await this.#dependencies.store.query(enrollmentByKey, { endpoint: endpoint.id, key: asked.key });
    if (!existing) return this.#fresh(asked, undefined);
    switch (existing.status) {
      case 'pending':
        return this.#stillPending(asked, existing);
      case 'approved':
        return this.#approved(asked, existing);
      case 'signing':
        return this.#interrupted(asked, existing);
      case 'issued':
        return this.#replay(asked, existing);
      case 'rejected':
        return rejectionHolds(existing, endpoint.revision) ? rejectionOf(existing) : this.#fresh(asked, existing);
      case 'expired':
        return this.#fresh(asked, existing);
    }
  }

  async #fresh(asked: Asked, supersedes: EnrollmentRow | undefined): Promise<Outcome> {
    const { store, approvals } = this.#dependencies;
    const { request, principal } = asked;
    const { needsOperator, findings } = await admit(request, principal, this.#dependencies);
    const now = store.clock.now();
    const prepared = await this.#issuance.prepare(request, principal, now);
    if (!needsOperator) return this.#issue(asked, supersedes, prepared, findings);
    // What was prepared is thrown away: no operator is asked about what could not be issued anyway.
    const row = newRow(asked, 'pending', now);
    const inserted = await store.unit(async (tx) => {
      if (!(await insertAsked(tx, asked, row, supersedes))) return false;
      const details = { findings: [...findings] };
      await recordEnrollmentEvent(tx, row, { action: 'enrollment.pending', outcome: 'success', details, at: now });
      tx.onCommitted(() => approvals.waiting(row.id, request.endpoint));
      return true;
    });
    if (!inserted) return this.#answer(asked);
    return { kind: 'pending', enrollmentId: row.id, retryAfterSeconds: request.endpoint.retryAfterSeconds };
  }

  async #issue(
    asked: Asked,
    supersedes: EnrollmentRow | undefined,
    prepared: Prepared,
    findings: readonly string[],
  ): Promise<Outcome> {
    const { store, faultPoint } = this.#dependencies;
    const now = store.clock.now();
    const { tbsDer: tbs, serialNumber: serial_number } = prepared.linted.certificate;
    const row: EnrollmentRow = { ...newRow(asked, 'signing', now), ...this.#lease(now), serial_number, tbs };
    await faultPoint?.('before-unit-1');
    // Unit 1: from here on the store knows the serial number, whatever becomes of this process.
    const inserted = await store.unit(async (tx) => {
      if (!(await insertAsked(tx, asked, row, supersedes))) return false;
      if (findings.length === 0) return true;
      const details = { findings: [...findings] };
      await recordEnrollmentEvent(tx, row, { action: 'enrollment.observed', outcome: 'success', details, at: now });
      return true;
    });
    if (!inserted) return this.#answer(asked);
    return issued(await this.#issuance.signAndRecord(row, prepared), false);
  }

  async #approved(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store, inventory } = this.#dependencies;
    const now = store.clock.now();
    let prepared: Prepared;
    try {
      await requireNotBlocked(inventory, { tenant: existing.tenant, name: existing.device_name });
      prepared = await this.#issuance.prepare(asked.request, asked.principal, now);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return (await this.#end(existing, 'approved', refusal)) ? rejected(existing.id, refusal) : this.#answer(asked);
    }
    const { tbsDer: tbs, serialNumber } = prepared.linted.certificate;
    // A server-made key is new at each request: the approval holds for the device, not for the key.
    const spkiSha256 = spkiSha256Of(asked.request.publicKey);
    const lease = this.#lease(now);
    const { tenant, id } = existing;
    const parameters = { tenant, id, serialNumber, tbs, spkiSha256, now };
    const began = await store.unit((tx) =>
      tx.affected(beginSigning, { ...parameters, owner: lease.lease_owner, leaseUntil: lease.lease_until }),
    );
    if (began !== 1) return this.#answer(asked);
    const row: EnrollmentRow = { ...existing, status: 'signing', spki_sha256: spkiSha256 };
    return issued(await this.#issuance.signAndRecord(row, prepared), false);
  }

  async #stillPending(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    if (existing.expires_at === null || existing.expires_at > now) {
      return {
        kind: 'pending',
        enrollmentId: existing.id,
        retryAfterSeconds: asked.request.endpoint.retryAfterSeconds,
      };
    }
    await store.unit((tx) => endAsked(tx, existing, pendingTooLong(now)));
    return this.#answer(asked);
  }

  async #interrupted(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store, nodeId } = this.#dependencies;
    const abandoned = existing.lease_owner === nodeId || (existing.lease_until ?? 0) <= store.clock.now();
    if (!abandoned) return this.#waitForOtherNode(asked, existing);
    const resumed = await this.#resume(existing, false);
    return resumed ? issued(resumed, false) : this.#answer(asked);
  }

  async #waitForOtherNode(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const until = store.clock.now() + OTHER_NODE.waitMs;
    while (store.clock.now() < until) {
      await this.#turnstile.stepOutside(existing.tenant, () => delay(OTHER_NODE.pollMs));
      const [row] = await store.query(enrollmentByKey, { endpoint: existing.endpoint, key: asked.key });
      if (row?.status !== 'signing') return this.#answer(asked);
    }
    return { kind: 'pending', enrollmentId: existing.id, retryAfterSeconds: OTHER_NODE.comeBackSeconds };
  }

  /** Signs the stored TBSCertificate again; `undefined` when it was not ours to take, or its private key is lost. */
  async #resume(row: EnrollmentRow, evenIfLeased: boolean): Promise<Issued | undefined> {
    const { store, nodeId } = this.#dependencies;
    const { tenant, id } = row;
    const now = store.clock.now();
    const taken = await store.unit((tx) =>
      tx.affected(takeLease, {
        tenant,
        id,
        owner: nodeId,
        leaseUntil: now + LEASE_MS,
        endedBefore: evenIfLeased ? Number.MAX_SAFE_INTEGER : now,
        now,
      }),
    );
    if (taken !== 1) return undefined;
    if (row.server_generated === 1) {
      await store.unit((tx) =>
        endAsked(tx, row, { from: 'signing', to: 'expired', ...INTERRUPTED, decidedBy: 'system:hall', now }),
      );
      return undefined;
    }
    let prepared: Prepared;
    try {
      prepared = await this.#issuance.resume(row);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      await this.#end(row, 'signing', refusal);
      return undefined;
    }
    return this.#issuance.signAndRecord(row, prepared);
  }

  async #replay(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const { id, tenant, certificate: certificateId } = existing;
    const inWindow = existing.updated_at + REPLAY_WINDOW_MS > store.clock.now();
    // A spent one-time secret answers repeats for a while and admits nothing more.
    if (!inWindow && asked.principal.secret?.usage === 'one-time')
      throw new PolicyError('bad-credential', 'the password is not valid here');
    if (!inWindow || existing.server_generated === 1) return this.#fresh(asked, existing);
    const certificate = certificateId === null ? undefined : await certificateDer(store, tenant, certificateId);
    if (!certificate) throw new InternalError(`the enrolment ${id} is issued and its certificate is not in the store`);
    return { kind: 'issued', enrollmentId: id, certificate, replayed: true };
  }

  async #refuse(asked: Asked, refusal: Refusal): Promise<Outcome> {
    const { store } = this.#dependencies;
    const at = store.clock.now();
    const { reason, message } = refusal;
    const row: EnrollmentRow = { ...newRow(asked, 'rejected', at), reason, detail: message };
    const inserted = await store.unit(async (tx) => {
      const recorded = await insertRejected(tx, row);
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

  /** Ends an enrolment that was let in and may not be issued any more; false when it is no longer in `from`. */
  #end(row: EnrollmentRow, from: 'approved' | 'signing', { reason, message }: Refusal): Promise<boolean> {
    const { store } = this.#dependencies;
    const ending = { from, to: 'rejected', reason, detail: message, decidedBy: 'system:hall' } as const;
    return store.unit((tx) => endAsked(tx, row, { ...ending, now: store.clock.now() }));
  }

  #lease(now: number): { readonly lease_owner: string; readonly lease_until: number } {
    return { lease_owner: this.#dependencies.nodeId, lease_until: now + LEASE_MS };
  }
}

function issued({ enrollmentId, certificate }: Issued, replayed: boolean): Outcome {
  return { kind: 'issued', enrollmentId, certificate, replayed };
}

/** What a request is told that came while the same one was being answered. */
function asRepeat(outcome: Outcome): Outcome {
  return outcome.kind === 'issued' ? { ...outcome, replayed: true } : outcome;
}

function nameOf(endpoint: string, key: string | null): string {
  return `${endpoint}:${key}`;
}
