import { appendAudit } from '../audit/log.ts';
import { InternalError } from '../errors/muster-error.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { makeDataKey, sealer, unwrapDataKey, type DataKey, type Sealer } from '../keys/sealing.ts';
import type { Store } from '../store/store.ts';
import { listAuthorities } from './authorities.ts';
import type { AuthorityTables, DataKeyRow } from './tables.ts';

/**
 * The keys that seal what must be read again (MAC secrets, keys of derived challenges), one a tenant: AES-256 keys in this
 * process's memory, wrapped in the store by an RSA key that cannot leave the tenant's token. The token is asked once for each
 * tenant and start.
 */
export class DataKeys {
  readonly #store: Store;
  readonly #keys: KeyStore;
  readonly #sealers = new Map<string, Promise<Sealer>>();

  constructor(store: Store, keys: KeyStore) {
    this.#store = store;
    this.#keys = keys;
  }

  /**
   * What seals the secrets of a tenant; its first key is made in the token that holds the tenant's authorities. Not inside a
   * unit: it may ask the token.
   * @throws UpstreamError when token or store are away; InternalError for a tenant without an authority, or a token that does
   *   not hold the wrapping key.
   */
  sealer(tenant: string): Promise<Sealer> {
    const known = this.#sealers.get(tenant);
    if (known) return known;
    // A failed attempt is not kept: the next request tries again.
    const fresh = this.#open(tenant).catch((error: unknown) => {
      this.#sealers.delete(tenant);
      throw error;
    });
    this.#sealers.set(tenant, fresh);
    return fresh;
  }

  async #open(tenant: string): Promise<Sealer> {
    const stored = await this.#stored(tenant);
    const rows = stored.length > 0 ? stored : await this.#makeFirst(tenant);
    const keys = await Promise.all(rows.map((row) => this.#unwrap(row)));
    return sealer(tenant, keys[0]!, keys);
  }

  async #unwrap(row: DataKeyRow): Promise<DataKey> {
    const wrappingKey = await this.#keys.open(parseKeyUri(row.key_uri).uri);
    const { number, padding, wrapped, check_value: check, tenant } = row;
    return { number, key: await unwrapDataKey(wrappingKey, { padding, wrapped, check }, tenant) };
  }

  /** Newest first. */
  #stored(tenant: string): Promise<DataKeyRow[]> {
    return this.#store
      .forTenant<AuthorityTables>(tenant)
      .selectFrom('data_keys')
      .selectAll()
      .orderBy('number', 'desc')
      .execute();
  }

  /** Of several nodes that make one at once, the first to store it wins; the others leave an unused key in the token. */
  async #makeFirst(tenant: string): Promise<DataKeyRow[]> {
    const [authority] = await listAuthorities(this.#store, tenant);
    if (!authority) throw new InternalError(`the tenant ${tenant} has no authority whose token could seal its secrets`);
    const { token } = parseKeyUri(authority.key_uri);
    const key = await this.#keys.generate({ token, algorithm: 'rsa-3072', label: 'muster/sealing', usage: 'decrypt' });
    const { padding, wrapped, check } = await makeDataKey(key, tenant);
    const row = { tenant, number: 1, key_uri: key.uri, padding, wrapped, check_value: check };
    await this.#store.unit(async (tx) => {
      const at = this.#store.clock.now();
      const { numInsertedOrUpdatedRows: inserted } = await tx
        .db<AuthorityTables>()
        .insertInto('data_keys')
        .values({ ...row, created_at: at })
        .onConflict((conflict) => conflict.columns(['tenant', 'number']).doNothing())
        .executeTakeFirstOrThrow();
      if (inserted !== 1n) return;
      await appendAudit(tx, {
        tenant,
        at,
        actor: 'system:data-keys',
        action: 'data-key.created',
        object: `data-key:${row.number}`,
        outcome: 'success',
        details: { wrappingKey: key.uri, padding },
      });
    });
    return this.#stored(tenant);
  }
}
