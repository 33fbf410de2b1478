import type { AuthorityOffice } from '../../core/authority/authority-office.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import type { TenantPreparation } from '../api/context.ts';
import { DEFAULT_ALGORITHMS, prepareTenant, storeTenant } from './first-start.ts';

/** A further tenant, made as the first start makes the first one. */
export function tenantPreparation(keys: KeyStore, office: AuthorityOffice): TenantPreparation {
  return async ({ token, ...wish }, now) => {
    const specification = { ...DEFAULT_ALGORITHMS, ...wish, token: office.tokenOf(token), isDefault: false };
    const provisioned = await prepareTenant(keys, specification, now);
    return {
      id: provisioned.tenant.id,
      store: (tx, when) => storeTenant(tx, provisioned, specification, when),
    };
  };
}
