import { createHash, hash } from 'node:crypto';
import { within } from '../asn1/asn1-error.ts';
import { decode } from '../asn1/codec.ts';
import { any, bitString, type Infer, oid, optional, sequence, serialInteger } from '../asn1/schema.ts';
import { type CurveName, coordinateOctets } from './ec-curve.ts';
import { keepingDer } from './mapped-schema.ts';
import { octetsEqual, toHex } from './octets.ts';
import { NAMED_CURVE, PUBLIC_KEY } from './oids.ts';
import { wholeOctets } from './whole-octets.ts';
import { X509Error } from './x509-error.ts';

/** What kind of key a SubjectPublicKeyInfo holds: the closed list of the kinds that Muster can verify with. */
export type PublicKeyAlgorithm =
  | { readonly kind: 'rsa'; readonly bits: number; readonly exponent: number }
  | { readonly kind: 'ec'; readonly curve: CurveName }
  | { readonly kind: 'ed25519' }
  | { readonly kind: 'ed448' }
  | { readonly kind: 'ml-dsa'; readonly parameterSet: 44 | 65 | 87 };

/** A public key (RFC 5280 §4.1.2.7): its octets as they came, its kind, and the contents of its BIT STRING. */
export interface SubjectPublicKeyInfo {
  readonly der: Uint8Array;
  readonly algorithm: PublicKeyAlgorithm;
  /** RSAPublicKey in DER, an uncompressed point, or the raw key of Ed25519, Ed448 and ML-DSA. */
  readonly keyBytes: Uint8Array;
}

/** RSA moduli outside are refused: shorter ones are broken, longer ones only make verification slow. */
const RSA_BITS = { min: 1024, max: 8192 };
/** NIST SP 800-89 §5.3.3 allows more; no client uses more, and the bound keeps verification cheap. */
const RSA_EXPONENT = { min: 3, max: 2 ** 32 - 1 };
/** RFC 5480 §2.2: the first octet of a point; 0x02 and 0x03 mark compressed ones. */
const UNCOMPRESSED = 0x04;

/** Paths of faults begin with a dot: they continue that of the certificate or request around the key. */
const RSA_KEY = '.subjectPublicKey.RSAPublicKey';

const wireSchema = sequence('SubjectPublicKeyInfo', {
  algorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  subjectPublicKey: bitString,
});
const rsaPublicKey = sequence('RSAPublicKey', { modulus: serialInteger, publicExponent: serialInteger });

/** The schema of a SubjectPublicKeyInfo: decoding checks the key and keeps the octets, encoding writes them unchanged. */
export const subjectPublicKeyInfoSchema = keepingDer(
  wireSchema,
  ({ algorithm, subjectPublicKey }, der): SubjectPublicKeyInfo => {
    const keyBytes = wholeOctets(subjectPublicKey, '.subjectPublicKey');
    return { der, algorithm: keyAlgorithm(algorithm.algorithm, algorithm.parameters, keyBytes), keyBytes };
  },
);

/**
 * Decodes and checks a public key. Throws Asn1Error on other DER, and X509Error on algorithms outside the list, explicit or
 * unknown curves (RFC 5480 §2.1.1), compressed points, absurd RSA parameters and keys of the wrong length.
 */
export function parseSubjectPublicKeyInfo(der: Uint8Array): SubjectPublicKeyInfo {
  return decode(subjectPublicKeyInfoSchema, der);
}

/** Key identifier by RFC 5280 §4.2.1.2 method (1): SHA-1 of the BIT STRING's contents, 20 octets. */
export function keyIdentifier(publicKey: SubjectPublicKeyInfo): Uint8Array {
  return createHash('sha1').update(publicKey.keyBytes).digest();
}

/** SHA-256 of the whole SubjectPublicKeyInfo in lower-case hex: the name of a key throughout Muster. */
export function spkiSha256(publicKey: SubjectPublicKeyInfo): string {
  return hash('sha256', publicKey.der, 'hex');
}

/** Whether two SubjectPublicKeyInfo are the same octet by octet. */
export function publicKeysEqual(a: SubjectPublicKeyInfo, b: SubjectPublicKeyInfo): boolean {
  return octetsEqual(a.der, b.der);
}

/** The modulus of an RSA key, big endian without sign octet. The key must be of kind `rsa`. */
export function rsaModulus(publicKey: SubjectPublicKeyInfo): Uint8Array {
  return magnitude(decodeRsaPublicKey(publicKey.keyBytes).modulus, 'modulus');
}

function keyAlgorithm(algorithm: string, parameters: Uint8Array | undefined, keyBytes: Uint8Array): PublicKeyAlgorithm {
  switch (algorithm) {
    case PUBLIC_KEY.rsaEncryption:
      return rsaAlgorithm(parameters, keyBytes);
    case PUBLIC_KEY.ecPublicKey:
      return ecAlgorithm(parameters, keyBytes);
    case PUBLIC_KEY.ed25519:
      return fixedLength({ kind: 'ed25519' }, 32, parameters, keyBytes);
    case PUBLIC_KEY.ed448:
      return fixedLength({ kind: 'ed448' }, 57, parameters, keyBytes);
    // FIPS 204 table 2: sizes of public keys.
    case PUBLIC_KEY.mlDsa44:
      return fixedLength({ kind: 'ml-dsa', parameterSet: 44 }, 1312, parameters, keyBytes);
    case PUBLIC_KEY.mlDsa65:
      return fixedLength({ kind: 'ml-dsa', parameterSet: 65 }, 1952, parameters, keyBytes);
    case PUBLIC_KEY.mlDsa87:
      return fixedLength({ kind: 'ml-dsa', parameterSet: 87 }, 2592, parameters, keyBytes);
    default:
      throw new X509Error('.algorithm', 'RSA, EC, Ed25519, Ed448 or ML-DSA', algorithm);
  }
}

function rsaAlgorithm(parameters: Uint8Array | undefined, keyBytes: Uint8Array): PublicKeyAlgorithm {
  // RFC 3279 §2.3.1: the parameters MUST be NULL.
  if (parameters === undefined || parameters[0] !== 0x05)
    throw new X509Error('.algorithm', 'NULL parameters', 'others');
  const key = decodeRsaPublicKey(keyBytes);
  const modulus = magnitude(key.modulus, 'modulus');
  const bits = 8 * modulus.length - Math.clz32(modulus[0]!) + 24;
  if (bits < RSA_BITS.min || bits > RSA_BITS.max) {
    throw new X509Error(`${RSA_KEY}.modulus`, `${RSA_BITS.min} to ${RSA_BITS.max} bits`, `${bits} bits`);
  }
  if (modulus.at(-1)! % 2 === 0) throw new X509Error(`${RSA_KEY}.modulus`, 'an odd number', 'an even one');
  return { kind: 'rsa', bits, exponent: rsaExponent(magnitude(key.publicExponent, 'publicExponent')) };
}

function decodeRsaPublicKey(keyBytes: Uint8Array): Infer<typeof rsaPublicKey> {
  try {
    return decode(rsaPublicKey, keyBytes);
  } catch (error) {
    throw within(error, '.subjectPublicKey.');
  }
}

function rsaExponent(octets: Uint8Array): number {
  const exponent = octets.length > 4 ? Number.POSITIVE_INFINITY : octets.reduce((sum, octet) => sum * 256 + octet, 0);
  if (exponent < RSA_EXPONENT.min || exponent > RSA_EXPONENT.max || exponent % 2 === 0) {
    const expected = `an odd number from ${RSA_EXPONENT.min} to ${RSA_EXPONENT.max}`;
    throw new X509Error(`${RSA_KEY}.publicExponent`, expected, `0x${toHex(octets.subarray(0, 16))}`);
  }
  return exponent;
}

function ecAlgorithm(parameters: Uint8Array | undefined, keyBytes: Uint8Array): PublicKeyAlgorithm {
  const curve = namedCurve(parameters);
  if (keyBytes[0] === 0x02 || keyBytes[0] === 0x03) {
    throw new X509Error('.subjectPublicKey.ECPoint', 'an uncompressed point', 'a compressed one');
  }
  const octets = 1 + 2 * coordinateOctets(curve);
  if (keyBytes[0] !== UNCOMPRESSED || keyBytes.length !== octets) {
    throw new X509Error(
      '.subjectPublicKey.ECPoint',
      `an uncompressed point of ${octets} octets`,
      `${keyBytes.length} octets`,
    );
  }
  return { kind: 'ec', curve };
}

function namedCurve(parameters: Uint8Array | undefined): CurveName {
  // RFC 5480 §2.1.1: implicitCurve and specifiedCurve MUST NOT be used.
  if (parameters === undefined || parameters[0] !== 0x06)
    throw new X509Error('.algorithm.ECParameters', 'a named curve', 'other parameters');
  const curve = decode(oid, parameters);
  switch (curve) {
    case NAMED_CURVE.secp256r1:
      return 'P-256';
    case NAMED_CURVE.secp384r1:
      return 'P-384';
    case NAMED_CURVE.secp521r1:
      return 'P-521';
    default:
      throw new X509Error('.algorithm.ECParameters', 'P-256, P-384 or P-521', curve);
  }
}

function fixedLength(
  algorithm: PublicKeyAlgorithm,
  octets: number,
  parameters: Uint8Array | undefined,
  keyBytes: Uint8Array,
): PublicKeyAlgorithm {
  // RFC 8410 §3 and RFC 9881 §2: the parameters MUST be absent.
  if (parameters !== undefined) throw new X509Error('.algorithm', 'no parameters', 'some');
  if (keyBytes.length === octets) return algorithm;
  throw new X509Error('.subjectPublicKey', `${octets} octets for ${algorithm.kind}`, `${keyBytes.length} octets`);
}

function magnitude(octets: Uint8Array, field: string): Uint8Array {
  if (octets[0]! >= 0x80) throw new X509Error(`${RSA_KEY}.${field}`, 'a positive number', 'a negative one');
  return octets[0] === 0 ? octets.subarray(1) : octets;
}
