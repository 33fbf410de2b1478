import { type Static, Type } from 'typebox';
import { findAuthority } from '../../core/authority/authorities.ts';
import type { CertificateOrder, CertificateQuery } from '../../core/authority/certificate-search.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { timestamp } from './views.ts';

const hexadecimal = (description: string, octets: number) =>
  Type.Optional(Type.String({ description, pattern: `^[0-9A-Fa-f:]{1,${octets * 3}}$` }));

/** What certificates are searched by; all of it must fit. */
export const certificateFilters = {
  name: Type.Optional(
    Type.String({ description: 'Equals a CN or subjectAltName, without case.', minLength: 1, maxLength: 256 }),
  ),
  serialNumber: hexadecimal('Hexadecimal, with colons or without.', 20),
  fingerprint: hexadecimal('SHA-256, hexadecimal, with colons or without.', 32),
  device: Type.Optional(Type.String({ description: 'Id.', maxLength: 64 })),
  authority: Type.Optional(Type.String({ description: 'Name or id of the issuer.', minLength: 1, maxLength: 64 })),
  profile: Type.Optional(Type.String({ description: 'Id.', maxLength: 64 })),
  keyAlgorithm: Type.Optional(Type.String({ description: 'As shown.', maxLength: 32, examples: ['EC P-256'] })),
  status: Type.Optional(Type.Enum(['active', 'expired', 'revoked'])),
  source: Type.Optional(Type.Enum(['issued', 'imported', 'discovered'])),
  expiresBefore: Type.Optional(timestamp('Ends before this.')),
  expiresAfter: Type.Optional(timestamp('Ends at this or later.')),
};

type Filters = Static<ReturnType<typeof Type.Object<typeof certificateFilters>>>;

/**
 * A search as the store does it. What is narrowed by its end comes in that order: whatever else, the next page is a step in an index.
 * @throws PeerError `malformed-request` for an authority that is not there
 */
export async function queryOf(
  store: Store,
  tenant: string,
  filters: Filters,
): Promise<{ readonly query: CertificateQuery; readonly order: CertificateOrder }> {
  const { device, profile, keyAlgorithm, source, name, status } = filters;
  const now = store.clock.now();
  const before = timeOf(filters.expiresBefore);
  const from = timeOf(filters.expiresAfter);
  const query = {
    device,
    profile,
    keyAlgorithm,
    source,
    name,
    serialNumber: plain(filters.serialNumber),
    fingerprint: plain(filters.fingerprint),
    authority: filters.authority === undefined ? undefined : await authorityOf(store, tenant, filters.authority),
    status: status === 'expired' ? ('active' as const) : status,
    expiresBefore: status === 'expired' ? Math.min(before ?? now, now) : before,
    expiresAfter: status === 'active' ? Math.max(from ?? now, now) : from,
  };
  const byEnd = query.expiresBefore !== undefined || query.expiresAfter !== undefined;
  return { query, order: byEnd ? 'notAfter' : 'id' };
}

async function authorityOf(store: Store, tenant: string, key: string): Promise<string> {
  const authority = await findAuthority(store, tenant, key);
  if (authority !== undefined) return authority.id;
  throw new PeerError('malformed-request', `authority: the tenant has none with the name or id ${key}`);
}

function plain(hexadecimalText: string | undefined): string | undefined {
  return hexadecimalText?.replaceAll(':', '').toLowerCase();
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}
