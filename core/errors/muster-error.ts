import type { ReasonCode, ReasonCodeBlaming } from './reasons.ts';

/** What may accompany an error: the cause stays inside, the delay may reach the peer. */
interface ErrorDetails {
  readonly cause?: unknown;
  /** Seconds after which a repeat makes sense, where that is known. */
  readonly retryAfterSeconds?: number;
}

/**
 * The base of every error that Muster throws on purpose. `message` is lower case and says what was expected and what
 * came; it may reach the peer, so it never holds a secret or an internal name. What must stay inside goes into `cause`.
 */
export abstract class MusterError extends Error {
  readonly reason: ReasonCode;
  readonly retryAfterSeconds: number | undefined;

  constructor(reason: ReasonCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.reason = reason;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** The peer sent something malformed or inconsistent. */
export class PeerError extends MusterError {
  constructor(reason: ReasonCodeBlaming<'peer'>, message: string, details?: ErrorDetails) {
    super(reason, message, details);
  }
}

/** The request was understood and refused by a rule. */
export class PolicyError extends MusterError {
  constructor(reason: ReasonCodeBlaming<'policy'>, message: string, details?: ErrorDetails) {
    super(reason, message, details);
  }
}

/** The request conflicts with what is stored. */
export class StateError extends MusterError {
  constructor(reason: ReasonCodeBlaming<'state'>, message: string, details?: ErrorDetails) {
    super(reason, message, details);
  }
}

/** The HSM, the database or a device did not answer; repeating later is safe. */
export class UpstreamError extends MusterError {
  constructor(reason: ReasonCodeBlaming<'upstream'>, message: string, details?: ErrorDetails) {
    super(reason, message, details);
  }
}

/** A fault of Muster itself. */
export class InternalError extends MusterError {
  constructor(message: string, details?: ErrorDetails) {
    super('internal', message, details);
  }
}

/** The reason of any thrown value: an unknown one is `internal`. */
export function reasonOf(error: unknown): ReasonCode {
  return error instanceof MusterError ? error.reason : 'internal';
}
