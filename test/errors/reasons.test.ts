import { describe, expect, it } from 'vitest';

import {
  InternalError,
  MusterError,
  PeerError,
  PolicyError,
  reasonOf,
  StateError,
  UpstreamError,
} from '../../core/errors/muster-error.ts';
import { type Blame, REASON_CODES, type ReasonCode, REASONS } from '../../core/errors/reasons.ts';

describe('the table of reasons', () => {
  it('has codes that are stable words, each once, and blames of five kinds', () => {
    expect(new Set(REASON_CODES).size).toBe(REASON_CODES.length);
    expect([...REASON_CODES].sort()).toEqual(Object.keys(REASONS).sort());
    const blames = new Set(REASON_CODES.map((code) => REASONS[code].blame));
    expect([...blames].sort()).toEqual(['internal', 'peer', 'policy', 'state', 'upstream']);
    expect(REASON_CODES.filter((code) => REASONS[code].blame === 'internal')).toEqual(['internal']);
  });

  it.each(REASON_CODES)('%s is kebab-case and tells the operator what to do, in one line', (code) => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(REASONS[code].hint).toMatch(/^[^\n\r.]{20,120}$/);
    expect(REASONS[code].hint).not.toMatch(/^[A-Z]|undefined|%s|\$\{/);
  });

  it('gives each hint to one reason', () => {
    expect(new Set(REASON_CODES.map((code) => REASONS[code].hint)).size).toBe(REASON_CODES.length);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(REASONS) && Object.isFrozen(REASON_CODES)).toBe(true);
  });
});

describe('errors', () => {
  const errors: Record<Blame, MusterError> = {
    peer: new PeerError('bad-time', 'm'),
    policy: new PolicyError('locked-out', 'm', { retryAfterSeconds: 7 }),
    state: new StateError('conflict', 'm'),
    upstream: new UpstreamError('overloaded', 'm', { cause: 'c' }),
    internal: new InternalError('m'),
  };

  it.each(Object.entries(errors))(
    'of the blame %s carry a reason of that blame and the name of their class',
    (blame, error) => {
      expect(error).toBeInstanceOf(MusterError);
      expect(error.name).toBe(error.constructor.name);
      expect(REASONS[error.reason].blame).toBe(blame);
      expect(reasonOf(error)).toBe(error.reason);
    },
  );

  it('take no reason that blames another: not for the compiler', () => {
    // @ts-expect-error the HSM is nobody's policy
    expect(new PolicyError('hsm-unavailable', 'm').reason).toBe('hsm-unavailable');
    // @ts-expect-error and a policy is no outage
    expect(new UpstreamError('policy-refused', 'm').reason).toBe('policy-refused');
  });

  it('keep cause and delay, and are internal when they are nobody’s', () => {
    expect(errors.policy.retryAfterSeconds).toBe(7);
    expect(errors.upstream.cause).toBe('c');
    expect('cause' in errors.peer).toBe(false);
    const strangers: unknown[] = [new TypeError('x'), 'text', null, undefined, { reason: 'conflict' }];
    expect(strangers.map(reasonOf)).toEqual(strangers.map((): ReasonCode => 'internal'));
  });
});
