import { UpstreamError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';

/** A store whose reads of prepared statements fail while `fault.away` is set, as when a node is cut off from its database. */
export function cutStore(store: Store, fault: { readonly away: boolean }): Store {
  const query: Store['query'] = (statement, parameters) =>
    fault.away
      ? Promise.reject(new UpstreamError('store-unavailable', 'the database is cut off'))
      : store.query(statement, parameters);
  return new Proxy(store, {
    get(target, key) {
      if (key === 'query') return query;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
