import { describe, expect, it } from 'vitest';

import { InternalError, PolicyError } from '../../core/errors/muster-error.ts';
import { REASON_CODES, REASONS } from '../../core/errors/reasons.ts';
import { CMP_ERRORS, CmpFault, failureOf, failureOfError } from '../../protocols/cmp/errors.ts';
import type { FailureBit } from '../../protocols/cmp/pki-status.ts';

/** RFC 9810 §5.2.3: what the bits are for follows from whom the reason blames. */
const BITS: Readonly<Record<string, readonly FailureBit[]>> = {
  peer: ['badDataFormat', 'badPOP', 'badAlg', 'badTime', 'badMessageCheck', 'badRequest', 'badCertId'],
  policy: [
    'badMessageCheck',
    'badRequest',
    'notAuthorized',
    'certRevoked',
    'signerNotTrusted',
    'badCertTemplate',
    'duplicateCertReq',
  ],
  state: ['badRequest', 'transactionIdInUse', 'systemUnavail'],
  upstream: ['systemUnavail'],
  internal: ['systemFailure'],
};

describe("CMP's vocabulary of reasons", () => {
  it('knows every reason and no other', () => {
    expect(Object.keys(CMP_ERRORS).sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(REASON_CODES)('answers %s by a bit that fits its blame', (code) => {
    expect(BITS[REASONS[code].blame]).toContain(CMP_ERRORS[code].failInfo);
  });

  it.each(REASON_CODES.filter((code) => REASONS[code].blame === 'upstream'))('tells nothing else of %s', (code) => {
    expect(failureOf(code, 'token muster-0, slot 3').text).not.toContain('muster-0');
  });

  it('tells nobody whether a secret was wrong, spent or locked (V49)', () => {
    const wrong = failureOfError(new PolicyError('bad-credential', 'no such secret'));
    const locked = failureOfError(new PolicyError('locked-out', 'too many wrong MACs'));
    expect(wrong.failInfo).toBe('badMessageCheck');
    expect({ ...locked, reason: wrong.reason }).toEqual(wrong);
    expect(wrong.text).not.toContain('secret');
  });

  it('has a finer word where a fault names one', () => {
    const failure = failureOfError(new CmpFault('wrongIntegrity', 'rr: expected a signature, found a MAC'));
    expect(failure).toEqual({
      reason: 'malformed-request',
      failInfo: 'wrongIntegrity',
      text: 'rr: expected a signature, found a MAC',
    });
  });

  it('tells nothing of a fault of ours', () => {
    expect(failureOfError(new InternalError('slot 3')).text).toBe('a fault of the server');
    expect(failureOfError(new TypeError('undefined is not a function')).text).toBe('a fault of the server');
  });

  it('keeps what a message quotes on one printable line (V50)', () => {
    const { text } = failureOf('subject-not-allowed', `CN=a\r\nfake log line \u001b[2J${'x'.repeat(1000)}`);
    expect(text).toMatch(/^[\u0020-\u007e]{1,300}$/);
  });
});
