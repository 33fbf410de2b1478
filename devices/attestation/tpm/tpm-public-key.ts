import { encode } from '../../../core/asn1/codec.ts';
import { any, bitString, nullValue, oid, sequence, serialInteger } from '../../../core/asn1/schema.ts';
import type { CurveName } from '../../../core/x509/ec-curve.ts';
import { NAMED_CURVE, PUBLIC_KEY } from '../../../core/x509/oids.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import type { PublicArea } from './public-area.ts';

const subjectPublicKeyInfo = sequence('SubjectPublicKeyInfo', {
  algorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: any }),
  subjectPublicKey: bitString,
});
const rsaPublicKey = sequence('RSAPublicKey', { modulus: serialInteger, publicExponent: serialInteger });

const NULL = encode(nullValue, null);
const CURVE_OID: Readonly<Record<CurveName, string>> = {
  'P-256': NAMED_CURVE.secp256r1,
  'P-384': NAMED_CURVE.secp384r1,
  'P-521': NAMED_CURVE.secp521r1,
};

/** The SubjectPublicKeyInfo of a TPM's key, in the one DER that requests and certificates have it in (RFC 3279, RFC 5480). */
export function tpmPublicKey(area: PublicArea): SubjectPublicKeyInfo {
  return parseSubjectPublicKeyInfo(area.type === 'rsa' ? rsaKey(area) : ecKey(area));
}

function rsaKey({ modulus, exponent }: PublicArea & { type: 'rsa' }): Uint8Array {
  const key = encode(rsaPublicKey, { modulus: positive(modulus), publicExponent: positive(numberOctets(exponent)) });
  return encode(subjectPublicKeyInfo, {
    algorithm: { algorithm: PUBLIC_KEY.rsaEncryption, parameters: NULL },
    subjectPublicKey: { unusedBits: 0, bytes: key },
  });
}

function ecKey({ curve, x, y }: PublicArea & { type: 'ecc' }): Uint8Array {
  return encode(subjectPublicKeyInfo, {
    algorithm: { algorithm: PUBLIC_KEY.ecPublicKey, parameters: encode(oid, CURVE_OID[curve]) },
    subjectPublicKey: { unusedBits: 0, bytes: Uint8Array.of(0x04, ...x, ...y) },
  });
}

/** The octets of a DER INTEGER of this unsigned number without leading zeros. */
function positive(octets: Uint8Array): Uint8Array {
  return octets[0]! < 0x80 ? octets : Uint8Array.of(0, ...octets);
}

function numberOctets(value: number): Uint8Array {
  const hex = value.toString(16);
  return new Uint8Array(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
}
