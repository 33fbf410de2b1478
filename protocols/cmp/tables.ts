import type { CmpUnconfirmed } from '../../core/enrollment/cmp-settings.ts';

/** Tables of this folder. Times are epoch milliseconds; digests are lower-case hex of SHA-256. */
export interface CmpTables {
  cmp_transactions: TransactionRow;
}

/** `working`: not answered to the end yet. `confirming`: a certConf is awaited. `ended`: nothing more is expected. */
export type TransactionState = 'working' | 'confirming' | 'ended';

/** What became of a certificate that was to be confirmed. */
export type ConfirmationOutcome = 'accepted' | 'rejected' | 'unconfirmed';

/** A transaction (RFC 9810 §5.1.1): from the first message of a credential to pkiconf. Its key are endpoint and transactionID. */
export interface TransactionRow {
  tenant: string;
  endpoint: string;
  /** Lower-case hex. */
  transaction_id: string;
  /** The credential it belongs to. */
  owner: string;
  /** How its messages are protected. */
  protection: string;
  state: TransactionState;
  /** The first message's kind of body. */
  body: string;
  /** The first message: digest, and, while it waits to be polled for, the message itself, DER. */
  request_digest: string;
  request: Uint8Array | null;
  /** The last message that was answered, and the answer, DER; null where it holds a private key: it is not sent twice. */
  last_digest: string | null;
  answer: Uint8Array | null;
  /** senderNonces of the last message and of its answer. */
  peer_nonce: Uint8Array;
  own_nonce: Uint8Array | null;
  certificate: string | null;
  /** What becomes of the certificate when nobody confirms it. */
  unconfirmed: CmpUnconfirmed;
  confirmation: ConfirmationOutcome | null;
  created_at: number;
  updated_at: number;
  /** When time ends what the row waits for: the confirmation while it is `confirming`, else the row itself. */
  due_at: number;
}
