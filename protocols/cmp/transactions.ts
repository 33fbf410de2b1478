import type { CmpUnconfirmed } from '../../core/enrollment/cmp-settings.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { CmpTables, ConfirmationOutcome, TransactionRow, TransactionState } from './tables.ts';

/** How long an ended transaction answers repeats, and how long one that is worked on or awaits certConf is kept at least. */
const KEPT_MS = 24 * 3_600_000;

/** What opens a transaction. */
export interface Opening extends Pick<
  TransactionRow,
  'tenant' | 'endpoint' | 'transaction_id' | 'owner' | 'protection' | 'body' | 'request_digest' | 'peer_nonce'
> {
  readonly unconfirmed: CmpUnconfirmed;
  /** Milliseconds an operator may take: the row outlives the enrolment. */
  readonly pendingMs: number;
}

/** How a transaction stands after an answer. */
export interface Answered {
  readonly state: TransactionState;
  /** Digest of the message that was answered. */
  readonly lastDigest: string;
  /** DER; null where it must not be sent twice. */
  readonly answer: Uint8Array | null;
  /** The first message, where it waits to be polled for. */
  readonly request: Uint8Array | null;
  readonly ownNonce: Uint8Array;
  readonly peerNonce: Uint8Array;
  readonly certificate: string | null;
  readonly confirmUntil: number | null;
  /** What becomes of the certificate, where that differs from what was said at the opening. */
  readonly unconfirmed: CmpUnconfirmed;
}

/** The transactions of CMP in the store: a restart between two messages of one loses nothing. */
export class Transactions {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** The transaction of an id (lower-case hex) at an endpoint. */
  async find(tenant: string, endpoint: string, transactionId: string): Promise<TransactionRow | undefined> {
    const [row] = await this.#store.query(byTransactionId, { tenant, endpoint, transactionId });
    return row;
  }

  /** Opens a transaction; undefined when its id is taken. */
  async open({ pendingMs, ...opening }: Opening): Promise<TransactionRow | undefined> {
    const now = this.#store.clock.now();
    const row: TransactionRow = {
      ...opening,
      state: 'working',
      request: null,
      last_digest: null,
      answer: null,
      own_nonce: null,
      certificate: null,
      confirmation: null,
      created_at: now,
      updated_at: now,
      due_at: now + KEPT_MS + pendingMs,
    };
    const inserted = await this.#store.unit((tx) => tx.affected(insertTransaction, row));
    return inserted === 1 ? row : undefined;
  }

  /** Notes an answer; false when the transaction has gone on meanwhile. */
  async answered(row: TransactionRow, answered: Answered): Promise<boolean> {
    return this.#store.unit(async (tx) => (await this.#noteAnswer(tx, row, answered, null)) === 1);
  }

  /** Notes a confirmation and its answer in one unit with what it means for the certificate; false as in {@link answered}. */
  async confirmed(
    row: TransactionRow,
    answered: Answered,
    outcome: ConfirmationOutcome,
    consequence: (tx: Unit) => Promise<void>,
  ): Promise<boolean> {
    return this.#store.unit(async (tx) => {
      if ((await this.#noteAnswer(tx, row, answered, outcome)) !== 1) return false;
      await consequence(tx);
      return true;
    });
  }

  /** Notes which certificate an open transaction has changed, in the unit that changes it: a repeat after a crash knows it by that. */
  async mark(tx: Unit, row: TransactionRow, certificate: string): Promise<void> {
    await tx.affected(markCertificate, { ...keyOf(row), certificate });
  }

  /**
   * Whether a credential has another transaction of this kind under way. It looks at all of the endpoint: for settings that
   * ask for it alone.
   */
  async hasOther(row: TransactionRow): Promise<boolean> {
    const found = await this.#store
      .forTenant<CmpTables>(row.tenant)
      .selectFrom('cmp_transactions')
      .select('transaction_id')
      .where('endpoint', '=', row.endpoint)
      .where('owner', '=', row.owner)
      .where('body', '=', row.body)
      .where('state', 'in', ['working', 'confirming'])
      .where('transaction_id', '!=', row.transaction_id)
      .executeTakeFirst();
    return found !== undefined;
  }

  #noteAnswer(tx: Unit, row: TransactionRow, answered: Answered, outcome: ConfirmationOutcome | null): Promise<number> {
    const now = this.#store.clock.now();
    const { confirmUntil, ...noted } = answered;
    return tx.affected(noteAnswer, {
      ...keyOf(row),
      from: row.state,
      ...noted,
      confirmation: outcome ?? row.confirmation,
      now,
      dueAt: confirmUntil ?? (answered.state === 'working' ? row.due_at : endOf(now)),
    });
  }
}

/** When an ended transaction goes. Epoch milliseconds. */
export function endOf(now: number): number {
  return now + KEPT_MS;
}

interface TransactionKey {
  readonly tenant: string;
  readonly endpoint: string;
  readonly transactionId: string;
}

function keyOf({ tenant, endpoint, transaction_id: transactionId }: TransactionRow): TransactionKey {
  return { tenant, endpoint, transactionId };
}

const byTransactionId = statement<CmpTables>()(
  'cmp-transaction',
  (db, p: { tenant: string; endpoint: string; transactionId: string }) =>
    db
      .selectFrom('cmp_transactions')
      .selectAll()
      .where('endpoint', '=', p.endpoint)
      .where('transaction_id', '=', p.transactionId)
      .where('tenant', '=', p.tenant),
);

const insertTransaction = statement<CmpTables>()('cmp-transaction-insert', (db, p: Readonly<InsertedRow>) =>
  db
    .insertInto('cmp_transactions')
    .values({
      tenant: p.tenant,
      endpoint: p.endpoint,
      transaction_id: p.transaction_id,
      owner: p.owner,
      protection: p.protection,
      state: p.state,
      body: p.body,
      request_digest: p.request_digest,
      request: p.request,
      last_digest: p.last_digest,
      answer: p.answer,
      peer_nonce: p.peer_nonce,
      own_nonce: p.own_nonce,
      certificate: p.certificate,
      unconfirmed: p.unconfirmed,
      confirmation: p.confirmation,
      created_at: p.created_at,
      updated_at: p.updated_at,
      due_at: p.due_at,
    })
    .onConflict((conflict) => conflict.doNothing()),
);

/** As {@link TransactionRow}: a type, which has the index signature that statements ask for. */
type InsertedRow = { [K in keyof TransactionRow]: TransactionRow[K] };

const markCertificate = statement<CmpTables>()(
  'cmp-transaction-mark',
  (db, p: { tenant: string; endpoint: string; transactionId: string; certificate: string }) =>
    db
      .updateTable('cmp_transactions')
      .set({ certificate: p.certificate })
      .where('endpoint', '=', p.endpoint)
      .where('transaction_id', '=', p.transactionId)
      .where('tenant', '=', p.tenant)
      .where('state', '=', 'working'),
);

interface NotedAnswer extends Record<string, string | number | Uint8Array | null> {
  tenant: string;
  endpoint: string;
  transactionId: string;
  from: TransactionState;
  state: TransactionState;
  lastDigest: string;
  answer: Uint8Array | null;
  ownNonce: Uint8Array;
  peerNonce: Uint8Array;
  certificate: string | null;
  unconfirmed: CmpUnconfirmed;
  request: Uint8Array | null;
  confirmation: ConfirmationOutcome | null;
  now: number;
  dueAt: number;
}

const noteAnswer = statement<CmpTables>()('cmp-transaction-answered', (db, p: NotedAnswer) =>
  db
    .updateTable('cmp_transactions')
    .set({
      state: p.state,
      last_digest: p.lastDigest,
      answer: p.answer,
      own_nonce: p.ownNonce,
      peer_nonce: p.peerNonce,
      certificate: p.certificate,
      unconfirmed: p.unconfirmed,
      request: p.request,
      confirmation: p.confirmation,
      updated_at: p.now,
      due_at: p.dueAt,
    })
    .where('endpoint', '=', p.endpoint)
    .where('transaction_id', '=', p.transactionId)
    .where('tenant', '=', p.tenant)
    .where('state', '=', p.from),
);
