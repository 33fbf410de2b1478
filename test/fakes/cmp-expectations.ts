import { expect } from 'vitest';

import type { CmpTransaction } from './cmp-client.ts';
import type { MacSecret } from './cmp-protection.ts';
import type { CmpResponse, Failure } from './cmp-response.ts';

/**
 * How an answer is to be protected: as the request was (RFC 9483 §3.6.4), with the same secret where that was a MAC. To
 * `anybody` it may go out without.
 */
export type Expected = 'signature' | 'anybody' | MacSecret;

/** RFC 9483 §3.1 and CM-20: what the header of every answer holds, and its protection. */
export function expectAnswerTo(transaction: CmpTransaction, response: CmpResponse, protectedBy: Expected): void {
  const { header } = response;
  const { summary } = response;
  expect(header.transactionID, summary).toEqual(Buffer.from(transaction.transactionID));
  expect(header.recipNonce, summary).toEqual(Buffer.from(transaction.senderNonce));
  expectSoundAnswer(response, protectedBy);
}

/** The same, without what ties it to its request: for answers to messages that had no such fields. */
export function expectSoundAnswer(response: CmpResponse, protectedBy: Expected): void {
  const { header, summary } = response;
  expect(header.senderNonce?.length, summary).toBeGreaterThanOrEqual(16);
  expect(header.sender.identifier, summary).toBe(0xa4);
  expect(Math.abs(header.messageTime!.getTime() - Date.now()), summary).toBeLessThan(60_000);
  if (protectedBy === 'anybody' && response.protectedBy === 'nothing') return;
  if (protectedBy === 'signature' || protectedBy === 'anybody') {
    expect(response.protectedBy, summary).toBe('signature');
    expect(response.isSignedByFirstExtraCert(), summary).toBe(true);
  } else {
    expect(response.protectedBy, summary).toBe('mac');
    expect(response.isProtectedWith(protectedBy), summary).toBe(true);
    expect(header.senderKID?.toString(), summary).toBe(protectedBy.reference);
  }
}

/** A refusal with exactly one failInfo, which is one of those the standard leaves to choose from. */
export function expectRefusal(response: CmpResponse, ...anyOf: readonly Failure[]): void {
  expect(response.status?.status, response.summary).toBe('rejection');
  expect(response.status?.failures, response.summary).toHaveLength(1);
  expect(anyOf, response.summary).toContain(response.status!.failures[0]);
  expect(response.status!.text, 'a text without control characters').toMatch(/^[ -~]*$/);
}
