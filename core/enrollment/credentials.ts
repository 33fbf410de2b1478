import { hash } from 'node:crypto';

import type { AuthorityDirectory } from '../authority/directory.ts';
import { certificateStatus } from '../authority/certificates.ts';
import { PolicyError } from '../errors/muster-error.ts';
import type { Secret } from '../keys/secret.ts';
import type { ShortLived } from '../store/short-lived.ts';
import type { Store } from '../store/store.ts';
import { extendedKeyUsage, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { octetsEqual } from '../x509/octets.ts';
import { KEY_PURPOSE } from '../x509/oids.ts';
import { validatePath } from '../x509/path-validation.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { asVerified, type PasswordFact, type TlsCertificateFact } from './facts.ts';
import { findSecret, type SecretHash } from './secrets.ts';
import type { EnrollmentTables, SharedSecretRow, TrustAnchorRow } from './tables.ts';

/** Wrong passwords from one source at one endpoint before further ones are refused as such, and for how long. */
const LOCK_OUT = { attempts: 10, windowSeconds: 300 };

/** Turns what a device presented into facts; the only place where facts are made. */
export interface CredentialVerifier {
  /**
   * Validates the path of a presented client certificate (leaf first, DER) and its status as of now.
   * @throws PolicyError `certificate-untrusted`, `certificate-expired` or `certificate-revoked`.
   */
  tlsCertificate(endpoint: Endpoint, chain: readonly Uint8Array[]): Promise<TlsCertificateFact>;
  /**
   * Checks a password against the endpoint's shared secrets. One message for whatever is wrong with it.
   * @throws PolicyError `bad-credential` or `locked-out`.
   */
  password(
    endpoint: Endpoint,
    protocol: Protocol,
    username: string,
    password: Secret,
    sourceAddress: string,
  ): Promise<PasswordFact>;
}

/** What the verifier stands on. */
export interface CredentialDependencies {
  readonly store: Store;
  readonly shortLived: ShortLived;
  readonly authorities: AuthorityDirectory;
  readonly secretHash: SecretHash;
}

/** The verifier over the store. */
export function credentialVerifier(dependencies: CredentialDependencies): CredentialVerifier {
  return {
    tlsCertificate: (endpoint, chain) => verifyTlsCertificate(dependencies, endpoint, chain),
    password: (endpoint, protocol, username, password, sourceAddress) =>
      verifyPassword(dependencies, { endpoint, protocol, username, password, sourceAddress }),
  };
}

interface PresentedPassword {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  readonly username: string;
  readonly password: Secret;
  readonly sourceAddress: string;
}

async function verifyPassword(
  dependencies: CredentialDependencies,
  presented: PresentedPassword,
): Promise<PasswordFact> {
  const { store, shortLived, secretHash } = dependencies;
  const { endpoint, protocol, username, password, sourceAddress } = presented;
  const row = await findSecret(store, secretHash, password);
  if (row === undefined || !serves(row, presented, store.clock.now())) {
    // 160-bit secrets cannot be guessed: the lock-out only takes the cost of guessing off us, so a right one still passes.
    const failures = await shortLived.increment(
      `password-failures:${endpoint.id}:${sourceAddress}`,
      LOCK_OUT.windowSeconds,
    );
    if (failures > LOCK_OUT.attempts) {
      throw new PolicyError('locked-out', 'too many wrong passwords from this address', {
        retryAfterSeconds: LOCK_OUT.windowSeconds,
      });
    }
    throw new PolicyError('bad-credential', `the password is not valid for ${protocol} at this endpoint`);
  }
  return asVerified<PasswordFact>({
    kind: 'password',
    secretId: row.id,
    usage: row.usage,
    state: row.state === 'revoked' ? 'spent' : row.state,
    boundKey: row.bound_key ?? undefined,
    subject: row.subject ?? undefined,
    username,
  });
}

/** Whether a stored secret is one of this endpoint, for this user name, and still good for something. */
function serves(row: SharedSecretRow, { endpoint, username }: PresentedPassword, now: number): boolean {
  if (row.tenant !== endpoint.tenant || row.endpoint !== endpoint.id || row.state === 'revoked') return false;
  // A bound one-time secret outlives its end: its request may wait for an operator, and it admits nothing else.
  if (row.expires_at <= now && row.state === 'free') return false;
  return row.username === null || row.username === username;
}

async function verifyTlsCertificate(
  dependencies: CredentialDependencies,
  endpoint: Endpoint,
  chain: readonly Uint8Array[],
): Promise<TlsCertificateFact> {
  const [leafDer, ...rest] = chain;
  if (leafDer === undefined) throw new PolicyError('certificate-untrusted', 'no client certificate was presented');
  const leaf = decodeOrRefuse(leafDer);
  const fingerprint = hash('sha256', leafDer, 'hex');
  const own = await verifyOwn(dependencies, endpoint, leaf, fingerprint);
  if (own) return own;
  return verifyAnchored(dependencies, endpoint, leaf, fingerprint, rest);
}

/** A certificate of this tenant's own authorities: the path must hold, and the store must know it as active now. */
async function verifyOwn(
  { store, authorities }: CredentialDependencies,
  endpoint: Endpoint,
  leaf: Certificate,
  fingerprint: string,
): Promise<TlsCertificateFact | undefined> {
  const issuer = await authorities.issuerOf(endpoint.tenant, leaf);
  if (!issuer) return undefined;
  requirePath(leaf, issuer.chain.slice(0, -1), issuer.chain.slice(-1), store.clock.now());
  // CVE-2020-25276: the status is looked up at each request, not at the handshake.
  const status = await certificateStatus(store, endpoint.tenant, issuer.id, leaf);
  if (!status) throw new PolicyError('certificate-untrusted', 'the certificate presented is not known here');
  if (status.status === 'revoked') throw new PolicyError('certificate-revoked', 'the certificate presented is revoked');
  return asVerified<TlsCertificateFact>({
    kind: 'tls-certificate',
    certificate: leaf,
    fingerprint,
    origin: 'own',
    certificateId: status.id,
    profile: status.profile ?? undefined,
    deviceId: status.device ?? undefined,
    registrationAuthority: isRegistrationAuthority(endpoint, leaf, fingerprint),
  });
}

async function verifyAnchored(
  { store }: CredentialDependencies,
  endpoint: Endpoint,
  leaf: Certificate,
  fingerprint: string,
  intermediates: readonly Uint8Array[],
): Promise<TlsCertificateFact> {
  const trusted = await trustAnchors(store, endpoint.tenant);
  if (trusted.length === 0)
    throw new PolicyError('certificate-untrusted', 'the certificate presented leads to no anchor of this endpoint');
  const end = requirePath(
    leaf,
    intermediates.map(decodeOrRefuse),
    trusted.map((anchor) => anchor.certificate),
    store.clock.now(),
  );
  const purposes = trusted
    .filter(({ certificate }) => octetsEqual(certificate.der, end.der))
    .map(({ purpose }) => purpose);
  const anchoredForRa = purposes.includes('ra');
  return asVerified<TlsCertificateFact>({
    kind: 'tls-certificate',
    certificate: leaf,
    fingerprint,
    origin: purposes.includes('client') ? 'client-anchor' : 'ra-anchor',
    certificateId: undefined,
    profile: undefined,
    deviceId: undefined,
    // An id-kp-cmcRA of a foreign CA counts only where the administrator anchored that CA for this purpose.
    registrationAuthority: isListed(endpoint, fingerprint) || (anchoredForRa && claimsRegistrationAuthority(leaf)),
  });
}

interface TrustAnchor {
  readonly purpose: TrustAnchorRow['purpose'];
  readonly certificate: Certificate;
}

async function trustAnchors(store: Store, tenant: string): Promise<readonly TrustAnchor[]> {
  const rows = await store
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('trust_anchors')
    .select(['purpose', 'certificate'])
    .execute();
  return rows.map(({ purpose, certificate }) => ({ purpose, certificate: parseCertificate(certificate) }));
}

/** Validates the path and returns the anchor it ends at. */
function requirePath(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  anchors: readonly Certificate[],
  now: number,
): Certificate {
  const result = validatePath({
    leaf,
    intermediates,
    anchors,
    at: new Date(now),
    purpose: { extendedKeyUsage: [KEY_PURPOSE.clientAuth], keyUsage: ['digitalSignature'] },
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
