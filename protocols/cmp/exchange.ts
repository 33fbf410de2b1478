import type { CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { CmpUnconfirmed } from '../../core/enrollment/cmp-settings.ts';
import type { GeneralInfo } from './general-info.ts';
import type { PkiBody } from './pki-body.ts';
import type { InfoTypeAndValue } from './pki-header.ts';
import type { PkiMessage } from './pki-message.ts';
import type { Sender } from './sender.ts';
import type { TransactionState } from './tables.ts';

/** One message that is being answered: its sender is known, its header was judged. */
export interface Exchange {
  /** The id of the HTTP request, for logs and audit. */
  readonly requestId: string;
  readonly endpoint: Endpoint;
  readonly settings: CmpSettings;
  readonly sourceAddress: string;
  readonly message: PkiMessage;
  /** Lower-case hex SHA-256 of the message. */
  readonly digest: string;
  /** Lower-case hex. */
  readonly transactionId: string;
  readonly info: GeneralInfo;
  readonly sender: Sender;
}

/** What goes into an answer besides what every answer has. */
export interface Answer {
  readonly body: PkiBody;
  readonly generalInfo?: readonly InfoTypeAndValue[];
  /** The body holds an EnvelopedData, which version 2 does not know (RFC 9810 §7). */
  readonly needsVersion3?: boolean;
  /** The body holds a private key: it is neither stored nor sent twice. */
  readonly holdsKey?: boolean;
}

/** How far a request of a transaction has come. */
export type Progress =
  /** Not decided: to be polled after `checkAfterSeconds`. */
  | { readonly kind: 'waiting'; readonly certReqId: number; readonly checkAfterSeconds: number }
  | {
      readonly kind: 'done';
      readonly answer: Answer;
      readonly state: Exclude<TransactionState, 'working'>;
      readonly certificate: string | null;
      /** Epoch milliseconds. */
      readonly confirmUntil: number | null;
      readonly unconfirmed: CmpUnconfirmed;
    };

/** certReqId of answers to requests that have none (RFC 9483 §4.1.4, §4.4). */
export const NO_CERT_REQ_ID = -1;

/** A transaction that ends with this answer, without a certificate. */
export function ended(answer: Answer): Progress {
  return { kind: 'done', answer, state: 'ended', certificate: null, confirmUntil: null, unconfirmed: 'keep' };
}
