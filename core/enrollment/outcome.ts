import type { ReasonCode } from '../errors/reasons.ts';

/** How an enrolment stands when the hall answers; each carrier encodes it in its own vocabulary. */
export type Outcome =
  | {
      readonly kind: 'issued';
      readonly enrollmentId: string;
      /** Its id in `certificates`. */
      readonly certificateId: string;
      /** The certificate, DER. */
      readonly certificate: Uint8Array;
      /** True when an earlier request was answered again. */
      readonly replayed: boolean;
    }
  | { readonly kind: 'pending'; readonly enrollmentId: string; readonly retryAfterSeconds: number }
  | {
      readonly kind: 'rejected';
      readonly enrollmentId: string | undefined;
      readonly reason: ReasonCode;
      /** Lower case, free of secrets and internals: it may reach the device. */
      readonly message: string;
    };
