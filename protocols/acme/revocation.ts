import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { findBySerial, type RevocationReason, revokeCertificate } from '../../core/authority/revocation.ts';
import { type Certificate, parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { CRL_REASON } from '../../core/x509/crl.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import type { AcmeDependencies, Answer, Call } from './dependencies.ts';
import { baseOf, type Identifier, isWildcard } from './identifier.ts';
import { fromBase64url, type JsonObject, requiredString } from './json.ts';
import { AcmeProblem } from './problem.ts';
import { type AccountRequest, payloadOf, type SignedRequest } from './request-authentication.ts';
import { orderByCertificate, validAuthorization } from './statements.ts';
import type { AccountRow } from './tables.ts';

type RevocationDependencies = Pick<AcmeDependencies, 'store' | 'authorities' | 'credentials'>;

/** The reasons that a subscriber may give; the others are an authority's (RFC 5280 §5.3.1). */
const REASONS: readonly RevocationReason[] = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
];

/** revokeCert (RFC 8555 §7.6): by the account that ordered it or holds all its names, or by the certificate's own key. */
export async function revoke(
  parts: RevocationDependencies,
  call: Call,
  request: SignedRequest | AccountRequest,
): Promise<Answer> {
  const { store, authorities } = parts;
  const payload = payloadOf(request);
  const certificate = read(requiredString(payload, 'certificate'));
  const reason = reasonOf(payload);
  const { tenant } = call.endpoint;
  const issuer = await authorities.issuerOf(tenant, certificate);
  const found = issuer && (await findBySerial(store, tenant, issuer.id, certificate.serialNumber));
  if (found === undefined || !octetsEqual(found.der, certificate.der))
    throw new AcmeProblem('malformed', 'no such certificate', { status: 404 });
  const { certificateId } = found;
  if (!(await mayRevoke(parts, call, request, certificate, certificateId)))
    throw new AcmeProblem('unauthorized', 'neither the certificate nor all of its names are of who asks');
  const at = store.clock.now();
  const actor = 'account' in request ? `device:acme-account ${request.account.id}` : 'device:certificate-key';
  const details = { protocol: 'acme', endpoint: call.endpoint.id, source: call.sourceAddress };
  const outcome = await store.unit((tx) =>
    revokeCertificate(tx, { tenant, certificateId, reason, actor, at, details }),
  );
  if (outcome !== 'revoked') throw new AcmeProblem('alreadyRevoked', 'the certificate is revoked already');
  return { status: 200 };
}

async function mayRevoke(
  { store, credentials }: RevocationDependencies,
  { endpoint, settings }: Call,
  request: SignedRequest | AccountRequest,
  certificate: Certificate,
  id: string,
): Promise<boolean> {
  if (!('account' in request)) return publicKeysEqual(request.key.publicKey, certificate.publicKey);
  const { account } = request;
  const [order] = await store.query(orderByCertificate, { tenant: endpoint.tenant, certificate: id });
  if (order?.account === account.id) return true;
  const names = subjectAltName(certificate).map((name) => generalNameToText(name).toLowerCase());
  const identifiers = names.map(identifierOf);
  if (identifiers.length === 0 || identifiers.includes(undefined)) return false;
  const held = identifiers as readonly Identifier[];
  if (account.eab_key !== null && settings.authenticators.includes('eab')) {
    const policy = await credentials.eabNames(endpoint, account.eab_key);
    if (policy.kind === 'listed' && held.every(({ value }) => policy.allows(value))) return true;
  }
  const found = await Promise.all(held.map((identifier) => holds({ store }, account, identifier)));
  return found.every(Boolean);
}

async function holds({ store }: Pick<RevocationDependencies, 'store'>, account: AccountRow, identifier: Identifier) {
  const { type, value } = baseOf(identifier);
  const wildcard = isWildcard(identifier) ? 1 : 0;
  const now = store.clock.now();
  return (await store.query(validAuthorization, { account: account.id, type, value, wildcard, now })).length > 0;
}

function identifierOf(name: string): Identifier | undefined {
  if (name.startsWith('dns:')) return { type: 'dns', value: name.slice(4) };
  return name.startsWith('ip:') ? { type: 'ip', value: name.slice(3) } : undefined;
}

function read(text: string): Certificate {
  try {
    return parseCertificate(fromBase64url(text, 'certificate'));
  } catch (error) {
    if (error instanceof Asn1Error) throw new AcmeProblem('malformed', `certificate: ${error.message}`);
    throw error;
  }
}

function reasonOf(payload: JsonObject): RevocationReason {
  const code = payload['reason'];
  if (code === undefined) return 'unspecified';
  const reason = REASONS.find((name) => CRL_REASON[name] === code);
  if (reason !== undefined) return reason;
  const taken = REASONS.map((name) => `${CRL_REASON[name]} (${name})`).join(', ');
  throw new AcmeProblem('badRevocationReason', `expected one of ${taken}`);
}
