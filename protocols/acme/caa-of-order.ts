import type { Store } from '../../core/store/store.ts';
import { accountUrl } from './accounts.ts';
import { identifiersOf } from './authorizations.ts';
import { type CaaSubject, requireCaa } from './caa.ts';
import type { Call } from './dependencies.ts';
import { baseOf, isWildcard } from './identifier.ts';
import { authorizationById } from './statements.ts';
import type { OrderRow } from './tables.ts';
import { outsideOf } from './validation.ts';

/**
 * Holds the DNS names of an order against CAA, as they stand at this moment (RFC 8659 §2.1: before issuing), where the endpoint
 * wants that.
 * @throws AcmeProblem `caa` or `dns`; the order can be finalized again.
 */
export async function requireCaaOf(store: Store, call: Call, order: OrderRow): Promise<void> {
  const { settings } = call;
  if (settings.caa === 'ignored') return;
  const signal = AbortSignal.timeout(settings.validationTimeoutSeconds * 1000);
  const outside = outsideOf(settings);
  await requireCaa((name) => outside.caa(name, signal), settings.caaIdentities, await subjectsOf(store, call, order));
}

async function subjectsOf(store: Store, call: Call, order: OrderRow): Promise<readonly CaaSubject[]> {
  const { tenant, endpoint, account } = order;
  const ids = JSON.parse(order.authorizations) as (string | null)[];
  const url = accountUrl(call, account);
  const found = identifiersOf(order).map(async (identifier, index): Promise<CaaSubject | undefined> => {
    if (identifier.type !== 'dns') return undefined;
    const id = ids[index] ?? undefined;
    const [row] = id === undefined ? [] : await store.query(authorizationById, { tenant, endpoint, id });
    const { value: name } = baseOf(identifier);
    return { identifier, name, wildcard: isWildcard(identifier), method: row?.challenge ?? undefined, accountUrl: url };
  });
  return (await Promise.all(found)).filter((subject) => subject !== undefined);
}
