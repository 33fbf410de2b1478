import type { PublicKeyAlgorithm } from '../x509/public-key.ts';
import type { KeyUsageBit } from '../x509/extensions.ts';
import type { GeneralName } from '../x509/general-name.ts';
import { KEY_PURPOSE } from '../x509/oids.ts';

/** The named curves certificates are issued for. */
export type EcCurve = 'P-256' | 'P-384' | 'P-521';

/** Which keys a profile certifies; what is absent is refused. */
export interface KeyRules {
  /** Modulus bounds in bits. */
  readonly rsa?: { readonly minBits: number; readonly maxBits: number };
  readonly ec: readonly EcCurve[];
  readonly edwards: readonly ('ed25519' | 'ed448')[];
  /** ML-DSA parameter sets (FIPS 204); never accepted unless listed. */
  readonly mlDsa: readonly (44 | 65 | 87)[];
}

/** Whether a key that was certified before may be certified again. */
export type KeyReuse = 'allowed' | 'renewal' | 'refused';

/** What an administrator writes about the certificates of one kind of device. */
export interface ProfileSettings {
  /** Seconds from now to notAfter, cut to the issuer's own notAfter. */
  readonly validitySeconds: number;
  /** Seconds by which notBefore lies in the past, for devices whose clock is slow. */
  readonly backdateSeconds: number;
  readonly keys: KeyRules;
  readonly keyReuse: KeyReuse;
  readonly subject: {
    /** Attribute types (dotted OIDs) a subject may hold; `any` does not look. */
    readonly attributes: 'any' | readonly string[];
    /** Whether a request without a subject is refused (it needs a subjectAltName then). */
    readonly required: boolean;
  };
  readonly subjectAltName: {
    readonly kinds: readonly GeneralName['kind'][];
    readonly max: number;
    /** DNS names must end in one of these, compared without case; absent: any. */
    readonly dnsSuffixes?: readonly string[];
  };
  /** keyUsage of every certificate; absent: what the kind of key allows. */
  readonly keyUsage?: readonly KeyUsageBit[];
  /** OIDs of the extended key usages every certificate gets. */
  readonly extendedKeyUsage: readonly string[];
  /** OIDs of the certificate policies every certificate gets. */
  readonly certificatePolicies: readonly string[];
  /** Whether certificates say that their own status need not be asked for: OCSP responders (RFC 6960 §4.2.2.2.1). */
  readonly ocspNoCheck?: boolean;
}

/** A stored profile of one tenant. */
export interface Profile extends ProfileSettings {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly revision: number;
}

const DAY = 86_400;

/** Keys any current device can make and any current peer can verify. */
export const DEFAULT_KEY_RULES: KeyRules = {
  rsa: { minBits: 2048, maxBits: 4096 },
  ec: ['P-256', 'P-384', 'P-521'],
  edwards: ['ed25519'],
  mlDsa: [],
};

/** The profile of the first tenant: a router's own identity, as client and as server, for a year. */
export const DEVICE_PROFILE: ProfileSettings = {
  validitySeconds: 365 * DAY,
  // Devices without a battery boot years back, but those with NTP are off by minutes at most.
  backdateSeconds: 300,
  keys: DEFAULT_KEY_RULES,
  keyReuse: 'allowed',
  subject: { attributes: 'any', required: false },
  subjectAltName: {
    kinds: ['dnsName', 'ipAddress', 'uri', 'rfc822Name', 'otherName', 'directoryName', 'registeredId'],
    max: 32,
  },
  extendedKeyUsage: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.serverAuth],
  certificatePolicies: [],
};

/** A registration authority (factory gateway): enrols other subjects of its tenant (RFC 6402 id-kp-cmcRA). */
export const REGISTRATION_AUTHORITY_PROFILE: ProfileSettings = {
  ...DEVICE_PROFILE,
  subject: { attributes: 'any', required: true },
  extendedKeyUsage: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA],
};

/**
 * Attestation keys of TPMs (TCG EK and AK profiles, WebAuthn §8.3.1): no subject, the TPM in a critical subjectAltName, for a month.
 * They are restricted keys: RSA of 2048 bits or EC, and good for attestations alone.
 */
export const ATTESTATION_KEY_PROFILE: ProfileSettings = {
  ...DEVICE_PROFILE,
  validitySeconds: 30 * DAY,
  keys: { ...DEFAULT_KEY_RULES, edwards: [] },
  subject: { attributes: [], required: false },
  subjectAltName: { kinds: ['directoryName', 'otherName', 'uri'], max: 4 },
  keyUsage: ['digitalSignature'],
  extendedKeyUsage: [KEY_PURPOSE.tcgAkCertificate],
};

/** A key in words: `RSA 2048`, `EC P-256`, `Ed25519`, `ML-DSA-65`. */
export function describeKey(algorithm: PublicKeyAlgorithm): string {
  switch (algorithm.kind) {
    case 'rsa':
      return `RSA ${algorithm.bits}`;
    case 'ec':
      return `EC ${algorithm.curve}`;
    case 'ed25519':
      return 'Ed25519';
    case 'ed448':
      return 'Ed448';
    case 'ml-dsa':
      return `ML-DSA-${algorithm.parameterSet}`;
  }
}

/** Whether the rules admit a key of this kind and size. */
export function isAllowedKey(rules: KeyRules, algorithm: PublicKeyAlgorithm): boolean {
  switch (algorithm.kind) {
    case 'rsa':
      return rules.rsa !== undefined && algorithm.bits >= rules.rsa.minBits && algorithm.bits <= rules.rsa.maxBits;
    case 'ec':
      return rules.ec.includes(algorithm.curve);
    case 'ed25519':
    case 'ed448':
      return rules.edwards.includes(algorithm.kind);
    case 'ml-dsa':
      return rules.mlDsa.includes(algorithm.parameterSet);
  }
}
