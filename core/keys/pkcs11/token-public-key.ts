import { decode, encode } from '../../asn1/codec.ts';
import { any, bitString, octetString, oid, optional, sequence, serialInteger } from '../../asn1/schema.ts';
import { type CurveName, coordinateOctets } from '../../x509/ec-curve.ts';
import { NAMED_CURVE, PUBLIC_KEY } from '../../x509/oids.ts';

const subjectPublicKeyInfo = sequence('SubjectPublicKeyInfo', {
  algorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  subjectPublicKey: bitString,
});
const rsaPublicKey = sequence('RSAPublicKey', { modulus: serialInteger, publicExponent: serialInteger });

const DER_NULL = Uint8Array.of(0x05, 0x00);
const UNCOMPRESSED = 0x04;
const ED25519_OCTETS = 32;

/** OIDs of the named curves, and their DER: the value of CKA_EC_PARAMS (PKCS#11 3.0 §2.3.3). */
const CURVES: readonly { readonly name: CurveName; readonly parameters: Uint8Array }[] = [
  { name: 'P-256', parameters: encode(oid, NAMED_CURVE.secp256r1) },
  { name: 'P-384', parameters: encode(oid, NAMED_CURVE.secp384r1) },
  { name: 'P-521', parameters: encode(oid, NAMED_CURVE.secp521r1) },
];

/** CKA_EC_PARAMS of a curve. */
export function curveParameters(name: CurveName): Uint8Array {
  return CURVES.find((curve) => curve.name === name)!.parameters;
}

/** SubjectPublicKeyInfo from CKA_MODULUS and CKA_PUBLIC_EXPONENT: unsigned, big endian, leading zeros allowed. */
export function rsaSpki(modulus: Uint8Array, publicExponent: Uint8Array): Uint8Array {
  const key = { modulus: positiveInteger(modulus), publicExponent: positiveInteger(publicExponent) };
  return spki(PUBLIC_KEY.rsaEncryption, DER_NULL, encode(rsaPublicKey, key));
}

/**
 * SubjectPublicKeyInfo from CKA_EC_PARAMS and CKA_EC_POINT. PKCS#11 2.40 §2.3.3 wraps the point in an OCTET STRING; some
 * tokens hand it out bare, and both are taken. `undefined` for other curves and forms.
 */
export function ecSpki(parameters: Uint8Array, ecPoint: Uint8Array): Uint8Array | undefined {
  const curve = CURVES.find((candidate) => Buffer.compare(candidate.parameters, parameters) === 0);
  if (curve === undefined) return undefined;
  const point = unwrapPoint(ecPoint, 1 + 2 * coordinateOctets(curve.name));
  return point?.[0] === UNCOMPRESSED ? spki(PUBLIC_KEY.ecPublicKey, curve.parameters, point) : undefined;
}

/** SubjectPublicKeyInfo from the CKA_EC_POINT of an Ed25519 key, wrapped or bare (RFC 8410 §4). */
export function ed25519Spki(ecPoint: Uint8Array): Uint8Array | undefined {
  const point = unwrapPoint(ecPoint, ED25519_OCTETS);
  return point === undefined ? undefined : spki(PUBLIC_KEY.ed25519, undefined, point);
}

/** SubjectPublicKeyInfo from the CKA_VALUE of an ML-DSA public key (RFC 9881 §4). */
export function mlDsaSpki(parameterSet: 44 | 65 | 87, value: Uint8Array): Uint8Array {
  return spki(PUBLIC_KEY[`mlDsa${parameterSet}`], undefined, value);
}

function spki(algorithm: string, parameters: Uint8Array | undefined, bytes: Uint8Array): Uint8Array {
  const identifier = parameters === undefined ? { algorithm } : { algorithm, parameters };
  return encode(subjectPublicKeyInfo, { algorithm: identifier, subjectPublicKey: { unusedBits: 0, bytes } });
}

function unwrapPoint(ecPoint: Uint8Array, octets: number): Uint8Array | undefined {
  if (ecPoint.length === octets) return ecPoint;
  const point = decodeOctetString(ecPoint);
  return point?.length === octets ? point : undefined;
}

function decodeOctetString(der: Uint8Array): Uint8Array | undefined {
  try {
    return decode(octetString, der);
  } catch {
    return undefined;
  }
}

function positiveInteger(unsigned: Uint8Array): Uint8Array {
  const start = unsigned.findIndex((octet) => octet !== 0);
  const digits = start === -1 ? Uint8Array.of(0) : unsigned.subarray(start);
  return digits[0]! < 0x80 ? digits : Uint8Array.from([0, ...digits]);
}
