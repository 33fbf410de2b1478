import type { FailureCode } from './failure.ts';
import type { Phase } from './plan.ts';

/** Tables of this folder. Times are epoch milliseconds. */
export interface AdapterTables {
  device_access: DeviceAccessRow;
  services: ServiceRow;
  plans: PlanRow;
  plan_steps: PlanStepRow;
  transcripts: TranscriptRow;
}

/** How we log in to a device. */
export interface DeviceAccessRow {
  tenant: string;
  device: string;
  driver: string;
  host: string;
  port: number;
  username: string;
  /** `SHA256:…` of the only host key that is accepted; null: none is known yet. */
  host_key: string | null;
  /** 1: the first host key that is seen becomes the pinned one. */
  trust_first_use: number;
  credential_kind: 'key' | 'password';
  /** Sealed under the tenant's data key; its place is (device_access, device). */
  credential: Uint8Array;
  created_at: number;
  updated_at: number;
}

/** A service of a device. */
export interface ServiceRow {
  id: string;
  tenant: string;
  device: string;
  /** Unique on the device. */
  name: string;
  kind: string;
  host: string;
  port: number;
  server_name: string | null;
  /** Id of the endpoint. */
  endpoint: string;
  /** JSON list of GeneralName texts. */
  names: string;
  /** JSON. */
  settings: string;
  created_at: number;
}

/** How a plan stands; the last three are ends. */
export const PLAN_STATES = ['running', 'rolling-back', 'done', 'rolled-back', 'needs-human'] as const;
export type PlanState = (typeof PLAN_STATES)[number];

export interface PlanRow {
  id: string;
  tenant: string;
  device: string;
  /** The name of the device when the plan was made: certificates are issued for it. */
  device_name: string;
  state: PlanState;
  /** The device while the plan is under way, null afterwards. Unique: one plan a device at a time. */
  holds: string | null;
  /** JSON of the plan: what was shown is what is done, also by a later version of Muster. */
  document: string;
  failure: FailureCode | null;
  failure_step: string | null;
  detail: string | null;
  created_by: string;
  created_at: number;
  updated_at: number;
}

/** `undone`: compensated. `stuck`: could not be. */
export type StepState = 'waiting' | 'running' | 'done' | 'failed' | 'undone' | 'stuck';

export interface PlanStepRow {
  tenant: string;
  plan: string;
  position: number;
  id: string;
  phase: Phase;
  service: string;
  state: StepState;
  attempts: number;
  /** JSON of the values it found. */
  found: string;
  failure: FailureCode | null;
  detail: string | null;
  started_at: number | null;
  ended_at: number | null;
}

/** What was sent to a device and what came back, in order of id. */
export interface TranscriptRow {
  id: string;
  tenant: string;
  plan: string;
  step: string;
  /** `apply`, or `compensate`. */
  way: 'apply' | 'compensate';
  at: number;
  text: string;
}
