import type { MacCredential } from '../../core/enrollment/credentials.ts';
import type { Fact, MacFact, SignedByFact } from '../../core/enrollment/facts.ts';
import type { MacScheme } from './mac-scheme.ts';

/** How an answer is protected: like its request (RFC 9483 §3.2). */
export type AnswerProtection =
  /** Nobody is known to answer to. */
  | { readonly kind: 'none' }
  | { readonly kind: 'signature' }
  | { readonly kind: 'mac'; readonly reference: Uint8Array; readonly scheme: MacScheme; readonly key: Uint8Array };

/** Who sent a message, its protection verified. */
export type Sender =
  | {
      readonly kind: 'mac';
      readonly fact: MacFact;
      readonly credential: MacCredential;
      readonly protection: AnswerProtection & { readonly kind: 'mac' };
    }
  | {
      readonly kind: 'signature';
      readonly fact: SignedByFact;
      readonly protection: AnswerProtection & { readonly kind: 'signature' };
    };

/** The credential behind a message, in a word: what a transaction belongs to. */
export function ownerOf(sender: Sender): string {
  return sender.kind === 'mac' ? `mac:${sender.fact.secretId}` : `certificate:${sender.fact.fingerprint}`;
}

/** The protection of a message, in a word: later messages of a transaction are protected alike (RFC 9483 §3.5). */
export function protectionOf(sender: Sender): string {
  return sender.kind === 'mac' ? `mac:${sender.protection.scheme.name}` : 'signature';
}

/** What a sender proved, for the hall. */
export function factsOf(sender: Sender): readonly [Fact] {
  return [sender.fact];
}
