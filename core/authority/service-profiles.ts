import type { KeyAlgorithm } from '../keys/key-algorithm.ts';
import { nameFromText, type Name } from '../x509/name.ts';
import { KEY_PURPOSE } from '../x509/oids.ts';
import type { PublicKeyAlgorithm } from '../x509/public-key.ts';
import { DEVICE_PROFILE, type ProfileSettings } from './profile.ts';

/** What Muster holds a key and a certificate of an authority for. */
export type ServicePurpose =
  /** SCEP's registration authority with one key for both uses. */
  | 'scep-ra'
  | 'scep-ra-signing'
  | 'scep-ra-encryption'
  /** Protects CMP answers. */
  | 'cmp'
  | 'ocsp'
  /** Signs the keys made here for devices. */
  | 'key-generation';

/** What the identities of one purpose are made of. */
export interface ServiceProfile {
  readonly subject: Name;
  readonly usage: 'sign' | 'decrypt' | 'sign-and-decrypt';
  /** The kind of key, for an issuer with a key of this kind. */
  algorithm(issuer: PublicKeyAlgorithm): KeyAlgorithm;
  readonly profile: ProfileSettings;
  /** A successor is made this many seconds before notAfter. */
  readonly renewBeforeSeconds: number;
}

const DAY = 86_400;
const YEAR = 365 * DAY;

/** Nothing of a device: no purpose that would let it pass for one at a TLS door. */
const SERVICE: ProfileSettings = {
  ...DEVICE_PROFILE,
  keyReuse: 'refused',
  subject: { attributes: 'any', required: true },
  extendedKeyUsage: [],
};

/**
 * The purposes with their profiles. SCEP's keys are RSA-2048 whatever the CA's are: its devices encrypt to nothing else, and
 * old ones know no longer keys. CMP and key packages sign with P-256. OCSP answers are read by whoever verified the chain, and
 * so are signed with a key of the chain's kind.
 */
export const SERVICE_PROFILES: Readonly<Record<ServicePurpose, ServiceProfile>> = {
  'scep-ra': scep('SCEP registration authority', 'sign-and-decrypt', ['digitalSignature', 'keyEncipherment']),
  'scep-ra-signing': scep('SCEP signing', 'sign', ['digitalSignature']),
  'scep-ra-encryption': scep('SCEP encryption', 'decrypt', ['keyEncipherment']),
  // RFC 9810 §4.5: id-kp-cmcCA marks who answers for a CA; RFC 9483 §4.1.6: id-kp-cmKGA whose word counts for generated keys.
  cmp: signing('CMP responses', [KEY_PURPOSE.cmcCA, KEY_PURPOSE.cmKGA]),
  ocsp: {
    subject: nameFromText('CN=OCSP responses,O=Muster'),
    usage: 'sign',
    algorithm: ({ kind }) => (kind === 'rsa' ? 'rsa-2048' : 'ec-p256'),
    // RFC 6960 §4.2.2.2.1: nobody asks about a responder with nocheck, so a lost key ends with its short life.
    profile: {
      ...SERVICE,
      validitySeconds: 14 * DAY,
      keyUsage: ['digitalSignature'],
      extendedKeyUsage: [KEY_PURPOSE.ocspSigning],
      ocspNoCheck: true,
    },
    renewBeforeSeconds: 7 * DAY,
  },
  'key-generation': signing('Key generation', [KEY_PURPOSE.cmKGA]),
};

function scep(
  name: string,
  usage: ServiceProfile['usage'],
  keyUsage: NonNullable<ProfileSettings['keyUsage']>,
): ServiceProfile {
  return {
    subject: nameFromText(`CN=${name},O=Muster`),
    usage,
    algorithm: () => 'rsa-2048',
    profile: { ...SERVICE, validitySeconds: 2 * YEAR, keyUsage },
    // Devices keep the certificate they got by GetCACert for months and encrypt to it.
    renewBeforeSeconds: 180 * DAY,
  };
}

function signing(name: string, extendedKeyUsage: readonly string[]): ServiceProfile {
  return {
    subject: nameFromText(`CN=${name},O=Muster`),
    usage: 'sign',
    algorithm: () => 'ec-p256',
    profile: { ...SERVICE, validitySeconds: 2 * YEAR, keyUsage: ['digitalSignature'], extendedKeyUsage },
    renewBeforeSeconds: 60 * DAY,
  };
}
