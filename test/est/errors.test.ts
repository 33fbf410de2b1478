import { describe, expect, it } from 'vitest';

import { InternalError, PolicyError, UpstreamError } from '../../core/errors/muster-error.ts';
import { REASON_CODES, REASONS } from '../../core/errors/reasons.ts';
import { EST_ERRORS, failureOf, failureOfError } from '../../protocols/est/errors.ts';

/** RFC 7030 §4.2.3: "an HTTP 4xx or 5xx": which, follows from whom the reason blames. */
const STATUSES = {
  peer: [400, 401, 404, 413, 415, 501],
  policy: [401, 403, 404],
  state: [409, 429, 503],
  upstream: [503],
  internal: [500],
};

describe("EST's vocabulary of reasons", () => {
  it('knows every reason and no other', () => {
    expect(Object.keys(EST_ERRORS).sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(REASON_CODES)('answers %s by a status that fits its blame', (code) => {
    expect(STATUSES[REASONS[code].blame]).toContain(EST_ERRORS[code].status);
  });

  it.each(REASON_CODES.filter((code) => REASONS[code].blame === 'upstream'))(
    'tells for %s when to come back, and no more',
    (code) => {
      const failure = failureOf(code, 'token muster-0, slot 3');
      expect(failure.retryAfterSeconds).toBeGreaterThan(0);
      expect(failure.text).not.toContain('muster-0');
    },
  );

  it('prefers the delay that the error names', () => {
    const error = new UpstreamError('overloaded', 'too much', { retryAfterSeconds: 3 });
    expect(failureOfError(error).retryAfterSeconds).toBe(3);
  });

  it('tells nobody of a lock-out (V49)', () => {
    const wrong = failureOfError(new PolicyError('bad-credential', 'no such password'));
    const locked = failureOfError(new PolicyError('locked-out', 'ten tries', { retryAfterSeconds: 300 }));
    expect({ ...locked, reason: '' }).toEqual({ ...wrong, reason: '' });
  });

  it.each([new Error('at /srv/muster/x.ts:1'), 'text', null, undefined, new InternalError('slot 3')])(
    'tells nothing of what it does not know (V51)',
    (thrown) => {
      expect(failureOfError(thrown)).toEqual({
        reason: 'internal',
        status: 500,
        text: 'a fault of the server',
        retryAfterSeconds: undefined,
      });
    },
  );

  it('keeps a hostile message on one printable line of bounded length (V50)', () => {
    const { text } = failureOf('malformed-request', `found "\r\nSet-Cookie: x\u001b[2J<b>\u202e${'x'.repeat(1000)}`);
    expect(text).toMatch(/^[\u0020-\u007e]{1,300}$/);
  });
});
