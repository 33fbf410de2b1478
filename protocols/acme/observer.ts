import type { AcmeChallengeType } from '../../core/enrollment/acme-settings.ts';

/** How an order ended. */
export type OrderEnd = 'valid' | 'invalid';

/** What one look at a challenge came to: `again` where it is to be looked at once more. */
export type ValidationEnd = 'valid' | 'invalid' | 'again';

/** Why a nonce was refused: not one of ours or too old, used before, or by an endpoint that rehearses. */
export type NonceRefusal = 'foreign' | 'used' | 'rehearsal';

/** Told after it is durable, for metrics and logs. */
export interface AcmeObserver {
  /** `reason` is the problem type of an order that failed. */
  orderEnded(end: OrderEnd, order: { readonly id: string; readonly label: string; readonly reason?: string }): void;
  /** `problem` is the problem type of a look that failed. */
  validated(
    end: ValidationEnd,
    look: {
      readonly challenge: AcmeChallengeType;
      readonly label: string;
      readonly name: string;
      readonly problem?: string;
    },
  ): void;
  nonceRefused(refusal: NonceRefusal): void;
}
