import { certificateDer } from '../../core/authority/certificates.ts';
import { findBySerial, type FoundCertificate } from '../../core/authority/revocation.ts';
import type { Store } from '../../core/store/store.ts';
import type { AcmeDependencies, Call } from './dependencies.ts';
import { type Identifier, identifierName } from './identifier.ts';
import { type JsonObject, optionalString } from './json.ts';
import { AcmeProblem } from './problem.ts';
import { parseRenewalIdentifier } from './renewal-identifier.ts';
import { markInvalid, orderByCertificate, replacementOf } from './statements.ts';
import type { AccountRow, OrderRow } from './tables.ts';

/** A certificate that an order replaces. */
export interface ReplacedCertificate {
  /** Only where the order has the very names of the certificate. */
  readonly certificateId: string;
  /** As the client named it. */
  readonly name: string;
}

/** What looks certificates up. */
type Lookup = Pick<AcmeDependencies, 'store' | 'authorities'>;

/** The certificate of a name like `aki.serial` (RFC 9773 §4.1); undefined for one that no authority of the tenant issued. */
export async function certificateOfId(
  { store, authorities }: Lookup,
  tenant: string,
  name: string,
): Promise<FoundCertificate | undefined> {
  const parts = parseRenewalIdentifier(name);
  if (parts === undefined) return undefined;
  for (const { id } of await authorities.issuersByKeyIdentifier(tenant, parts.keyIdentifier)) {
    const found = await findBySerial(store, tenant, id, parts.serialNumber);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * What newOrder says it replaces (RFC 9773 §5): a certificate of this account, with a name in common, not replaced before.
 * @throws AcmeProblem `malformed`, `alreadyReplaced`
 */
export async function replacedCertificate(
  parts: Lookup,
  { endpoint: { tenant } }: Call,
  account: AccountRow,
  payload: JsonObject,
  identifiers: readonly Identifier[],
): Promise<ReplacedCertificate | undefined> {
  const name = optionalString(payload, 'replaces');
  if (name === undefined) return undefined;
  const { store } = parts;
  const found = await certificateOfId(parts, tenant, name);
  const [order] = found ? await store.query(orderByCertificate, { tenant, certificate: found.certificateId }) : [];
  if (found === undefined || order?.account !== account.id)
    throw new AcmeProblem('malformed', 'replaces: expected a certificate that this account ordered');
  const before = new Set((JSON.parse(order.identifiers) as Identifier[]).map(identifierName));
  if (!identifiers.some((identifier) => before.has(identifierName(identifier))))
    throw new AcmeProblem('malformed', 'replaces: expected a name in common with the certificate');
  const [other] = await store.query(replacementOf, { tenant, certificate: found.certificateId });
  if (other !== undefined && !(await expired(store, tenant, other))) throw alreadyReplaced();
  return { certificateId: found.certificateId, name };
}

/** An order that nobody finalized in time replaces nothing, though nobody has looked at it since. */
async function expired(
  store: Store,
  tenant: string,
  { id, status: from, expires_at: expiresAt }: Pick<OrderRow, 'id' | 'status' | 'expires_at'>,
): Promise<boolean> {
  const now = store.clock.now();
  if ((from !== 'pending' && from !== 'ready') || expiresAt > now) return false;
  return (await store.unit((tx) => tx.affected(markInvalid, { tenant, id, from, error: null, now }))) === 1;
}

/** RFC 9773 §5: a certificate is replaced once. */
export function alreadyReplaced(): AcmeProblem {
  return new AcmeProblem('alreadyReplaced', 'another order replaces this certificate');
}

/** DER of a certificate of an order. @throws AcmeProblem when it is gone. */
export async function requireDer(store: Store, tenant: string, id: string): Promise<Uint8Array> {
  const der = await certificateDer(store, tenant, id);
  if (der === undefined) throw new AcmeProblem('malformed', 'no such certificate', { status: 404 });
  return der;
}
