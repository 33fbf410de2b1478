import { describe, expect, it } from 'vitest';

import { InternalError, PolicyError, UpstreamError } from '../../core/errors/muster-error.ts';
import { REASON_CODES, REASONS } from '../../core/errors/reasons.ts';
import { failureOf, failureOfError, SCEP_ERRORS } from '../../protocols/scep/errors.ts';

describe("SCEP's vocabulary of reasons", () => {
  it('knows every reason and no other', () => {
    expect(Object.keys(SCEP_ERRORS).sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(REASON_CODES)(
    'answers %s in a CertRep where the device must change something, by HTTP where it may repeat',
    (code) => {
      const { failInfo, status } = SCEP_ERRORS[code];
      const { blame, retryAfterSeconds } = REASONS[code];
      if (blame === 'peer' || blame === 'policy') {
        expect(failInfo).toBeDefined();
        expect(status).toBeGreaterThanOrEqual(400);
        expect(status).toBeLessThan(500);
      }
      if (blame === 'upstream') expect([failInfo, status]).toEqual([undefined, 503]);
      if (blame === 'internal') expect([failInfo, status]).toEqual([undefined, 500]);
      if (failInfo === undefined && blame !== 'internal') expect(retryAfterSeconds).toBeGreaterThan(0);
    },
  );

  it('prefers the delay that the error names, and names none in a CertRep', () => {
    const error = new UpstreamError('overloaded', 'too much', { retryAfterSeconds: 3 });
    expect(failureOfError(error).retryAfterSeconds).toBe(3);
    expect(failureOf('bad-time', 'off', 3).retryAfterSeconds).toBeUndefined();
  });

  it('tells nobody of a lock-out, nor what is wrong with a challenge (V49)', () => {
    const wrong = failureOfError(new PolicyError('bad-credential', 'no such challenge'));
    const locked = failureOfError(new PolicyError('locked-out', 'ten tries', { retryAfterSeconds: 300 }));
    expect({ ...locked, reason: '' }).toEqual({ ...wrong, reason: '' });
  });

  it.each([new Error('at /srv/muster/x.ts:1'), 'text', null, undefined, new InternalError('slot 3')])(
    'tells nothing of what it does not know (V51)',
    (thrown) => {
      expect(failureOfError(thrown)).toMatchObject({ reason: 'internal', status: 500, text: 'a fault of the server' });
    },
  );

  it('keeps a hostile message on one printable line of bounded length (V50)', () => {
    const { text } = failureOf('malformed-request', `found "\r\nSet-Cookie: x\u001b[2J<b>\u202e${'x'.repeat(1000)}`);
    expect(text).toMatch(/^[ -~]{1,200}$/);
  });
});
