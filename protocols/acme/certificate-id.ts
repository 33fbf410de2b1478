import { certificateDer } from '../../core/authority/certificates.ts';
import { findBySerial, type FoundCertificate } from '../../core/authority/revocation.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { Store } from '../../core/store/store.ts';
import { type SerialNumber, serialNumberFromOctets } from '../../core/x509/serial-number.ts';
import type { AcmeDependencies, Call } from './dependencies.ts';
import { type Identifier, identifierName } from './identifier.ts';
import { fromBase64url, type JsonObject, optionalString } from './json.ts';
import { AcmeProblem } from './problem.ts';
import { orderByCertificate, replacementOf } from './statements.ts';
import type { AccountRow } from './tables.ts';

/** A certificate that an order replaces. */
export interface ReplacedCertificate {
  /** Only where the order has the very names of the certificate. */
  readonly certificateId: string;
  /** As the client named it. */
  readonly name: string;
}

const MAX_KEY_IDENTIFIER = 64;
const MAX_SERIAL = 21;

/** What looks certificates up. */
type Lookup = Pick<AcmeDependencies, 'store' | 'authorities'>;

/** The certificate of a name like `aki.serial` (RFC 9773 §4.1); undefined for one that no authority of the tenant issued. */
export async function certificateOfId(
  { store, authorities }: Lookup,
  tenant: string,
  name: string,
): Promise<FoundCertificate | undefined> {
  const parts = readId(name);
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
  if (other !== undefined) throw alreadyReplaced();
  return { certificateId: found.certificateId, name };
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

function readId(name: string): { readonly keyIdentifier: Uint8Array; readonly serialNumber: SerialNumber } | undefined {
  const [key, serial, ...rest] = name.split('.', 3);
  if (key === undefined || serial === undefined || rest.length > 0) return undefined;
  try {
    const [keyOctets, serialOctets] = [fromBase64url(key, 'aki'), fromBase64url(serial, 'serial')];
    if (keyOctets.length > MAX_KEY_IDENTIFIER || serialOctets.length > MAX_SERIAL) return undefined;
    return { keyIdentifier: keyOctets, serialNumber: serialNumberFromOctets(serialOctets) };
  } catch (error) {
    if (error instanceof AcmeProblem || error instanceof Asn1Error) return undefined;
    throw error;
  }
}
