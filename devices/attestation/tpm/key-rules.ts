import type { PublicKeyAlgorithm } from '../../../core/x509/public-key.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { ObjectAttribute } from './object-attributes.ts';
import type { PublicArea } from './public-area.ts';

/** A rule about the attributes of a key: what must be set or clear, and the code where it is not. */
interface AttributeRule {
  readonly attribute: ObjectAttribute;
  readonly set: boolean;
  readonly code: FindingCode;
}

/**
 * What makes a key an attestation key. `restricted` is the heart of it: such a key signs nothing from outside that looks like an
 * attestation, so what it signed, a TPM made.
 */
const ATTESTATION_KEY: readonly AttributeRule[] = [
  { attribute: 'fixedTPM', set: true, code: 'ak-exportable' },
  { attribute: 'fixedParent', set: true, code: 'ak-exportable' },
  { attribute: 'sensitiveDataOrigin', set: true, code: 'ak-not-generated' },
  { attribute: 'restricted', set: true, code: 'ak-not-restricted' },
  { attribute: 'sign', set: true, code: 'ak-not-signing' },
  { attribute: 'decrypt', set: false, code: 'ak-not-signing' },
];

/** What a key of a certificate must be: made in the TPM, bound to it, and able to sign what is asked of it. */
const CERTIFIED_KEY: readonly AttributeRule[] = [
  { attribute: 'fixedTPM', set: true, code: 'key-exportable' },
  { attribute: 'fixedParent', set: true, code: 'key-exportable' },
  { attribute: 'sensitiveDataOrigin', set: true, code: 'key-not-generated' },
  { attribute: 'restricted', set: false, code: 'key-restricted' },
  { attribute: 'sign', set: true, code: 'key-not-signing' },
];

const MIN_RSA_BITS = 2048;

/** Refuses a key that is no attestation key. Throws EvidenceFault `ak-…`, `tpm-sha1`. */
export function checkAttestationKey(area: PublicArea): void {
  checkAttributes(area, ATTESTATION_KEY);
  if (area.type === 'rsa' && area.keyBits < MIN_RSA_BITS) throw tooShort('ak-too-weak', area.keyBits);
  if (area.scheme !== undefined && 'hash' in area.scheme && area.scheme.hash === 'sha1') {
    throw new EvidenceFault('tpm-sha1', 'the attestation key signs with SHA-1');
  }
}

/** Refuses a key that a certificate must not be given. Throws EvidenceFault `key-…`. */
export function checkCertifiedKey(area: PublicArea): void {
  checkAttributes(area, CERTIFIED_KEY);
  if (area.type === 'rsa' && area.keyBits < MIN_RSA_BITS) throw tooShort('key-too-weak', area.keyBits);
}

/** Whether a bare public key is long enough to attest with. */
export function isStrongEnough(algorithm: PublicKeyAlgorithm): boolean {
  return algorithm.kind === 'ec' || (algorithm.kind === 'rsa' && algorithm.bits >= MIN_RSA_BITS);
}

/** What of a certified key's attributes an admission rule may ask for. */
export function keyClaims({ attributes, authPolicy }: PublicArea): Readonly<Record<string, boolean>> {
  return {
    'key-user-with-auth': attributes.has('userWithAuth'),
    'key-has-policy': authPolicy.length > 0,
    'key-decrypts': attributes.has('decrypt'),
    'key-no-da': attributes.has('noDA'),
  };
}

function checkAttributes({ attributes }: PublicArea, rules: readonly AttributeRule[]): void {
  const broken = rules.find(({ attribute, set }) => attributes.has(attribute) !== set);
  if (broken === undefined) return;
  throw new EvidenceFault(broken.code, `objectAttributes: ${broken.attribute} is ${broken.set ? 'clear' : 'set'}`);
}

function tooShort(code: FindingCode, bits: number): EvidenceFault {
  return new EvidenceFault(code, `RSA of ${bits} bits, at least ${MIN_RSA_BITS} are asked for`);
}
