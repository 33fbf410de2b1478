import { createPublicKey, type webcrypto } from 'node:crypto';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { cborBytes, CborError, cborInteger, cborMap, type CborMap, type CborValue } from '../cbor.ts';

/** The COSE_Key member of a `cnf` claim (RFC 8747 §3.1). */
const COSE_KEY = 1;

/** Labels and values of COSE keys (RFC 9053 §7, RFC 8230 §4). */
const KTY = 1;
const OKP = 1;
const EC2 = 2;
const RSA = 3;
const PRIVATE_MEMBERS: Readonly<Record<number, readonly number[]>> = {
  [OKP]: [-4],
  [EC2]: [-4],
  [RSA]: [-3, -4, -5, -6, -7, -8],
};
const CURVES: ReadonlyMap<number, string> = new Map([
  [1, 'P-256'],
  [2, 'P-384'],
  [3, 'P-521'],
]);
const ED25519 = 6;

/**
 * The public key in a `cnf` claim: a COSE_Key of kind EC2, OKP (Ed25519) or RSA. Other confirmations (a key identifier, an encrypted
 * key) name none that could be compared. @throws CborError
 */
export function confirmationKey(claim: CborValue): SubjectPublicKeyInfo {
  const confirmation = cborMap(claim, 'cnf');
  if (confirmation.size !== 1) throw new CborError('one member of cnf', `${confirmation.size}`);
  const key = cborMap(confirmation.get(COSE_KEY), 'COSE_Key of cnf');
  const kty = cborInteger(key.get(KTY), 'kty');
  if (PRIVATE_MEMBERS[kty]?.some((label) => key.has(label)) === true)
    throw new CborError('a public key', 'a private one');
  return publicKeyOf(jwkOf(kty, key));
}

function jwkOf(kty: number, key: CborMap): webcrypto.JsonWebKey {
  switch (kty) {
    case EC2:
      return { kty: 'EC', crv: curveOf(key), x: base64url(key, -2, 'x'), y: base64url(key, -3, 'y') };
    case OKP:
      if (key.get(-1) !== ED25519) throw new CborError('curve Ed25519', 'another');
      return { kty: 'OKP', crv: 'Ed25519', x: base64url(key, -2, 'x') };
    case RSA:
      return { kty: 'RSA', n: base64url(key, -1, 'n'), e: base64url(key, -2, 'e') };
    default:
      throw new CborError('kty EC2, OKP or RSA', `${kty}`);
  }
}

function curveOf(key: CborMap): string {
  const curve = CURVES.get(cborInteger(key.get(-1), 'crv'));
  if (curve !== undefined) return curve;
  throw new CborError('curve P-256, P-384 or P-521', 'another');
}

// OpenSSL checks that a point lies on its curve; core/x509 that the key is of a kind that certificates are issued for.
function publicKeyOf(jwk: webcrypto.JsonWebKey): SubjectPublicKeyInfo {
  let der: Uint8Array;
  try {
    der = createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' });
  } catch {
    throw new CborError('a public key in cnf', 'numbers that are none');
  }
  try {
    return parseSubjectPublicKeyInfo(new Uint8Array(der));
  } catch (error) {
    if (error instanceof Asn1Error) throw new CborError('a supported key in cnf', error.message);
    throw error;
  }
}

function base64url(key: CborMap, label: number, what: string): string {
  return Buffer.from(cborBytes(key.get(label), what)).toString('base64url');
}
