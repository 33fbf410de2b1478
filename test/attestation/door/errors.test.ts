import { describe, expect, it } from 'vitest';

import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { UpstreamError } from '../../../core/errors/muster-error.ts';
import { REASON_CODES, REASONS } from '../../../core/errors/reasons.ts';
import { ATTESTATION_ERRORS, failureOf, failureOfError } from '../../../protocols/attestation/errors.ts';
import { EvidenceRefusal } from '../../../protocols/attestation/evidence-refusal.ts';

const STATUSES = {
  peer: [400, 403, 404, 413, 415, 501],
  policy: [403, 404],
  state: [409, 429, 503],
  upstream: [503],
  internal: [500],
};

describe("the front door's vocabulary of reasons", () => {
  it('knows every reason and no other', () => {
    expect(Object.keys(ATTESTATION_ERRORS).sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(REASON_CODES)('answers %s by a status that fits its blame', (code) => {
    expect(STATUSES[REASONS[code].blame]).toContain(ATTESTATION_ERRORS[code].status);
  });

  it('tells the codes of the gate in order', () => {
    expect(failureOfError(new EvidenceRefusal(['ak-unknown', 'nonce-missing']))).toMatchObject({
      status: 403,
      reason: 'evidence-refused',
      detail: 'attestation refused: ak-unknown, nonce-missing',
      findings: ['ak-unknown', 'nonce-missing'],
    });
  });

  it('blames octets on who sent them, and tells nothing of what nobody threw on purpose', () => {
    expect(failureOfError(new Asn1Error('a SEQUENCE', 'a SET', 0))).toMatchObject({ status: 400 });
    expect(failureOfError(new RangeError('secret'))).toMatchObject({ status: 500, detail: 'a fault of the server' });
    expect(failureOf('hsm-unavailable', 'token muster-0').detail).not.toContain('muster-0');
  });

  it('prefers the delay that the error names', () => {
    const error = new UpstreamError('overloaded', 'too much', { retryAfterSeconds: 3 });
    expect(failureOfError(error).retryAfterSeconds).toBe(3);
  });
});
