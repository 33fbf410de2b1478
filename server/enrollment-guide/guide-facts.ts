import type { KeyRules } from '../../core/authority/profile.ts';
import type { Authenticator, Endpoint } from '../../core/enrollment/endpoint.ts';
import { printable } from '../../core/enrollment/excerpt.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { type Fingerprints, fingerprintsOf } from '../../core/x509/fingerprints.ts';
import { nameToText } from '../../core/x509/name.ts';
import { encodePem } from '../../core/x509/pem.ts';

/** The protocols a guide speaks of, in the order it does. */
export const GUIDE_PROTOCOLS = ['est', 'scep', 'cmp', 'acme'] as const;
export type GuideProtocol = (typeof GUIDE_PROTOCOLS)[number];

/** Where devices reach the listeners, without a trailing slash. */
export interface DeviceUrls {
  readonly plain: string;
  readonly mtls: string;
  readonly tls: string;
}

/** The server as devices meet it. */
export interface ServerFacts {
  readonly urls: DeviceUrls;
  readonly tlsRoot: Uint8Array;
}

/** A protocol that the endpoint is open for. */
export interface Door {
  readonly protocol: GuideProtocol;
  /** Of this endpoint: what the protocol's own path ends in is still to come. */
  readonly url: string;
  readonly authenticators: readonly Authenticator[];
  /**
   * What a device without a certificate proves itself with: a password, a MAC under a secret, a key that an ACME account is bound
   * to, or nothing that is typed.
   */
  readonly secret: 'password' | 'mac' | 'eab' | undefined;
}

/** A certificate authority as a device is told of it. */
export interface AuthorityFacts {
  /** RFC 4514, without control characters. */
  readonly subject: string;
  readonly pem: string;
  readonly fingerprints: Fingerprints;
}

/** What a guide may say of an endpoint: nothing of it is secret. */
export interface GuideFacts {
  readonly label: string;
  /** Whether paths without a label reach it. */
  readonly isDefault: boolean;
  readonly urls: DeviceUrls;
  readonly doors: Readonly<Partial<Record<GuideProtocol, Door>>>;
  readonly issuing: AuthorityFacts;
  /** The issuing authority itself where nothing stands above it. */
  readonly root: AuthorityFacts;
  /** What the server's own TLS certificates lead to: another root where the endpoint is not the first tenant's. */
  readonly tlsRoot: AuthorityFacts;
  readonly keys: KeyRules;
  /** Where devices get what evidence must hold, and show it before they enrol; empty where the endpoint asks for none. */
  readonly evidence: { readonly nonce?: string; readonly frontDoor?: string };
}

const PASSWORDS: readonly Authenticator[] = ['password', 'static-password', 'derived-password', 'webhook'];

/**
 * The facts of an endpoint.
 *
 * @param chain certificates of its authority in DER: its own first, the root's last
 * @param server where devices reach it, and the root of its TLS certificates in DER
 */
export function guideFacts(endpoint: Endpoint, chain: readonly Uint8Array[], server: ServerFacts): GuideFacts {
  const { urls, tlsRoot } = server;
  const { label, isDefault, protocols, keyRules: keys } = endpoint;
  const url: Record<GuideProtocol, string> = {
    est: `${urls.mtls}/.well-known/est/${label}`,
    scep: `${urls.plain}/scep/${label}`,
    cmp: `${urls.plain}/.well-known/cmp/p/${label}`,
    acme: `${urls.tls}/acme/${label}/directory`,
  };
  const doors = GUIDE_PROTOCOLS.flatMap((protocol) => {
    const authenticators = protocols[protocol]?.authenticators;
    return authenticators === undefined
      ? []
      : [[protocol, { protocol, url: url[protocol], authenticators, secret: secretOf(authenticators) }] as const];
  });
  const [issuing, root = issuing] = [chain.at(0), chain.at(-1)].map((der) => authorityFacts(der!));
  const authorities = { issuing: issuing!, root: root!, tlsRoot: authorityFacts(tlsRoot) };
  const evidence = evidenceUrls(endpoint, urls);
  return { label, isDefault, urls, doors: Object.fromEntries(doors), ...authorities, keys, evidence };
}

function evidenceUrls({ label, protocols, attestation }: Endpoint, urls: DeviceUrls): GuideFacts['evidence'] {
  const frontDoor = `${urls.tls}/attestation/${label}`;
  const byEst = protocols.est !== undefined && protocols.est.freshness !== 'exporter';
  const nonce = byEst ? `${urls.mtls}/.well-known/est/${label}/nonce` : `${frontDoor}/nonce`;
  return {
    ...(attestation.mode !== 'off' && (byEst || protocols.attestation !== undefined) && { nonce }),
    ...(protocols.attestation !== undefined && { frontDoor }),
  };
}

/** Whether the endpoint's authority stands below a root that devices have to be given apart. */
export function hasRootOfItsOwn({ issuing, root }: GuideFacts): boolean {
  return !isSame(issuing, root);
}

/** Whether two authorities have one certificate. */
export function isSame(one: AuthorityFacts, other: AuthorityFacts): boolean {
  return one.fingerprints.sha256 === other.fingerprints.sha256;
}

/** The RSA modulus to ask for: the shortest that the profile certifies; what every device can make where it has no say. */
export function rsaBits({ keys }: GuideFacts): number {
  return keys.rsa?.minBits ?? 2048;
}

/** The kinds of key that are certified, in words. */
export function keyText({ rsa, ec, edwards, mlDsa }: KeyRules): string {
  const kinds = [
    ...(rsa === undefined ? [] : [`RSA of ${rsa.minBits} to ${rsa.maxBits} bits`]),
    ...ec.map((curve) => `EC ${curve}`),
    ...edwards.map((kind) => (kind === 'ed25519' ? 'Ed25519' : 'Ed448')),
    ...mlDsa.map((set) => `ML-DSA-${set}`),
  ];
  return kinds.join(', ') || 'none';
}

function secretOf(authenticators: readonly Authenticator[]): Door['secret'] {
  if (authenticators.includes('mac')) return 'mac';
  if (authenticators.includes('eab')) return 'eab';
  return authenticators.some((one) => PASSWORDS.includes(one)) ? 'password' : undefined;
}

function authorityFacts(der: Uint8Array): AuthorityFacts {
  return {
    subject: printable(nameToText(parseCertificate(der).subject)),
    pem: encodePem('CERTIFICATE', der).trimEnd(),
    fingerprints: fingerprintsOf(der),
  };
}
