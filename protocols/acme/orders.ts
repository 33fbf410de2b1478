import { StateError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Store } from '../../core/store/store.ts';
import { requireTerms } from './accounts.ts';
import { authorizationIds, identifiersOf, newAuthorization, reusable, statusOf, vouchedId } from './authorizations.ts';
import { alreadyReplaced, replacedCertificate } from './certificate-id.ts';
import type { AcmeDependencies, Answer, Call } from './dependencies.ts';
import { type Identifier, identifierName, isOfDevice, parseIdentifiers, refused } from './identifier.ts';
import { type JsonObject, optionalList, optionalString } from './json.ts';
import { AcmeUrls } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { type AccountRequest, payloadOf } from './request-authentication.ts';
import {
  authorizationById,
  failedSince,
  insertAuthorization,
  insertOrder,
  markInvalid,
  markReady,
  orderById,
} from './statements.ts';
import type { AccountRow, AcmeTables, AuthorizationRow, OrderRow } from './tables.ts';

export type OrderDependencies = Pick<
  AcmeDependencies,
  'store' | 'shortLived' | 'credentials' | 'profiles' | 'authorities'
>;

const HOUR = 3600;
const MAX_IDENTIFIERS = 100;
const PAGE = 100;
/** An order that is worked on is to be looked at again after this part of the time it has taken so far. */
const PATIENCE = 1 / 4;

/** newOrder (RFC 8555 §7.4). */
export async function newOrder(parts: OrderDependencies, call: Call, request: AccountRequest): Promise<Answer> {
  const { account } = request;
  const payload = payloadOf(request);
  requireTerms(call, account.terms);
  const identifiers = parseIdentifiers(optionalList(payload, 'identifiers', MAX_IDENTIFIERS) ?? [], call.settings);
  for (const member of ['notBefore', 'notAfter']) {
    // RFC 8555 §7.4: honoured or refused, never changed in silence.
    if (optionalString(payload, member) !== undefined)
      throw new AcmeProblem('malformed', `${member}: the profile of the endpoint says how long certificates last`);
  }
  requireAttestation(call, identifiers);
  const profile = await profileOf(parts, call, payload);
  const voucher = await voucherOf(parts, call, account, identifiers);
  await requireQuota(parts, call, account, voucher === undefined);
  const replaces = await replacedCertificate(parts, call, account, payload, identifiers);
  const now = parts.store.clock.now();
  const planned = await authorizationsFor(parts, call, account, { identifiers, vouched: voucher !== undefined });
  const kept = planned.flatMap((one) => (one.kind === 'kept' ? [one.row] : []));
  const fresh = planned.flatMap((one) => (one.kind === 'fresh' ? [one.row] : []));
  const order: OrderRow = {
    id: newId(now),
    tenant: call.endpoint.tenant,
    endpoint: call.endpoint.id,
    label: call.endpoint.label,
    account: account.id,
    status: fresh.length === 0 ? 'ready' : 'pending',
    identifiers: JSON.stringify(identifiers),
    authorizations: JSON.stringify(planned.map((one) => (one.kind === 'vouched' ? null : one.row.id))),
    profile: profile ?? null,
    eab_key: voucher ?? null,
    replaces: replaces?.certificateId ?? null,
    replaces_name: replaces?.name ?? null,
    error: null,
    csr: null,
    certificate: null,
    source_address: call.sourceAddress,
    lease_until: null,
    expires_at: Math.min(now + call.settings.orderLifetimeSeconds * 1000, ...kept.map((row) => row.expires_at)),
    created_at: now,
    updated_at: now,
  };
  await storeOrder(parts, order, fresh);
  return orderAnswer(call, order, 201);
}

type Planned = { readonly kind: 'vouched' } | { readonly kind: 'kept' | 'fresh'; readonly row: AuthorizationRow };

/** An authorization for each identifier, in their order: one that still holds, a new one, or the word of the account's key. */
async function authorizationsFor(
  { store }: OrderDependencies,
  call: Call,
  account: AccountRow,
  { identifiers, vouched }: { readonly identifiers: readonly Identifier[]; readonly vouched: boolean },
): Promise<readonly Planned[]> {
  const now = store.clock.now();
  const planned: Planned[] = [];
  for (const identifier of identifiers) {
    if (vouched && !isOfDevice(identifier)) {
      planned.push({ kind: 'vouched' });
      continue;
    }
    const row = await reusable(store, call, account, identifier);
    planned.push(
      row ? { kind: 'kept', row } : { kind: 'fresh', row: newAuthorization(call, account, identifier, now) },
    );
  }
  return planned;
}

/** @throws AcmeProblem `unsupportedIdentifier` for what names a device where the endpoint looks at no evidence. */
function requireAttestation({ endpoint }: Call, identifiers: readonly Identifier[]): void {
  if (endpoint.attestation.mode !== 'off') return;
  const detail = 'this endpoint looks at no evidence, and nothing else proves this identifier';
  const faults = identifiers.filter(isOfDevice);
  if (faults.length > 0)
    throw refused(faults.map((identifier) => ({ type: 'unsupportedIdentifier', detail, identifier })));
}

async function storeOrder({ store }: OrderDependencies, order: OrderRow, fresh: readonly AuthorizationRow[]) {
  try {
    await store.unit(async (tx) => {
      for (const row of fresh) await tx.affected(insertAuthorization, { ...row });
      await tx.affected(insertOrder, { ...order });
    });
  } catch (error) {
    // Of parallel orders that replace one certificate, the index lets one stand.
    if (error instanceof StateError && order.replaces !== null) throw alreadyReplaced();
    throw error;
  }
}

/** The order as it stands, its authorizations looked at (RFC 8555 §7.1.6). @throws AcmeProblem for another account's. */
export async function currentOrder(
  store: Store,
  { endpoint }: Call,
  account: AccountRow,
  id: string,
): Promise<OrderRow> {
  const { tenant } = endpoint;
  const find = async (): Promise<OrderRow> => {
    const [row] = await store.query(orderById, { tenant, endpoint: endpoint.id, id });
    if (row !== undefined && row.account === account.id) return row;
    throw new AcmeProblem('malformed', 'no such order of this account', { status: 404 });
  };
  const order = await find();
  const now = store.clock.now();
  const verdict = await verdictOn(store, order, now);
  if (verdict === undefined) return order;
  await store.unit((tx) =>
    verdict === 'ready'
      ? tx.affected(markReady, { tenant, id, now })
      : tx.affected(markInvalid, { tenant, id, from: order.status, error: null, now }),
  );
  return find();
}

/** An order as its client sees it (RFC 8555 §7.1.3). */
export function orderAnswer(
  call: Pick<Call, 'base' | 'endpoint'>,
  order: OrderRow,
  status: number,
  now = order.updated_at,
): Answer {
  const urls = new AcmeUrls(call.base, call.endpoint.label);
  const identifiers = identifiersOf(order);
  const ids = JSON.parse(order.authorizations) as (string | null)[];
  // Where the key vouches for all names, an order of earlier days has an empty list.
  const authorizations = identifiers.map((_identifier, index) => ids[index] ?? vouchedId(order.id, index));
  return {
    status,
    location: urls.of('order', order.id),
    body: {
      status: order.status,
      expires: new Date(order.expires_at).toISOString(),
      identifiers,
      authorizations: authorizations.map((id) => urls.of('authorization', id)),
      finalize: urls.of('finalize', order.id),
      ...(order.profile !== null && { profile: order.profile }),
      ...(order.replaces_name !== null && { replaces: order.replaces_name }),
      ...(order.certificate !== null && { certificate: urls.of('certificate', order.certificate) }),
      ...(order.error !== null && { error: JSON.parse(order.error) as unknown }),
    },
    ...(order.status === 'processing' && { retryAfterSeconds: patience(call, now - order.updated_at) }),
  };
}

function patience({ endpoint }: Pick<Call, 'endpoint'>, workedOnMs: number): number {
  return Math.max(1, Math.min(endpoint.retryAfterSeconds, Math.round((workedOnMs * PATIENCE) / 1000)));
}

/** The orders of an account that did not fail (RFC 8555 §7.1.2.1), a page at a time. */
export async function listOrders(
  store: Store,
  call: Call,
  { account }: AccountRequest,
  id: string,
  after: string | undefined,
): Promise<Answer> {
  if (account.id !== id) throw new AcmeProblem('unauthorized', 'the account is another');
  const urls = new AcmeUrls(call.base, call.endpoint.label);
  const rows = await store
    .forTenant<AcmeTables>(call.endpoint.tenant)
    .selectFrom('acme_orders')
    .select('id')
    .where('account', '=', id)
    .where('status', '!=', 'invalid')
    .$if(after !== undefined, (query) => query.where('id', '>', after!))
    .orderBy('id')
    .limit(PAGE + 1)
    .execute();
  const page = rows.slice(0, PAGE);
  const next = rows.length > PAGE ? [`<${urls.of('orders', id)}?after=${page.at(-1)!.id}>;rel="next"`] : [];
  return { status: 200, body: { orders: page.map((row) => urls.of('order', row.id)) }, links: next };
}

/** What the authorizations make of an order that waits; undefined where they change nothing. */
async function verdictOn(store: Store, order: OrderRow, now: number): Promise<'ready' | 'invalid' | undefined> {
  if (order.status !== 'pending' && order.status !== 'ready') return undefined;
  if (order.expires_at <= now) return 'invalid';
  const { tenant, endpoint } = order;
  const ids = authorizationIds(order);
  const rows = await Promise.all(ids.map((id) => store.query(authorizationById, { tenant, endpoint, id })));
  const states = rows.map(([row]) => (row === undefined ? 'invalid' : statusOf(row, now)));
  if (states.some((state) => state !== 'pending' && state !== 'valid')) return 'invalid';
  return order.status === 'pending' && states.every((state) => state === 'valid') ? 'ready' : undefined;
}

/** The key that vouches for all names, or undefined where challenges are to be answered. */
async function voucherOf(
  { credentials }: OrderDependencies,
  { endpoint, settings }: Call,
  { eab_key: key }: AccountRow,
  identifiers: readonly Identifier[],
): Promise<string | undefined> {
  if (key !== null) {
    const policy = await credentials.eabNames(endpoint, key);
    if (policy.kind === 'none')
      throw new AcmeProblem('unauthorized', 'the key that the account is bound to was revoked', { status: 401 });
    if (policy.kind === 'listed') {
      // What names a device is for evidence to prove, and for the manifest to expect.
      const outside = identifiers.filter((one) => !isOfDevice(one) && !policy.allows(one.value));
      if (outside.length > 0) {
        const detail = 'the key of the account does not cover this name';
        throw refused(outside.map((identifier) => ({ type: 'rejectedIdentifier', detail, identifier })));
      }
      if (settings.authenticators.includes('eab')) return key;
    }
  }
  if (!settings.authenticators.includes('acme-order'))
    throw new AcmeProblem('unauthorized', 'only a key that covers the names opens this endpoint');
  return undefined;
}

/** draft-ietf-acme-profiles §4: the profile of an order. @throws AcmeProblem `invalidProfile`. */
async function profileOf({ profiles }: OrderDependencies, { endpoint, settings }: Call, payload: JsonObject) {
  const name = optionalString(payload, 'profile');
  if (name === undefined) return undefined;
  const found = settings.profiles.find((profile) => profile.name === name);
  const exists =
    found !== undefined &&
    (found.profile === undefined ||
      (await profiles.get(endpoint.tenant, found.profile).then(
        () => true,
        () => false,
      )));
  if (exists) return name;
  const known = settings.profiles.map((profile) => profile.name).join(', ') || 'none';
  throw new AcmeProblem('invalidProfile', `expected a profile of the directory (${known})`);
}

async function requireQuota(
  { store, shortLived }: OrderDependencies,
  { settings }: Call,
  { id }: AccountRow,
  needsChallenges: boolean,
): Promise<void> {
  const tooMany = (what: string): AcmeProblem =>
    new AcmeProblem('rateLimited', `too many ${what} of this account`, { retryAfterSeconds: HOUR });
  if ((await shortLived.increment(`acme-orders:${id}`, HOUR)) > settings.ordersPerHour) throw tooMany('new orders');
  if (!needsChallenges) return;
  const [failed] = await store.query(failedSince, { account: id, since: store.clock.now() - HOUR * 1000 });
  if (Number(failed?.count ?? 0) >= settings.failedValidationsPerHour) throw tooMany('failed validations');
}

/** Names of an order, for the hall. */
export function namesOf(order: Pick<OrderRow, 'identifiers'>): readonly string[] {
  return identifiersOf(order).map(identifierName);
}
