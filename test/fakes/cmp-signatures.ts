import { constants, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';

import { algorithm, explicit, integer, nullValue, oid, sequence } from './cmp-der.ts';
import { oidOf, readDer } from './cmp-reader.ts';

/** How one algorithm signs. */
interface SignatureScheme {
  readonly identifier: Buffer;
  readonly digest: string | null;
  readonly isPss?: true;
}

const HASHES = {
  sha1: '1.3.14.3.2.26',
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  'sha3-256': '2.16.840.1.101.3.4.2.8',
  'sha3-384': '2.16.840.1.101.3.4.2.9',
  'sha3-512': '2.16.840.1.101.3.4.2.10',
} as const;

/** The hash functions the client knows, by the names of node:crypto. */
export type HashName = keyof typeof HASHES;

/** AlgorithmIdentifier of a hash function, without parameters. */
export const hashIdentifier = (hash: HashName): Buffer => algorithm(HASHES[hash]);

/** The name of a hash function by its OID. */
export const hashNamed = (dotted: string): HashName | undefined =>
  (Object.keys(HASHES) as HashName[]).find((hash) => HASHES[hash] === dotted);

const rsa = (dotted: string, digest: HashName): SignatureScheme => ({
  identifier: algorithm(dotted, nullValue()),
  digest,
});
const ecdsa = (dotted: string, digest: HashName): SignatureScheme => ({ identifier: algorithm(dotted), digest });

const SALT_BYTES = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** RFC 4055 §3.1: hash, MGF1 with the same hash, a salt of the hash's length. */
function pss(digest: keyof typeof SALT_BYTES): SignatureScheme {
  const hash = algorithm(HASHES[digest], nullValue());
  const parameters = sequence(
    explicit(0, hash),
    explicit(1, sequence(oid('1.2.840.113549.1.1.8'), hash)),
    explicit(2, integer(SALT_BYTES[digest])),
  );
  return { identifier: algorithm('1.2.840.113549.1.1.10', parameters), digest, isPss: true };
}

/** RFC 9481 §3: what messages, requests and certificates may be signed with. */
export const SIGNATURES = {
  'rsa-sha1': rsa('1.2.840.113549.1.1.5', 'sha1'),
  'rsa-sha256': rsa('1.2.840.113549.1.1.11', 'sha256'),
  'rsa-sha384': rsa('1.2.840.113549.1.1.12', 'sha384'),
  'rsa-sha512': rsa('1.2.840.113549.1.1.13', 'sha512'),
  'rsa-sha3-256': rsa('2.16.840.1.101.3.4.3.14', 'sha3-256'),
  'pss-sha256': pss('sha256'),
  'pss-sha384': pss('sha384'),
  'pss-sha512': pss('sha512'),
  'ecdsa-sha1': ecdsa('1.2.840.10045.4.1', 'sha1'),
  'ecdsa-sha256': ecdsa('1.2.840.10045.4.3.2', 'sha256'),
  'ecdsa-sha384': ecdsa('1.2.840.10045.4.3.3', 'sha384'),
  'ecdsa-sha512': ecdsa('1.2.840.10045.4.3.4', 'sha512'),
  'ecdsa-sha3-256': ecdsa('2.16.840.1.101.3.4.3.10', 'sha3-256'),
  'ecdsa-sha3-384': ecdsa('2.16.840.1.101.3.4.3.11', 'sha3-384'),
  'ecdsa-sha3-512': ecdsa('2.16.840.1.101.3.4.3.12', 'sha3-512'),
  ed25519: { identifier: algorithm('1.3.101.112'), digest: null },
  ed448: { identifier: algorithm('1.3.101.113'), digest: null },
} as const satisfies Record<string, SignatureScheme>;

/** A signature algorithm of the client. */
export type SignatureName = keyof typeof SIGNATURES;

/** The kinds of key the client makes. */
export type KeyKind = 'p256' | 'p384' | 'p521' | 'rsa1024' | 'rsa2048' | 'ed25519' | 'ed448';

/** A new private key. */
export function newKey(kind: KeyKind = 'p256'): KeyObject {
  switch (kind) {
    case 'p256':
    case 'p384':
    case 'p521':
      return generateKeyPairSync('ec', { namedCurve: `P-${kind.slice(1)}` }).privateKey;
    case 'rsa1024':
    case 'rsa2048':
      return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3)) }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'ed448':
      return generateKeyPairSync('ed448').privateKey;
  }
}

/** DER of the SubjectPublicKeyInfo of a private key. */
export const publicKeyDer = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' });

/** What a key signs with when nothing is said. */
export function usualSignature(key: KeyObject): SignatureName {
  if (key.asymmetricKeyType === 'rsa') return 'rsa-sha256';
  if (key.asymmetricKeyType === 'ec') return 'ecdsa-sha256';
  return key.asymmetricKeyType === 'ed448' ? 'ed448' : 'ed25519';
}

/** A signature in its X.509 form. */
export function signed(key: KeyObject, data: Uint8Array, signature = usualSignature(key)): Buffer {
  const scheme: SignatureScheme = SIGNATURES[signature];
  return sign(scheme.digest, data, scheme.isPss ? { key, ...PSS } : key);
}

/** Whether a signature with the algorithm of this AlgorithmIdentifier is the key's. */
export function isSignedBy(publicKey: Uint8Array, identifier: Uint8Array, data: Uint8Array, bits: Uint8Array): boolean {
  const scheme: SignatureScheme | undefined = Object.values(SIGNATURES).find((known) =>
    known.identifier.equals(identifier),
  );
  if (scheme === undefined) return false;
  const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  return verify(scheme.digest, data, scheme.isPss ? { key, ...PSS } : key, bits);
}

/** The hash function of the algorithm a certificate is signed with; SHA-512 for Ed25519 (RFC 9481 §3.3). */
export function certificateHash(signatureAlgorithm: string): HashName {
  const scheme: SignatureScheme | undefined = Object.values(SIGNATURES).find(
    ({ identifier }) => oidOf(readDer(identifier).children[0]!) === signatureAlgorithm,
  );
  return (scheme?.digest ?? 'sha512') as HashName;
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
