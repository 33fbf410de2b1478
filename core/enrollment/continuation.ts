import { StateError } from '../errors/muster-error.ts';
import { setTimeout as delay } from 'node:timers/promises';

import { spkiSha256 as spkiSha256Of } from '../x509/public-key.ts';
import { requireNotBlocked } from './admit.ts';
import { endAsked, pendingTooLong, type Asked } from './enrollment-record.ts';
import type { Issuance, Issued, IssuanceDependencies, Prepared } from './issuance.ts';
import type { Outcome } from './outcome.ts';
import { refusalOf, rejected, type Refusal } from './refusal.ts';
import { beginSigning, enrollmentById, takeLease } from './statements.ts';
import type { EnrollmentRow } from './tables.ts';
import type { Turnstile } from './turnstile.ts';

/** What going on stands on. */
export interface ContinuationDependencies extends IssuanceDependencies {
  /** Names this process among the nodes; a lease belongs to it. */
  readonly nodeId: string;
}

/** How long others leave an enrolment to the node that signs it: longer than the token's deadline. */
const LEASE_MS = 10_000;
/** How long a repeat waits for another node's signature before it is told to come back. */
const OTHER_NODE = { waitMs: 2_000, pollMs: 50, comeBackSeconds: 2 };
const INTERRUPTED = {
  reason: 'enrollment-expired',
  detail: 'interrupted before it was answered; the private key was never stored',
} as const;

/** An approved enrolment with what it is prepared from. */
export type Approved = Pick<Asked, 'request' | 'principal'>;

/**
 * Goes on with an enrolment that has a row already, whoever asks after it: by a repeat, a poll or the sweep. Where somebody else
 * was faster, `again` reads the row anew.
 */
export class Continuation {
  readonly #dependencies: ContinuationDependencies;
  readonly #issuance: Issuance;
  readonly #turnstile: Turnstile;

  constructor(dependencies: ContinuationDependencies, issuance: Issuance, turnstile: Turnstile) {
    this.#dependencies = dependencies;
    this.#issuance = issuance;
    this.#turnstile = turnstile;
  }

  /** Still waiting for its operator, unless its time is over. */
  async pending<T>(existing: EnrollmentRow, retryAfterSeconds: number, again: () => Promise<T>): Promise<Outcome | T> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    if (existing.expires_at === null || existing.expires_at > now)
      return { kind: 'pending', enrollmentId: existing.id, retryAfterSeconds };
    await store.unit((tx) => endAsked(tx, existing, pendingTooLong(now)));
    return again();
  }

  /** Signs what was approved: the device may be blocked or the profile stricter by now. */
  async approved<T>({ request, principal }: Approved, existing: EnrollmentRow, again: () => Promise<T>) {
    const { store, inventory } = this.#dependencies;
    const now = store.clock.now();
    let prepared: Prepared;
    try {
      await requireNotBlocked(inventory, { tenant: existing.tenant, name: existing.device_name });
      prepared = await this.#issuance.prepare(request, principal, now);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return (await this.#end(existing, 'approved', refusal)) ? rejected(existing.id, refusal) : again();
    }
    const { tbsDer: tbs, serialNumber } = prepared.linted.certificate;
    // A server-made key is new at each request: the approval holds for the device, not for the key.
    const spkiSha256 = spkiSha256Of(request.publicKey);
    const lease = this.lease(now);
    const { tenant, id } = existing;
    const authority = prepared.issuer.id;
    const parameters = { tenant, id, authority, serialNumber, tbs, spkiSha256, now };
    const began = await store.unit((tx) =>
      tx.affected(beginSigning, { ...parameters, owner: lease.lease_owner, leaseUntil: lease.lease_until }),
    );
    if (began !== 1) return again();
    const row: EnrollmentRow = { ...existing, status: 'signing', authority, spki_sha256: spkiSha256 };
    return issued(await this.#issuance.signAndRecord(row, prepared), false);
  }

  /** Signs what was left in `signing`, or waits for the node that is at it. */
  async interrupted<T>(existing: EnrollmentRow, again: () => Promise<T>): Promise<Outcome | T> {
    const { store, nodeId } = this.#dependencies;
    const abandoned = existing.lease_owner === nodeId || (existing.lease_until ?? 0) <= store.clock.now();
    if (!abandoned) return this.#waitForOtherNode(existing, again);
    const resumed = await this.resume(existing, false);
    return resumed ? issued(resumed, false) : again();
  }

  /** Signs the stored TBSCertificate again; `undefined` when it was not ours to take, or its private key is lost. */
  async resume(row: EnrollmentRow, evenIfLeased: boolean): Promise<Issued | undefined> {
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
      const refusal = refusalOf(error) ?? endOfAuthority(error);
      if (refusal === undefined) throw error;
      await this.#end(row, 'signing', refusal);
      return undefined;
    }
    return this.#issuance.signAndRecord(row, prepared);
  }

  /** What a row says while this node signs it. */
  lease(now: number): { readonly lease_owner: string; readonly lease_until: number } {
    return { lease_owner: this.#dependencies.nodeId, lease_until: now + LEASE_MS };
  }

  async #waitForOtherNode<T>({ tenant, id }: EnrollmentRow, again: () => Promise<T>): Promise<Outcome | T> {
    const { store } = this.#dependencies;
    const until = store.clock.now() + OTHER_NODE.waitMs;
    while (store.clock.now() < until) {
      await this.#turnstile.stepOutside(tenant, () => delay(OTHER_NODE.pollMs));
      const [row] = await store.query(enrollmentById, { tenant, id });
      if (row?.status !== 'signing') return again();
    }
    return { kind: 'pending', enrollmentId: id, retryAfterSeconds: OTHER_NODE.comeBackSeconds };
  }

  /** Ends an enrolment that was let in and may not be issued any more; false when it is no longer in `from`. */
  #end(row: EnrollmentRow, from: 'approved' | 'signing', { reason, message }: Refusal): Promise<boolean> {
    const { store } = this.#dependencies;
    const ending = { from, to: 'rejected', reason, detail: message, decidedBy: 'system:hall' } as const;
    return store.unit((tx) => endAsked(tx, row, { ...ending, now: store.clock.now() }));
  }
}

/** The outcome of a certificate as it stands in the store. */
export function issued(certificate: Issued, replayed: boolean): Outcome {
  return { kind: 'issued', ...certificate, replayed };
}

/** What was to be signed names the authority: no other one can sign it. */
function endOfAuthority(error: unknown): Refusal | undefined {
  if (!(error instanceof StateError) || error.reason !== 'authority-retired') return undefined;
  return { reason: error.reason, message: error.message };
}
