import { constants, createCipheriv, createECDH, createHmac, createPublicKey, publicEncrypt } from 'node:crypto';
import { coordinateOctets, type CurveName } from '../../../core/x509/ec-curve.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { digestOctets, type NameHash } from './algorithms.ts';
import type { EkAlgorithms } from './ek-template.ts';
import { kdfA, kdfE } from './key-derivation.ts';

/** A secret that one TPM opens, and only where it holds the named key beside its EK. Both with their size in front, as TPM2B. */
export interface WrappedCredential {
  /** TPM2B_ID_OBJECT. */
  readonly credential: Uint8Array;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly secret: Uint8Array;
}

/** For whom a credential is made. */
export interface CredentialRecipient {
  readonly ek: SubjectPublicKeyInfo;
  readonly algorithms: EkAlgorithms;
  /** Name of the attestation key that must be loaded in the same TPM. */
  readonly keyName: Uint8Array;
}

/** A seed and what carries it to the TPM. */
interface SharedSeed {
  readonly seed: Uint8Array;
  /** OAEP ciphertext, or a TPMS_ECC_POINT. */
  readonly encrypted: Uint8Array;
}

/** Part 1 §B.10.4, §C.6.4: the label of identity objects, its NUL included. */
const IDENTITY = 'IDENTITY';
const CURVES: Readonly<Record<CurveName, string>> = {
  'P-256': 'prime256v1',
  'P-384': 'secp384r1',
  'P-521': 'secp521r1',
};

/**
 * TPM2_MakeCredential (TPM 2.0 Library, Part 1 §24; Part 3 §12.6) in software. `secret` is at most as long as a digest of the EK's
 * name hash; `random` gives so many fresh octets.
 */
export function makeCredential(
  recipient: CredentialRecipient,
  secret: Uint8Array,
  random: (octets: number) => Uint8Array,
): WrappedCredential {
  const { encrypted, seed } = newSeed(recipient, random);
  return { credential: sized(identityObject(recipient, seed, secret)), secret: sized(encrypted) };
}

/** TPMS_ID_OBJECT: the HMAC with its size, then the encrypted credential without one. */
export function identityObject(
  { algorithms: { nameAlg, aesBits }, keyName }: Omit<CredentialRecipient, 'ek'>,
  seed: Uint8Array,
  secret: Uint8Array,
): Uint8Array {
  const symKey = kdfA(nameAlg, seed, 'STORAGE', { u: keyName }, aesBits);
  const hmacKey = kdfA(nameAlg, seed, 'INTEGRITY', {}, 8 * digestOctets(nameAlg));
  const cipher = createCipheriv(`aes-${aesBits}-cfb`, symKey, new Uint8Array(16));
  const encIdentity = Buffer.concat([cipher.update(sized(secret)), cipher.final()]);
  const outerHmac = createHmac(nameAlg, hmacKey).update(encIdentity).update(keyName).digest();
  return new Uint8Array(Buffer.concat([sized(outerHmac), encIdentity]));
}

/** The seed that an ECDH with the EK gives. `z`, `ephemeralX` and `ekX` are as wide as the field. */
export function seedFromEcdh(nameAlg: NameHash, z: Uint8Array, ephemeralX: Uint8Array, ekX: Uint8Array): Uint8Array {
  return kdfE(nameAlg, z, IDENTITY, { u: ephemeralX, v: ekX }, 8 * digestOctets(nameAlg));
}

function newSeed({ ek, algorithms: { nameAlg } }: CredentialRecipient, random: (octets: number) => Uint8Array) {
  return ek.algorithm.kind === 'ec'
    ? ecdhSeed(ek.keyBytes, ek.algorithm.curve, nameAlg)
    : oaepSeed(ek, nameAlg, random(digestOctets(nameAlg)));
}

function oaepSeed(ek: SubjectPublicKeyInfo, nameAlg: NameHash, seed: Uint8Array): SharedSeed {
  const key = createPublicKey({ key: Buffer.from(ek.der), format: 'der', type: 'spki' });
  const oaep = {
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: nameAlg,
    oaepLabel: Buffer.from(`${IDENTITY}\0`),
  };
  return { seed, encrypted: new Uint8Array(publicEncrypt({ key, ...oaep }, seed)) };
}

// tpm2-tools hash an x without its leading zeros, others the whole field: with none in any number, both agree. One try in 86 is
// thrown away; on P-521, whose first octet holds one bit, seven of eight.
function ecdhSeed(ekPoint: Uint8Array, curve: CurveName, nameAlg: NameHash): SharedSeed {
  const octets = coordinateOctets(curve);
  for (;;) {
    const ephemeral = createECDH(CURVES[curve]);
    const point = new Uint8Array(ephemeral.generateKeys());
    const z = new Uint8Array(ephemeral.computeSecret(ekPoint));
    const [x, y] = [point.subarray(1, 1 + octets), point.subarray(1 + octets)];
    if (x[0] === 0 || y[0] === 0 || z[0] === 0) continue;
    const seed = seedFromEcdh(nameAlg, z, x, ekPoint.subarray(1, 1 + octets));
    return { seed, encrypted: new Uint8Array(Buffer.concat([sized(x), sized(y)])) };
  }
}

function sized(octets: Uint8Array): Uint8Array {
  return Uint8Array.of(octets.length >> 8, octets.length & 0xff, ...octets);
}
