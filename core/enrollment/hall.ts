import { Asn1Error } from '../asn1/asn1-error.ts';
import { certificateDer } from '../authority/certificates.ts';
import { InternalError, PeerError, PolicyError } from '../errors/muster-error.ts';
import type { ReasonCode } from '../errors/reasons.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import { accept, idempotencyKey } from './accept.ts';
import { admit, type AdmissionPorts } from './admit.ts';
import { authenticatorsOf } from './endpoint.ts';
import {
  endAsked,
  insertAsked,
  insertRejected,
  interruptedEnrollments,
  newRow,
  recordEnrollmentEvent,
  type Asked,
} from './enrollment-record.ts';
import { Issuance, type Issued, type IssuanceDependencies } from './issuance.ts';
import type { Outcome } from './outcome.ts';
import type { Approvals } from './ports.ts';
import type { EnrollmentRequest } from './request.ts';
import { beginSigning, enrollmentByKey, takeLease } from './statements.ts';
import type { EnrollmentRow } from './tables.ts';

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
  /** Requests this process is working on, by endpoint and key: a repeat on a second connection joins the first. */
  readonly #underWay = new Map<string, Promise<Outcome>>();

  constructor(dependencies: HallDependencies) {
    this.#dependencies = dependencies;
    this.#issuance = new Issuance(dependencies);
  }

  /**
   * Decides one request. Refusals are outcomes; what throws is a part that is away (UpstreamError: repeating is safe) or a
   * fault of ours.
   */
  async enroll(request: EnrollmentRequest): Promise<Outcome> {
    const outcome = await this.#decide(request);
    this.#dependencies.observer.decided(outcome, request);
    return outcome;
  }

  /**
   * Signs what was left in `signing`: by nodes whose lease ended, or (`byAnyNode`, for the only node of a site at its
   * start) by whomever. Returns how many certificates it finished.
   */
  async resumeInterrupted(byAnyNode: boolean): Promise<number> {
    const { store } = this.#dependencies;
    const rows = await interruptedEnrollments(store, byAnyNode ? undefined : store.clock.now());
    let finished = 0;
    for (const row of rows) {
      if (this.#underWay.has(nameOf(row.endpoint, row.idempotency_key))) continue;
      if (await this.#resume(row, byAnyNode)) finished += 1;
    }
    return finished;
  }

  async #decide(request: EnrollmentRequest): Promise<Outcome> {
    let asked: Asked | undefined;
    try {
      const principal = accept(request, authenticatorsOf(request.endpoint, request.protocol));
      asked = { request, principal, key: idempotencyKey(request, principal) };
      return await this.#once(asked);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return asked ? this.#refuse(asked, refusal) : { kind: 'rejected', enrollmentId: undefined, ...refusal };
    }
  }

  #once(asked: Asked): Promise<Outcome> {
    const name = nameOf(asked.request.endpoint.id, asked.key);
    const running = this.#underWay.get(name);
    // Server-made keys cannot be shared: a second request of the same text waits, and then gets a pair of its own.
    if (running && asked.request.proofOfPossession !== 'server-generated') return running;
    const answer = (): Promise<Outcome> => this.#answer(asked);
    const work = running ? running.then(answer, answer) : answer();
    this.#underWay.set(name, work);
    const done = (): void => {
      if (this.#underWay.get(name) === work) this.#underWay.delete(name);
    };
    work.then(done, done);
    return work;
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
    if (!needsOperator) return this.#issue(asked, supersedes);
    const now = store.clock.now();
    const row = newRow(asked, 'pending', now);
    const inserted = await store.unit(async (tx) => {
      if (!(await insertAsked(tx, asked, row, supersedes))) return false;
      await recordEnrollmentEvent(tx, row, {
        action: 'enrollment.pending',
        outcome: 'success',
        details: { findings: [...findings] },
        at: now,
      });
      tx.onCommitted(() => approvals.waiting(row.id, request.endpoint));
      return true;
    });
    if (!inserted) return this.#answer(asked);
    return { kind: 'pending', enrollmentId: row.id, retryAfterSeconds: request.endpoint.retryAfterSeconds };
  }

  async #issue(asked: Asked, supersedes: EnrollmentRow | undefined): Promise<Outcome> {
    const { store, faultPoint } = this.#dependencies;
    const now = store.clock.now();
    const prepared = await this.#issuance.prepare(asked.request, asked.principal.renews, now);
    const { tbsDer, serialNumber } = prepared.linted.certificate;
    const row: EnrollmentRow = {
      ...newRow(asked, 'signing', now),
      ...this.#lease(now),
      serial_number: serialNumber,
      tbs: tbsDer,
    };
    await faultPoint?.('before-unit-1');
    // Unit 1: from here on the store knows the serial number, whatever becomes of this process.
    if (!(await store.unit((tx) => insertAsked(tx, asked, row, supersedes)))) return this.#answer(asked);
    return issued(await this.#issuance.signAndRecord(row, prepared), false);
  }

  async #approved(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    const prepared = await this.#issuance.prepare(asked.request, asked.principal.renews, now);
    const { tbsDer: tbs, serialNumber } = prepared.linted.certificate;
    // A server-made key is new at each request: the approval holds for the device, not for the key.
    const spki = spkiSha256(asked.request.publicKey);
    const row: EnrollmentRow = {
      ...existing,
      ...this.#lease(now),
      status: 'signing',
      serial_number: serialNumber,
      tbs,
      spki_sha256: spki,
    };
    const began = await store.unit((tx) =>
      tx.affected(beginSigning, {
        tenant: row.tenant,
        id: row.id,
        serialNumber,
        tbs,
        spkiSha256: spki,
        owner: row.lease_owner!,
        leaseUntil: row.lease_until!,
        now,
      }),
    );
    return began === 1 ? issued(await this.#issuance.signAndRecord(row, prepared), false) : this.#answer(asked);
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
      await new Promise((resolve) => setTimeout(resolve, OTHER_NODE.pollMs));
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
    return this.#issuance.signAndRecord(row, await this.#issuance.resume(row));
  }

  async #replay(asked: Asked, existing: EnrollmentRow): Promise<Outcome> {
    const { store } = this.#dependencies;
    const { id, tenant, certificate: certificateId } = existing;
    const inWindow = existing.updated_at + REPLAY_WINDOW_MS > store.clock.now();
    if (!inWindow || existing.server_generated === 1) return this.#fresh(asked, existing);
    const certificate = certificateId === null ? undefined : await certificateDer(store, tenant, certificateId);
    if (!certificate) throw new InternalError(`the enrolment ${id} is issued and its certificate is not in the store`);
    return { kind: 'issued', enrollmentId: id, certificate, replayed: true };
  }

  async #refuse(asked: Asked, { reason, message }: Refusal): Promise<Outcome> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    const row: EnrollmentRow = { ...newRow(asked, 'rejected', now), reason, detail: message };
    const inserted = await store.unit(async (tx) => {
      const recorded = await insertRejected(tx, row);
      await recordEnrollmentEvent(tx, row, {
        action: 'enrollment.rejected',
        outcome: 'refused',
        details: { reason, message },
        at: now,
      });
      return recorded;
    });
    return { kind: 'rejected', enrollmentId: inserted ? row.id : undefined, reason, message };
  }

  #lease(now: number): { readonly lease_owner: string; readonly lease_until: number } {
    return { lease_owner: this.#dependencies.nodeId, lease_until: now + LEASE_MS };
  }
}

/** A pending enrolment whose operator never came. */
export function pendingTooLong(now: number) {
  return {
    from: 'pending',
    to: 'expired',
    reason: 'enrollment-expired',
    detail: 'no operator decided in time',
    decidedBy: 'system:hall',
    now,
  } as const;
}

interface Refusal {
  readonly reason: ReasonCode;
  readonly message: string;
}

/** What is an answer to the peer; anything else is not a decision and must be repeated. */
function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof PolicyError || error instanceof PeerError)
    return { reason: error.reason, message: error.message };
  if (error instanceof Asn1Error) return { reason: 'malformed-request', message: error.message };
  return undefined;
}

/** A rejection is final; but a changed endpoint may decide otherwise, unless an operator said no. */
function rejectionHolds(row: EnrollmentRow, revision: number): boolean {
  return row.endpoint_revision === revision || row.reason === 'operator-rejected';
}

function rejectionOf(row: EnrollmentRow): Outcome {
  return {
    kind: 'rejected',
    enrollmentId: row.id,
    reason: row.reason ?? 'policy-refused',
    message: row.detail ?? 'rejected',
  };
}

function issued({ enrollmentId, certificate }: Issued, replayed: boolean): Outcome {
  return { kind: 'issued', enrollmentId, certificate, replayed };
}

function nameOf(endpoint: string, key: string | null): string {
  return `${endpoint}:${key}`;
}
