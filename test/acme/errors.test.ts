import { describe, expect, it } from 'vitest';

import { InternalError } from '../../core/errors/muster-error.ts';
import { REASON_CODES, REASONS } from '../../core/errors/reasons.ts';
import { ACME_ERRORS, problemOf, problemOfReason } from '../../protocols/acme/errors.ts';
import { AcmeProblem, problemDocument, PROBLEMS, type ProblemType } from '../../protocols/acme/problem.ts';

/** Whom a status blames. */
const STATUSES: Readonly<Record<string, readonly number[]>> = {
  peer: [400, 403, 404, 413, 415, 501],
  policy: [400, 403, 404, 429],
  state: [400, 403, 409, 429, 503],
  upstream: [503],
  internal: [500],
};

describe("ACME's vocabulary of reasons", () => {
  it('knows every reason and no other', () => {
    expect(Object.keys(ACME_ERRORS).sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(REASON_CODES)('answers %s by a status that fits its blame', (code) => {
    expect(STATUSES[REASONS[code].blame]).toContain(problemOfReason(code, 'x').status);
  });

  it.each(REASON_CODES.filter((code) => REASONS[code].blame === 'upstream'))('tells nothing else of %s', (code) => {
    const { message, details } = problemOfReason(code, 'token muster-0, slot 3');
    expect(message).not.toContain('muster-0');
    expect(details.retryAfterSeconds).toBeGreaterThan(0);
  });

  it('tells nothing of what nobody threw on purpose', () => {
    for (const error of [new TypeError('x of undefined'), new InternalError('row 7 is gone')])
      expect(problemDocument(problemOf(error))).toEqual({
        type: 'urn:ietf:params:acme:error:serverInternal',
        detail: 'a fault of the server',
        status: 500,
      });
  });

  // RFC 8555 §6.7, RFC 9773 §7.4, draft-ietf-acme-profiles §5.
  it('has every type of the registry', () => {
    const registered = [
      'accountDoesNotExist',
      'badAttestationStatement',
      'alreadyRevoked',
      'badCSR',
      'badNonce',
      'badPublicKey',
      'badRevocationReason',
      'badSignatureAlgorithm',
      'caa',
      'compound',
      'connection',
      'dns',
      'externalAccountRequired',
      'incorrectResponse',
      'invalidContact',
      'malformed',
      'orderNotReady',
      'rateLimited',
      'rejectedIdentifier',
      'serverInternal',
      'tls',
      'unauthorized',
      'unsupportedContact',
      'unsupportedIdentifier',
      'userActionRequired',
      'alreadyReplaced',
      'invalidProfile',
    ];
    expect(Object.keys(PROBLEMS).sort()).toEqual(registered.sort());
  });

  it.each(Object.keys(PROBLEMS) as ProblemType[])('%s is one line of printable text', (type) => {
    const { detail } = problemDocument(new AcmeProblem(type, `line\r\nfeed \u001b[2J ${'x'.repeat(1000)}`));
    expect(detail).toMatch(/^[\u0020-\u007e]{1,400}$/);
  });
});
