import type { AcmeChallengeType, AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import { appendAudit } from '../../core/audit/log.ts';
import type { AcmeDependencies } from './dependencies.ts';
import { problemOf } from './errors.ts';
import { restoreAccountKey } from './account-key.ts';
import type { ValidationEnd } from './observer.ts';
import { type AcmeProblem, problemDocument } from './problem.ts';
import {
  abandonedValidations,
  accountById,
  authorizationById,
  beginValidation,
  leaseValidation,
  markRefuted,
  markValidated,
  noteFailure,
} from './statements.ts';
import type { AuthorizationRow } from './tables.ts';
import { validate } from './validation.ts';

type OfficeDependencies = Pick<AcmeDependencies, 'store' | 'endpoints' | 'observer' | 'report'>;

/** Longer than any look at a challenge takes: after it, the node that looked is taken for dead. */
const LEASE_MS = 60_000;
/** Looks under way in this process; more wait. */
const MAX_LOOKS = 64;

/**
 * Validates challenges while their clients wait (RFC 8555 §7.5.1): at once in this process, and by the sweep of any node where
 * this one died. Every step is a compare-and-set on the authorization (V44).
 */
export class ValidationOffice {
  readonly #dependencies: OfficeDependencies;
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #waiting: (() => void)[] = [];
  #looks = 0;

  constructor(dependencies: OfficeDependencies) {
    this.#dependencies = dependencies;
  }

  /** Begins with a challenge, unless one of its authorization was answered before. */
  async begin(row: AuthorizationRow, challenge: AcmeChallengeType, settings: AcmeSettings): Promise<void> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    const { tenant, id } = row;
    const began = await store.unit((tx) =>
      tx.affected(beginValidation, { tenant, id, challenge, leaseUntil: now + LEASE_MS, now }),
    );
    if (began === 1) this.#start({ ...row, challenge, challenge_status: 'processing' }, settings);
  }

  /** Goes on with what other processes left; for the background, every few seconds. */
  async resume(): Promise<void> {
    const { store, endpoints } = this.#dependencies;
    const before = store.clock.now();
    for (const row of await store.query(abandonedValidations, { before })) {
      const { tenant, id, label } = row;
      const leaseUntil = before + LEASE_MS;
      if ((await store.unit((tx) => tx.affected(leaseValidation, { tenant, id, leaseUntil, before }))) !== 1) continue;
      const settings = (await endpoints.resolve(label))?.protocols.acme;
      // An endpoint that was closed meanwhile validates nothing; the authorization ends with its time.
      if (settings !== undefined) this.#start(row, settings);
    }
  }

  /** Ends what is under way: other nodes, or the next start, go on with it. */
  async close(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const enter of this.#waiting.splice(0)) enter();
    await Promise.allSettled(this.#underWay);
  }

  #start(row: AuthorizationRow, settings: AcmeSettings): void {
    const work = this.#attempt(row, settings)
      .catch((error: unknown) => this.#dependencies.report(error))
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #attempt(row: AuthorizationRow, settings: AcmeSettings): Promise<void> {
    await this.#enter();
    try {
      if (this.#stopping.signal.aborted) return;
      const problem = await this.#look(row, settings);
      if (this.#stopping.signal.aborted) return;
      if (problem === undefined) await this.#validated(row, settings);
      else await this.#failed(row, settings, problem);
    } finally {
      this.#looks -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    while (this.#looks >= MAX_LOOKS && !this.#stopping.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
    this.#looks += 1;
  }

  async #look(row: AuthorizationRow, settings: AcmeSettings): Promise<AcmeProblem | undefined> {
    const { store } = this.#dependencies;
    const { tenant, endpoint, account: id } = row;
    // The key as it is now: after a key change the new one counts.
    const [account] = await store.query(accountById, { tenant, endpoint, id });
    if (account === undefined) return problemOf(new Error('the account is gone'));
    const { thumbprint } = restoreAccountKey(account.jwk);
    try {
      await validate({ row, thumbprint, settings, signal: this.#stopping.signal });
      return undefined;
    } catch (error) {
      const problem = problemOf(error);
      if (problem.type === 'serverInternal') this.#dependencies.report(error);
      return problem;
    }
  }

  async #validated(row: AuthorizationRow, settings: AcmeSettings): Promise<void> {
    const { store } = this.#dependencies;
    const now = store.clock.now();
    const { tenant, id } = row;
    const lastsSeconds = Math.max(settings.orderLifetimeSeconds, settings.authorizationReuseSeconds);
    await store.unit(async (tx) => {
      const expiresAt = now + lastsSeconds * 1000;
      if ((await tx.affected(markValidated, { tenant, id, expiresAt, now })) !== 1) return;
      tx.onCommitted(() => this.#looked('valid', row));
      await appendAudit(tx, {
        tenant,
        at: now,
        actor: `device:acme-account ${row.account}`,
        action: 'acme-authorization.validated',
        object: `acme-authorization:${id}`,
        outcome: 'success',
        details: { endpoint: row.endpoint, name: `${row.type}:${row.value}`, challenge: row.challenge },
      });
    });
  }

  /** RFC 8555 §8.2: a host that is slow to answer is asked again, and the client sees why. */
  async #failed(row: AuthorizationRow, settings: AcmeSettings, problem: AcmeProblem): Promise<void> {
    const { store } = this.#dependencies;
    const { tenant, id } = row;
    const attempts = row.attempts + 1;
    const error = JSON.stringify(problemDocument(problem));
    // What the policy refuses, it refuses the next time as well.
    if (attempts >= settings.validationAttempts || problem.type === 'rejectedIdentifier') {
      const changed = await store.unit((tx) => tx.affected(markRefuted, { tenant, id, attempts, error }));
      if (changed === 1) this.#looked('invalid', row, problem);
      return;
    }
    this.#looked('again', row, problem);
    const waitMs = settings.validationRetrySeconds * 1000;
    const leaseUntil = store.clock.now() + waitMs + LEASE_MS;
    await store.unit((tx) => tx.affected(noteFailure, { tenant, id, attempts, error, leaseUntil }));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#again(row, settings);
    }, waitMs);
    this.#timers.add(timer);
  }

  #looked(end: ValidationEnd, { challenge, label, type, value }: AuthorizationRow, problem?: AcmeProblem): void {
    if (challenge === null) return;
    const fault = problem === undefined ? {} : { problem: problem.type };
    this.#dependencies.observer.validated(end, { challenge, label, name: `${type}:${value}`, ...fault });
  }

  async #again({ tenant, endpoint, id }: AuthorizationRow, settings: AcmeSettings): Promise<void> {
    try {
      const [row] = await this.#dependencies.store.query(authorizationById, { tenant, endpoint, id });
      if (row?.status === 'pending' && row.challenge_status === 'processing') this.#start(row, settings);
    } catch (error) {
      this.#dependencies.report(error);
    }
  }
}
