import { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { decode, encode } from '../asn1/codec.ts';
import { any, bitString, explicit, octetString, oid, optional, sequence } from '../asn1/schema.ts';
import { PUBLIC_KEY } from '../x509/oids.ts';
import { parseSubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { unwrapKey, wrapIdentifier, wrapKey, wrapKeyLengthOf } from './aes-key-wrap.ts';
import type { WrapKeyLength } from './aes-key-wrap.ts';
import { algorithmIdentifierSchema, algorithmWith, parametersOf } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { certificateIdentity } from './certificate-identity.ts';
import { CmsError } from './cms-error.ts';
import { recipientIdentifier } from './key-transport.ts';
import type { CertificateRecipient } from './key-transport.ts';
import type { OriginatorPublicKey, RecipientInfoWire } from './recipient-info.ts';
import type { Opening } from './recipient-key.ts';

// dhSinglePass-stdDH-shaNNNkdf-scheme (RFC 5753 §7.1.4). OpenSSL sends the SHA-1 form unless told otherwise; for a key
// derivation function SHA-1 has no known weakness, and we never write it.
const STANDARD_DH = {
  sha1: '1.3.133.16.840.63.0.2',
  sha224: '1.3.132.1.11.0',
  sha256: '1.3.132.1.11.1',
  sha384: '1.3.132.1.11.2',
  sha512: '1.3.132.1.11.3',
} as const;
type KdfHash = keyof typeof STANDARD_DH;
const KDF_HASH_OF: ReadonlyMap<string, KdfHash> = new Map(
  Object.entries(STANDARD_DH).map(([hash, algorithm]) => [algorithm, hash as KdfHash]),
);

// RFC 5753 §7.2
const sharedInfo = sequence('ECC-CMS-SharedInfo', {
  keyInfo: algorithmIdentifierSchema,
  entityUInfo: optional(explicit(0, octetString)),
  suppPubInfo: explicit(2, octetString),
});
const publicKeyInfo = sequence('SubjectPublicKeyInfo', { algorithm: any, subjectPublicKey: bitString });

/** Encrypts a content-encryption key for an EC certificate: ephemeral-static ECDH, SHA-256, AES key wrap (RFC 5753 §3.1). */
export function keyAgreementFor(recipient: CertificateRecipient, key: Uint8Array): RecipientInfoWire {
  const publicKey = parseSubjectPublicKeyInfo(certificateIdentity(recipient.certificate).subjectPublicKeyInfo);
  if (publicKey.algorithm.kind !== 'ec')
    throw new CmsError('invalid-argument', 'an EC certificate', publicKey.algorithm.kind);
  const ephemeral = generateKeyPairSync('ec', { namedCurve: publicKey.algorithm.curve });
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: nativeKey(publicKey) });
  const point = decode(publicKeyInfo, ephemeral.publicKey.export({ format: 'der', type: 'spki' })).subjectPublicKey;
  const wrap = wrapIdentifier(wrapStrengthFor(key));
  const encryptedKey = wrapKey(deriveKey(secret, 'sha256', wrap, undefined), key);
  const rid = recipientIdentifier(recipient);
  return {
    kind: 'kari',
    value: {
      version: 3,
      // RFC 5753 §3.1.1: the parameters of id-ecPublicKey may be absent: the curve is the recipient's.
      originator: {
        kind: 'originatorKey',
        value: { algorithm: { algorithm: PUBLIC_KEY.ecPublicKey }, publicKey: point },
      },
      keyEncryptionAlgorithm: algorithmWith(STANDARD_DH.sha256, algorithmIdentifierSchema, wrap),
      recipientEncryptedKeys: [
        {
          rid:
            rid.kind === 'subjectKeyIdentifier' ? { kind: 'rKeyId', value: { subjectKeyIdentifier: rid.value } } : rid,
          encryptedKey,
        },
      ],
    },
  };
}

/**
 * Agrees with the sender's ephemeral key and unwraps the content-encryption key.
 *
 * @throws CmsError and Asn1Error before the private key is used; CmsDecryptError after
 */
export async function openKeyAgreement(
  { key, recipient }: Opening & { kind: 'ecdh' },
  keyLength: number,
): Promise<Uint8Array> {
  const { algorithm, ephemeralKey, ukm, encryptedKey } = recipient;
  const hash = KDF_HASH_OF.get(algorithm.algorithm);
  const wrap = parametersOf(algorithm, algorithmIdentifierSchema);
  if (hash === undefined || wrap === undefined) {
    throw new CmsError('unsupported-algorithm', 'ephemeral-static ECDH with AES key wrap', algorithm.algorithm);
  }
  wrapKeyLengthOf(wrap);
  if (ephemeralKey === undefined) throw new CmsError('unsupported-algorithm', 'an ephemeral key', 'a static one');
  const ephemeralPublicKey = onCurveOf(key.certificate, ephemeralKey);
  const secret = await key.agree({ ephemeralPublicKey });
  return unwrapKey(deriveKey(secret, hash, wrap, ukm), encryptedKey, keyLength);
}

/** ANSI X9.63 key derivation with the shared information of RFC 5753 §7.2. */
function deriveKey(
  secret: Uint8Array,
  hash: KdfHash,
  wrap: AlgorithmIdentifier,
  ukm: Uint8Array | undefined,
): Uint8Array {
  const keyLength = wrapKeyLengthOf(wrap);
  const suppPubInfo = uint32(8 * keyLength);
  const info = encode(sharedInfo, { keyInfo: wrap, entityUInfo: ukm, suppPubInfo });
  const key = Buffer.alloc(keyLength);
  for (let filled = 0, counter = 1; filled < keyLength; counter++) {
    const block = createHash(hash).update(secret).update(uint32(counter)).update(info).digest();
    filled += block.copy(key, filled);
  }
  return key;
}

// A point off the curve, given to a static private key, reveals it piece by piece: OpenSSL checks the point when it
// makes a key of it, whatever the holder of the private key does.
function onCurveOf(certificate: Uint8Array, { algorithm, publicKey }: OriginatorPublicKey): SubjectPublicKeyInfo {
  const ours = decode(publicKeyInfo, certificateIdentity(certificate).subjectPublicKeyInfo);
  assertCurve(ours.algorithm, algorithm);
  const ephemeral = parseSubjectPublicKeyInfo(encode(publicKeyInfo, { ...ours, subjectPublicKey: publicKey }));
  try {
    nativeKey(ephemeral);
  } catch {
    throw new CmsError('unsupported-algorithm', 'a point on our curve', 'another');
  }
  return ephemeral;
}

// RFC 5753 §3.1.1: parameters absent, NULL or the curve.
function assertCurve(ours: Uint8Array, { algorithm, parameters }: AlgorithmIdentifier): void {
  const { parameters: curve } = decode(algorithmIdentifierSchema, ours);
  if (algorithm !== PUBLIC_KEY.ecPublicKey) throw new CmsError('unsupported-algorithm', 'id-ecPublicKey', algorithm);
  if (parameters === undefined || parameters[0] === 0x05) return;
  if (curve === undefined || decode(oid, parameters) !== decode(oid, curve)) {
    throw new CmsError('unsupported-algorithm', 'a point on our curve', 'another curve');
  }
}

function wrapStrengthFor(key: Uint8Array): WrapKeyLength {
  return key.length <= 16 ? 16 : key.length <= 24 ? 24 : 32;
}

function nativeKey({ der }: SubjectPublicKeyInfo): ReturnType<typeof createPublicKey> {
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
}

function uint32(value: number): Uint8Array {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}
