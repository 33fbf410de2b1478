import { constants, createPublicKey, type KeyObject, verify, type VerifyKeyObjectInput } from 'node:crypto';
import { any, type Schema } from '../asn1/schema.ts';
import { mapped } from './mapped-schema.ts';
import type { PublicKeyAlgorithm, SubjectPublicKeyInfo } from './public-key.ts';
import { fromHex, toHex } from './octets.ts';
import { X509Error } from './x509-error.ts';

/** What an algorithm asks of the key and of the verifier; `hash` in the names of node:crypto. */
export type SignatureParameters =
  | { readonly key: 'ec'; readonly hash: HashName }
  | { readonly key: 'rsa'; readonly padding: 'pkcs1' | 'pss'; readonly hash: HashName }
  | { readonly key: 'ed25519' | 'ed448' }
  | { readonly key: 'ml-dsa'; readonly parameterSet: 44 | 65 | 87 };

/** Hash functions by their names in node:crypto. */
export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/**
 * Every signature algorithm Muster verifies, with its parameters: RFC 5758, RFC 4055, RFC 8410, RFC 9881. The two with SHA-1
 * are verified only where a caller asks for it, and are never used to sign.
 */
export const SIGNATURE_ALGORITHMS = {
  'ecdsa-with-SHA256': { key: 'ec', hash: 'sha256' },
  'ecdsa-with-SHA384': { key: 'ec', hash: 'sha384' },
  'ecdsa-with-SHA512': { key: 'ec', hash: 'sha512' },
  sha256WithRSAEncryption: { key: 'rsa', padding: 'pkcs1', hash: 'sha256' },
  sha384WithRSAEncryption: { key: 'rsa', padding: 'pkcs1', hash: 'sha384' },
  sha512WithRSAEncryption: { key: 'rsa', padding: 'pkcs1', hash: 'sha512' },
  'rsassa-pss-sha256': { key: 'rsa', padding: 'pss', hash: 'sha256' },
  'rsassa-pss-sha384': { key: 'rsa', padding: 'pss', hash: 'sha384' },
  'rsassa-pss-sha512': { key: 'rsa', padding: 'pss', hash: 'sha512' },
  ed25519: { key: 'ed25519' },
  ed448: { key: 'ed448' },
  'ml-dsa-44': { key: 'ml-dsa', parameterSet: 44 },
  'ml-dsa-65': { key: 'ml-dsa', parameterSet: 65 },
  'ml-dsa-87': { key: 'ml-dsa', parameterSet: 87 },
  sha1WithRSAEncryption: { key: 'rsa', padding: 'pkcs1', hash: 'sha1' },
  'ecdsa-with-SHA1': { key: 'ec', hash: 'sha1' },
} as const satisfies Record<string, SignatureParameters>;

/** The name of a signature algorithm: a key of {@link SIGNATURE_ALGORITHMS}. */
export type SignatureAlgorithm = keyof typeof SIGNATURE_ALGORITHMS;

const OID_HEX: Record<SignatureAlgorithm, string> = {
  'ecdsa-with-SHA256': '06082a8648ce3d040302',
  'ecdsa-with-SHA384': '06082a8648ce3d040303',
  'ecdsa-with-SHA512': '06082a8648ce3d040304',
  sha256WithRSAEncryption: '06092a864886f70d01010b',
  sha384WithRSAEncryption: '06092a864886f70d01010c',
  sha512WithRSAEncryption: '06092a864886f70d01010d',
  'rsassa-pss-sha256': '06092a864886f70d01010a',
  'rsassa-pss-sha384': '06092a864886f70d01010a',
  'rsassa-pss-sha512': '06092a864886f70d01010a',
  ed25519: '06032b6570',
  ed448: '06032b6571',
  'ml-dsa-44': '0609608648016503040311',
  'ml-dsa-65': '0609608648016503040312',
  'ml-dsa-87': '0609608648016503040313',
  sha1WithRSAEncryption: '06092a864886f70d010105',
  'ecdsa-with-SHA1': '06072a8648ce3d0401',
};

/** OIDs of the hash functions inside RSASSA-PSS-params (RFC 4055 §2.1), DER in hex. */
const HASH_OID_HEX: Record<HashName, string> = {
  sha1: '06052b0e03021a',
  sha256: '0609608648016503040201',
  sha384: '0609608648016503040202',
  sha512: '0609608648016503040203',
};
/** Octets of a hash: the salt length that RFC 4055 §3.1 recommends and Muster requires. */
const HASH_OCTETS: Record<HashName, number> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 };
const MGF1_HEX = '06092a864886f70d010108';
const NULL_HEX = '0500';

const NAMES = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
/** The first encoding of each algorithm is the one Muster writes; the others are read as well. */
const ENCODINGS: ReadonlyMap<SignatureAlgorithm, readonly string[]> = new Map(
  NAMES.map((name) => [name, encodings(name)]),
);
const DER_OF: ReadonlyMap<SignatureAlgorithm, Uint8Array> = new Map(
  NAMES.map((name) => [name, fromHex(ENCODINGS.get(name)![0]!)!]),
);
const NAME_OF: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  NAMES.flatMap((name) => ENCODINGS.get(name)!.map((hex): [string, SignatureAlgorithm] => [hex, name])),
);

/** The schema of an AlgorithmIdentifier that names a signature algorithm of the table. */
export const signatureAlgorithmSchema: Schema<SignatureAlgorithm> = {
  ...mapped(any, (der) => lookUp(der, ''), algorithmIdentifier),
  typeName: 'AlgorithmIdentifier',
};

/** The DER of an algorithm's AlgorithmIdentifier. The same octets at each call: not to be written to. */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  return DER_OF.get(algorithm)!;
}

/**
 * The algorithm of a complete AlgorithmIdentifier. Throws X509Error on one outside the table, with other parameters, or
 * with RSASSA-PSS parameters whose hashes differ or whose salt is not as long as the hash.
 */
export function parseSignatureAlgorithm(der: Uint8Array): SignatureAlgorithm {
  return lookUp(der, 'AlgorithmIdentifier');
}

/** The algorithm that a key of this kind signs with unless told otherwise: the hash matches the strength of the key. */
export function defaultSignatureAlgorithm(key: PublicKeyAlgorithm): SignatureAlgorithm {
  switch (key.kind) {
    case 'rsa':
      return key.bits > 3072 ? 'sha384WithRSAEncryption' : 'sha256WithRSAEncryption';
    case 'ec':
      return ({ 'P-256': 'ecdsa-with-SHA256', 'P-384': 'ecdsa-with-SHA384', 'P-521': 'ecdsa-with-SHA512' } as const)[
        key.curve
      ];
    case 'ed25519':
    case 'ed448':
      return key.kind;
    case 'ml-dsa':
      return `ml-dsa-${key.parameterSet}`;
  }
}

/** Whether an algorithm rests on SHA-1, and so is verified only where the caller asks for it. */
export function isLegacySignatureAlgorithm(algorithm: SignatureAlgorithm): boolean {
  return algorithm === 'sha1WithRSAEncryption' || algorithm === 'ecdsa-with-SHA1';
}

/** Whether a key of this kind can sign with an algorithm. */
export function keyFitsSignatureAlgorithm(key: PublicKeyAlgorithm, algorithm: SignatureAlgorithm): boolean {
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  if (parameters.key !== key.kind) return false;
  return parameters.key !== 'ml-dsa' || key.kind !== 'ml-dsa' || parameters.parameterSet === key.parameterSet;
}

/** What a caller of {@link verifySignature} may allow. */
export interface VerifyOptions {
  /** Accept `sha1WithRSAEncryption` and `ecdsa-with-SHA1`: for named old clients only. Default false. */
  readonly allowSha1?: boolean;
}

/**
 * Whether `signature` (in its X.509 form: ECDSA as DER Ecdsa-Sig-Value) is this key's over `data`. Never throws: a
 * malformed signature, a key of another kind or one that OpenSSL refuses (a point off its curve) is no valid signature.
 */
export function verifySignature(
  publicKey: SubjectPublicKeyInfo,
  algorithm: SignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
  options: VerifyOptions = {},
): boolean {
  if (!mayVerify(publicKey, algorithm, options)) return false;
  try {
    return verify(digestOf(algorithm), data, verifyKey(publicKey, algorithm), signature);
  } catch {
    return false;
  }
}

/** {@link verifySignature} in libuv's thread pool: the event loop goes on meanwhile. Never rejects. */
export function verifySignatureAsync(
  publicKey: SubjectPublicKeyInfo,
  algorithm: SignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
  options: VerifyOptions = {},
): Promise<boolean> {
  if (!mayVerify(publicKey, algorithm, options)) return Promise.resolve(false);
  return new Promise((resolve) => {
    try {
      verify(digestOf(algorithm), data, verifyKey(publicKey, algorithm), signature, (error, valid) => {
        resolve(error === null && valid);
      });
    } catch {
      resolve(false);
    }
  });
}

function mayVerify(
  publicKey: SubjectPublicKeyInfo,
  algorithm: SignatureAlgorithm,
  { allowSha1 = false }: VerifyOptions,
): boolean {
  return (
    keyFitsSignatureAlgorithm(publicKey.algorithm, algorithm) && (allowSha1 || !isLegacySignatureAlgorithm(algorithm))
  );
}

function digestOf(algorithm: SignatureAlgorithm): HashName | undefined {
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  return 'hash' in parameters ? parameters.hash : undefined;
}

/**
 * OpenSSL's decoding of a key costs about as much as the verification. Keyed by the parsed object, not by its octets: who
 * keeps an authority's certificate pays once, and nothing is retained beyond the life of that object.
 */
const keyObjects = new WeakMap<SubjectPublicKeyInfo, KeyObject>();

function verifyKey(publicKey: SubjectPublicKeyInfo, algorithm: SignatureAlgorithm): VerifyKeyObjectInput | KeyObject {
  let key = keyObjects.get(publicKey);
  if (key === undefined) {
    const { buffer, byteOffset, byteLength } = publicKey.der;
    key = createPublicKey({ key: Buffer.from(buffer, byteOffset, byteLength), format: 'der', type: 'spki' });
    keyObjects.set(publicKey, key);
  }
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  if (parameters.key !== 'rsa' || parameters.padding === 'pkcs1') return key;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: HASH_OCTETS[parameters.hash] };
}

function lookUp(der: Uint8Array, path: string): SignatureAlgorithm {
  const algorithm = NAME_OF.get(toHex(der));
  if (algorithm !== undefined) return algorithm;
  throw new X509Error(path, 'a known signature algorithm', `0x${toHex(der.subarray(0, 24))}`);
}

function encodings(name: SignatureAlgorithm): string[] {
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[name];
  const oid = OID_HEX[name];
  // RFC 5758 §3.2, RFC 8410 §3, RFC 9881 §2: no parameters.
  if (parameters.key !== 'rsa') return [tlv('30', oid)];
  // RFC 4055 §5: NULL; absent MUST be accepted as well.
  if (parameters.padding === 'pkcs1') return [tlv('30', oid + NULL_HEX), tlv('30', oid)];
  return pssEncodings(oid, parameters.hash);
}

// RFC 4055 §3.1: hashAlgorithm [0], maskGenAlgorithm [1], saltLength [2]; trailerField [3] has its default. §2.1: the
// hashes' parameters are NULL, and absent MUST be accepted.
function pssEncodings(oid: string, hash: HashName): string[] {
  const hashes = [tlv('30', HASH_OID_HEX[hash] + NULL_HEX), tlv('30', HASH_OID_HEX[hash])];
  const salt = tlv('a2', tlv('02', HASH_OCTETS[hash].toString(16)));
  return hashes.flatMap((hashAlgorithm) =>
    hashes.map((mgfHash) => {
      const maskGenAlgorithm = tlv('30', MGF1_HEX + mgfHash);
      return tlv('30', oid + tlv('30', tlv('a0', hashAlgorithm) + tlv('a1', maskGenAlgorithm) + salt));
    }),
  );
}

function tlv(tag: string, contents: string): string {
  return tag + (contents.length / 2).toString(16).padStart(2, '0') + contents;
}
