import { setTimeout as delay } from 'node:timers/promises';

import type { JobHandler, JobTurn } from '../../core/store/job-runner.ts';
import type { Unit } from '../../core/store/store.ts';
import { SshSession } from '../transport/ssh/session.ts';
import { type AccessParts, sshTarget } from './device-access.ts';
import { DeviceFailure, FAILURES } from './failure.ts';
import { perform } from './interpreter.ts';
import type { IssueParts } from './issue.ts';
import {
  beginRollback,
  endPlan,
  loadPlan,
  noteStep,
  noteTranscript,
  type StepChange,
  type StoredPlan,
} from './journal.ts';
import type { Action, PlanStep } from './plan.ts';
import type { Values } from './render.ts';
import type { PlanStepRow } from './tables.ts';
import { Transcript } from './transcript.ts';

/** Where a test stops the process: around what a step does on the device, and around the journal. */
export type PlanFaultPoint = 'before' | 'applied' | 'recorded';

/** How patient the engine is. Milliseconds. */
export interface EnginePatience {
  readonly connectMs: number;
  /** Between two attempts of what may pass. */
  readonly retryMs: number;
  /** How long a device that went away is waited for when something must be undone: longer than its own timer. */
  readonly rollbackMs: number;
  /** How long the old certificate stays on the device. */
  readonly holdMs: number;
}

/** A device is given this long; its dead-man has 300 s. */
export const PATIENCE: EnginePatience = {
  connectMs: 15_000,
  retryMs: 5_000,
  rollbackMs: 600_000,
  holdMs: 24 * 3_600_000,
};

/** What the engine works with. */
export interface EngineParts extends AccessParts, IssueParts {
  readonly patience: EnginePatience;
  /** For tests. */
  readonly faultPoint?: (step: string, point: PlanFaultPoint, way: 'apply' | 'compensate') => Promise<void>;
}

/** Attempts of a step that fails by what may pass. */
const ATTEMPTS = 3;
const PROOF_SECONDS = 15;

/**
 * Brings one plan to its end. It may be called again at any time after a crash: what is recorded as done is not done again, what
 * was under way is, and every step may be.
 */
export function runPlan(parts: EngineParts): JobHandler {
  return async (payload, turn) => {
    const { tenant, plan: id } = payload as { readonly tenant: string; readonly plan: string };
    await using work = new PlanWork(parts, await loadPlan(parts.store, tenant, id), turn);
    if (work.state === 'running') await work.goForward();
    if (work.state === 'rolling-back') await work.goBack();
  };
}

/** Takes the old certificates of a plan that is done away, if nothing uses them. */
export function retirePlan(parts: EngineParts): JobHandler {
  return async (payload, turn) => {
    const { tenant, plan: id } = payload as { readonly tenant: string; readonly plan: string };
    await using work = new PlanWork(parts, await loadPlan(parts.store, tenant, id), turn);
    if (work.state === 'done') await work.retire();
  };
}

/** One turn at one plan. */
class PlanWork implements AsyncDisposable {
  readonly #parts: EngineParts;
  readonly #turn: JobTurn;
  #stored: StoredPlan;
  #session: Promise<SshSession> | undefined;

  constructor(parts: EngineParts, stored: StoredPlan, turn: JobTurn) {
    this.#parts = parts;
    this.#stored = stored;
    this.#turn = turn;
  }

  get state() {
    return this.#stored.row.state;
  }

  /** Every step up to the last but the retirement; a failure turns the plan round. */
  async goForward(): Promise<void> {
    for (const { step, position } of this.#steps((phase) => phase !== 'retire')) {
      if (this.#rowAt(position).state === 'done') continue;
      const failure = await this.#apply(step, position);
      if (failure === undefined) continue;
      const because = { step: step.id, failure, at: this.#now() };
      return this.#record((tx) => beginRollback(tx, this.#stored, because));
    }
    await this.#end('done');
  }

  /** Undoes in reverse what was done or begun, then looks what is served. */
  async goBack(): Promise<void> {
    const begun = this.#steps(() => true).filter(({ position }) => this.#rowAt(position).state !== 'waiting');
    for (const { step, position } of begun.toReversed()) {
      const { state } = this.#rowAt(position);
      if (step.compensation.length === 0 || state === 'undone' || state === 'stuck') continue;
      await this.#compensate(step, position);
    }
    const stuck = this.#stored.steps.some(({ phase, state }) => phase === 'bind' && state === 'stuck');
    const proved = await this.#proveOld();
    await this.#end(proved && !stuck ? 'rolled-back' : 'needs-human');
  }

  /** Each on its own: one that stays, and why, is in its step. */
  async retire(): Promise<void> {
    for (const { step, position } of this.#steps((phase) => phase === 'retire')) {
      if (this.#rowAt(position).state === 'waiting') await this.#apply(step, position);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disconnect();
  }

  async #apply(step: PlanStep, position: number): Promise<DeviceFailure | undefined> {
    const attempts = this.#rowAt(position).attempts + 1;
    await this.#record((tx) =>
      noteStep(tx, this.#stored, position, { state: 'running', attempts, startedAt: this.#now() }),
    );
    for (let attempt = 1; ; attempt += 1) {
      const { failure, found, text } = await this.#perform(step, position, 'apply');
      const again = failure !== undefined && FAILURES[failure.code].passing && attempt < ATTEMPTS;
      const state = failure === undefined ? 'done' : again ? 'running' : 'failed';
      await this.#settle(step, position, 'apply', { state, failure, ...(found && { found }) }, text);
      if (!again) return failure;
      await this.#rest();
    }
  }

  /** A device that is away is waited for; what stays undone is written down. */
  async #compensate(step: PlanStep, position: number): Promise<void> {
    const end = this.#now() + this.#parts.patience.rollbackMs;
    for (;;) {
      const { failure, text } = await this.#perform(step, position, 'compensate');
      const again = failure !== undefined && FAILURES[failure.code].passing && this.#now() < end;
      const state = failure === undefined ? 'undone' : again ? this.#rowAt(position).state : 'stuck';
      await this.#settle(step, position, 'compensate', { state, failure }, text);
      if (!again) return;
      await this.#rest();
    }
  }

  async #perform(step: PlanStep, position: number, way: 'apply' | 'compensate') {
    const { faultPoint, store } = this.#parts;
    const { row, plan } = this.#stored;
    const { host } = plan.services[step.service]!;
    const transcript = new Transcript(() => this.#now());
    const context = {
      session: () => this.#connect(),
      issue: this.#parts,
      call: { tenant: row.tenant, planId: row.id, step: step.id, device: row.device_name, host },
      transcript,
      now: () => store.clock.now(),
      signal: this.#turn.signal,
    };
    const actions: readonly Action[] = way === 'apply' ? step.actions : step.compensation;
    try {
      await faultPoint?.(step.id, 'before', way);
      const known = this.#valuesOf(step.service);
      const values = await perform(actions, known, context);
      await faultPoint?.(step.id, 'applied', way);
      return { failure: undefined, found: only(values, known, this.#found(position)), text: transcript.text };
    } catch (error) {
      if (!(error instanceof DeviceFailure) || this.#turn.signal.aborted) throw error;
      transcript.noted(error.message);
      // Nobody knows what a connection is good for after that.
      await this.#disconnect();
      return { failure: error, found: undefined, text: transcript.text };
    }
  }

  async #settle(
    step: PlanStep,
    position: number,
    way: 'apply' | 'compensate',
    change: StepChange,
    text: string,
  ): Promise<void> {
    const at = this.#now();
    await this.#record(async (tx) => {
      await noteStep(tx, this.#stored, position, { ...change, endedAt: at });
      await noteTranscript(tx, this.#stored, { step: step.id, way, at, text });
    });
    await this.#parts.faultPoint?.(step.id, 'recorded', way);
  }

  /** New handshakes with every service: each must serve what it served at first. */
  async #proveOld(): Promise<boolean> {
    let proved = true;
    for (const [service, at] of Object.entries(this.#stored.plan.services)) {
      const { served } = this.#valuesOf(service);
      const position = this.#stored.plan.steps.findIndex((step) => step.service === service && step.phase === 'probe');
      // Never looked at: nothing was changed there either.
      if (served === undefined || !this.#wasBound(service)) continue;
      const proof: PlanStep = {
        ...this.#stored.plan.steps[position]!,
        compensation: [{ do: 'await', at, value: 'served', timeoutSeconds: PROOF_SECONDS }],
      };
      const { failure, text } = await this.#perform(proof, position, 'compensate');
      const change: StepChange = { state: failure === undefined ? 'undone' : 'stuck', failure };
      await this.#settle(proof, position, 'compensate', change, text);
      proved &&= failure === undefined;
    }
    return proved;
  }

  #wasBound(service: string): boolean {
    const bind = this.#stored.steps.find((row) => row.service === service && row.phase === 'bind');
    return bind !== undefined && bind.state !== 'waiting';
  }

  async #end(state: 'done' | 'rolled-back' | 'needs-human'): Promise<void> {
    const { holdMs } = this.#parts.patience;
    await this.#record((tx) => endPlan(tx, this.#stored, { state, at: this.#now(), holdMs }));
  }

  /** The fence comes first: who was overtaken records nothing. */
  async #record(write: (tx: Unit) => Promise<void>): Promise<void> {
    await this.#parts.store.unit(async (tx) => {
      await this.#turn.confirm(tx);
      await write(tx);
    });
    this.#stored = await loadPlan(this.#parts.store, this.#stored.row.tenant, this.#stored.row.id);
  }

  #connect(): Promise<SshSession> {
    const { patience } = this.#parts;
    const { tenant, device } = this.#stored.row;
    this.#session ??= sshTarget(this.#parts, tenant, device, patience.connectMs).then((target) =>
      SshSession.open(target, this.#turn.signal),
    );
    return this.#session;
  }

  async #disconnect(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.then(
      (open) => open[Symbol.asyncDispose](),
      // It never opened; who asked for it was told why.
      () => undefined,
    );
  }

  async #rest(): Promise<void> {
    await delay(this.#parts.patience.retryMs, undefined, { signal: this.#turn.signal });
  }

  #steps(wanted: (phase: PlanStep['phase']) => boolean) {
    return this.#stored.plan.steps
      .map((step, position) => ({ step, position }))
      .filter(({ step }) => wanted(step.phase));
  }

  #rowAt(position: number): PlanStepRow {
    return this.#stored.steps[position]!;
  }

  #found(position: number): Values {
    return JSON.parse(this.#rowAt(position).found) as Values;
  }

  /** What the steps of a service have found so far. */
  #valuesOf(service: string): Values {
    const of = this.#stored.steps.filter((row) => row.service === service);
    return Object.assign({}, ...of.map(({ found }) => JSON.parse(found) as Values)) as Values;
  }

  #now(): number {
    return this.#parts.store.clock.now();
  }
}

/** What a step found, without what others had. */
function only(values: Values, known: Values, own: Values): Values {
  const fresh = Object.entries(values).filter(([name, value]) => known[name] !== value || Object.hasOwn(own, name));
  return Object.fromEntries(fresh);
}
