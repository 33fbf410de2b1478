import { appendAudit } from '../../core/audit/log.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { cancelWaiting } from './accounts.ts';
import { authorizationIds } from './authorizations.ts';
import type { AccountRow, AccountStatus, AcmeTables, AuthorizationRow, OrderRow, OrderStatus } from './tables.ts';

/** What an operator sees of accounts and orders, and what he may do: end an account. */

/** What a list of accounts may be narrowed by; `after` and ids are of the order in which they were made. */
export interface AccountFilter {
  readonly after: string | undefined;
  readonly limit: number;
  readonly endpoint?: string | undefined;
  readonly status?: AccountStatus | undefined;
  /** Id of the key it was made with. */
  readonly eabKey?: string | undefined;
}

/** The accounts of a tenant in the order they were made. */
export function listAccounts(store: Store, tenant: string, filter: AccountFilter): Promise<AccountRow[]> {
  const { after, endpoint, status, eabKey, limit } = filter;
  let query = store.forTenant<AcmeTables>(tenant).selectFrom('acme_accounts').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  if (endpoint !== undefined) query = query.where('endpoint', '=', endpoint);
  if (status !== undefined) query = query.where('status', '=', status);
  if (eabKey !== undefined) query = query.where('eab_key', '=', eabKey);
  return query.orderBy('id').limit(limit).execute();
}

/** One account of a tenant. @throws PeerError `not-found` */
export async function getAccount(store: Store, tenant: string, id: string): Promise<AccountRow> {
  const row = await store
    .forTenant<AcmeTables>(tenant)
    .selectFrom('acme_accounts')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined) throw new PeerError('not-found', 'no such ACME account');
  return row;
}

/** What a list of orders may be narrowed by. */
export interface OrderFilter {
  readonly after: string | undefined;
  readonly limit: number;
  readonly account?: string | undefined;
  readonly status?: OrderStatus | undefined;
}

/** The orders of a tenant in the order they came. */
export function listOrdersOf(store: Store, tenant: string, filter: OrderFilter): Promise<OrderRow[]> {
  const { after, account, status, limit } = filter;
  let query = store.forTenant<AcmeTables>(tenant).selectFrom('acme_orders').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  if (account !== undefined) query = query.where('account', '=', account);
  if (status !== undefined) query = query.where('status', '=', status);
  return query.orderBy('id').limit(limit).execute();
}

/** One order of a tenant with its authorizations; none where a key vouches for the names. @throws PeerError `not-found` */
export async function getOrder(
  store: Store,
  tenant: string,
  id: string,
): Promise<{ readonly order: OrderRow; readonly authorizations: readonly AuthorizationRow[] }> {
  const rows = store.forTenant<AcmeTables>(tenant);
  const order = await rows.selectFrom('acme_orders').selectAll().where('id', '=', id).executeTakeFirst();
  if (order === undefined) throw new PeerError('not-found', 'no such ACME order');
  const ids = authorizationIds(order);
  const authorizations =
    ids.length === 0
      ? []
      : await rows
          .selectFrom('acme_authorizations')
          .selectAll()
          .where('id', 'in', [...ids])
          .execute();
  return { order, authorizations };
}

/** Who ends an account. */
export interface AccountEnd {
  readonly tenant: string;
  readonly id: string;
  /** As audit entries name him. */
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/**
 * Ends an account for good (RFC 8555 §7.1.6: `revoked`): its key signs nothing more here, and what waits for it is cancelled.
 * Certificates stay as they are.
 * @throws PeerError `not-found`; StateError `conflict` when it is at an end already.
 */
export async function endAccount(store: Store, { tenant, id, actor, at }: AccountEnd): Promise<void> {
  const { endpoint } = await getAccount(store, tenant, id);
  const ended = await store.unit(async (tx) => {
    const changed = await tx
      .forTenant<AcmeTables>(tenant)
      .updateTable('acme_accounts', { status: 'revoked' })
      .where('id', '=', id)
      .where('status', '=', 'valid')
      .executeTakeFirst();
    if (changed.numUpdatedRows !== 1n) return false;
    await cancelWaiting(tx, tenant, id, at);
    const details = { endpoint };
    const action = 'acme-account.revoked';
    await appendAudit(tx, { tenant, at, actor, action, object: `acme-account:${id}`, outcome: 'success', details });
    return true;
  });
  if (!ended) throw new StateError('conflict', 'the account is at an end already');
}
