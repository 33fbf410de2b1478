import { hash } from 'node:crypto';

import type { AuthorityDirectory } from '../authority/directory.ts';
import { certificateStatus } from '../authority/certificates.ts';
import { PolicyError } from '../errors/muster-error.ts';
import type { Store } from '../store/store.ts';
import { extendedKeyUsage, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { octetsEqual } from '../x509/octets.ts';
import { KEY_PURPOSE } from '../x509/oids.ts';
import { validatePath, type PathInput } from '../x509/path-validation.ts';
import type { Endpoint } from './endpoint.ts';
import type { CertificateFact, Unverified } from './facts.ts';
import type { AttestationGate } from './ports.ts';
import type { EnrollmentTables } from './tables.ts';

/** What certificates are checked with. */
export interface CertificateParts {
  readonly store: Store;
  readonly authorities: AuthorityDirectory;
  /** Knows manufacturers' certificates; absent where no gate is wired. */
  readonly gate?: Pick<AttestationGate, 'identify'> | undefined;
}

type PathPurpose = NonNullable<PathInput['purpose']>;

/** What a certificate tells, however the possession of its key was proved. */
export type CheckedCertificate = Omit<Unverified<CertificateFact>, 'kind'>;

/**
 * Validates the path and the status, as of now, of a certificate (leaf first, DER) whose key was proved to be held: to TLS, which
 * asks for clientAuth where purposes are named at all, or by the signature of a message.
 * @throws PolicyError `certificate-untrusted`, `certificate-expired` or `certificate-revoked`.
 */
export async function verifyCertificate(
  parts: CertificateParts,
  endpoint: Endpoint,
  chain: readonly Uint8Array[],
  shownTo: 'tls' | 'message',
): Promise<CheckedCertificate> {
  const [leafDer, ...rest] = chain;
  if (leafDer === undefined) throw new PolicyError('certificate-untrusted', 'no client certificate was presented');
  const presented: Presented = {
    endpoint,
    leaf: decodeOrRefuse(leafDer),
    fingerprint: hash('sha256', leafDer, 'hex'),
    purpose: PURPOSE[shownTo],
  };
  return (await verifyOwn(parts, presented)) ?? verifyForeign(parts, presented, rest, chain);
}

/** A certificate of another's authorities: under an anchor of this tenant, a manufacturer's, or both. */
async function verifyForeign(
  parts: CertificateParts,
  presented: Presented,
  intermediates: readonly Uint8Array[],
  chain: readonly Uint8Array[],
): Promise<CheckedCertificate> {
  const identity = await parts.gate?.identify(chain, presented.endpoint);
  if (identity === undefined) return verifyAnchored(parts, presented, intermediates);
  try {
    return { ...(await verifyAnchored(parts, presented, intermediates)), identity };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    // What the gate says of it is all it is good for; one it refuses is no credential, and is told so with its codes.
    return { ...strangerOf(presented), origin: 'idevid-anchor', identity };
  }
}

/** What the certificate itself must allow. */
const PURPOSE: Readonly<Record<'tls' | 'message', PathPurpose>> = {
  tls: { extendedKeyUsage: [KEY_PURPOSE.clientAuth], keyUsage: ['digitalSignature'] },
  message: { keyUsage: ['digitalSignature'] },
};

interface Presented {
  readonly endpoint: Endpoint;
  readonly leaf: Certificate;
  readonly fingerprint: string;
  readonly purpose: PathPurpose;
}

/** A certificate of this tenant's own authorities: the path must hold, and the store must know it as active now. */
async function verifyOwn(
  { store, authorities }: CertificateParts,
  { endpoint, leaf, fingerprint, purpose }: Presented,
): Promise<CheckedCertificate | undefined> {
  const issuer = await authorities.issuerOf(endpoint.tenant, leaf);
  if (!issuer) return undefined;
  if (issuer.isRevoked)
    throw new PolicyError('certificate-revoked', 'the authority of the certificate presented is revoked');
  requirePath({ leaf, purpose }, issuer.chain.slice(0, -1), issuer.chain.slice(-1), store.clock.now());
  // CVE-2020-25276: the status is looked up at each request, not at the handshake.
  const status = await certificateStatus(store, endpoint.tenant, issuer.id, leaf);
  if (!status) throw new PolicyError('certificate-untrusted', 'the certificate presented is not known here');
  if (status.status !== 'active') throw new PolicyError('certificate-revoked', 'the certificate presented is revoked');
  return {
    certificate: leaf,
    fingerprint,
    origin: 'own',
    certificateId: status.id,
    profile: status.profile ?? undefined,
    deviceId: status.device ?? undefined,
    registrationAuthority: isRegistrationAuthority(endpoint, leaf, fingerprint),
  };
}

async function verifyAnchored(
  { store }: CertificateParts,
  { endpoint, leaf, fingerprint, purpose }: Presented,
  intermediates: readonly Uint8Array[],
): Promise<CheckedCertificate> {
  const trusted = await trustAnchors(store, endpoint.tenant);
  if (trusted.length === 0)
    throw new PolicyError('certificate-untrusted', 'the certificate presented leads to no anchor of this endpoint');
  const end = requirePath(
    { leaf, purpose },
    intermediates.map(decodeOrRefuse),
    trusted.map((anchor) => anchor.certificate),
    store.clock.now(),
  );
  const purposes = trusted
    .filter(({ certificate }) => octetsEqual(certificate.der, end.der))
    .map(({ purpose }) => purpose);
  const anchoredForRa = purposes.includes('ra');
  return {
    ...strangerOf({ leaf, fingerprint }),
    origin: purposes.includes('client') ? 'client-anchor' : 'ra-anchor',
    // An id-kp-cmcRA of a foreign CA counts only where the administrator anchored that CA for this purpose.
    registrationAuthority: isListed(endpoint, fingerprint) || (anchoredForRa && claimsRegistrationAuthority(leaf)),
  };
}

/** A certificate that we did not issue. */
function strangerOf({ leaf, fingerprint }: Pick<Presented, 'leaf' | 'fingerprint'>) {
  return {
    certificate: leaf,
    fingerprint,
    certificateId: undefined,
    profile: undefined,
    deviceId: undefined,
    registrationAuthority: false,
  };
}

interface TrustAnchor {
  readonly purpose: 'client' | 'ra';
  readonly certificate: Certificate;
}

async function trustAnchors(store: Store, tenant: string): Promise<readonly TrustAnchor[]> {
  const rows = await store
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('trust_anchors')
    .select(['purpose', 'certificate'])
    .where('purpose', 'in', ['client', 'ra'])
    .execute();
  return rows.map(({ purpose, certificate }) => ({
    purpose: purpose === 'ra' ? 'ra' : 'client',
    certificate: parseCertificate(certificate),
  }));
}

/** Validates the path and returns the anchor it ends at. */
function requirePath(
  { leaf, purpose }: Pick<Presented, 'leaf' | 'purpose'>,
  intermediates: readonly Certificate[],
  anchors: readonly Certificate[],
  now: number,
): Certificate {
  const result = validatePath({
    leaf,
    intermediates,
    anchors,
    at: new Date(now),
    purpose,
  });
  if (result.ok) return result.chain.at(-1)!;
  if (result.reason === 'expired')
    throw new PolicyError('certificate-expired', `the certificate presented: ${result.detail}`);
  throw new PolicyError('certificate-untrusted', `the certificate presented: ${result.detail}`);
}

function isRegistrationAuthority(endpoint: Endpoint, leaf: Certificate, fingerprint: string): boolean {
  return isListed(endpoint, fingerprint) || claimsRegistrationAuthority(leaf);
}

function isListed(endpoint: Endpoint, fingerprint: string): boolean {
  return endpoint.registrationAuthorities.includes(fingerprint);
}

/** RFC 7030 §3.7, RFC 6402 §2.10: an RA is marked by id-kp-cmcRA. */
function claimsRegistrationAuthority(leaf: Certificate): boolean {
  return extendedKeyUsage(leaf)?.includes(KEY_PURPOSE.cmcRA) ?? false;
}

function decodeOrRefuse(der: Uint8Array): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    throw new PolicyError('certificate-untrusted', 'the certificate presented cannot be read', { cause: error });
  }
}
