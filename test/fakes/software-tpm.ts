import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  sign,
} from 'node:crypto';
import { digestOctets, hashAlgorithmId, type NameHash } from '../../devices/attestation/tpm/algorithms.ts';
import { encodePcrSelection, type PcrSelection } from '../../devices/attestation/tpm/pcr-selection.ts';
import { ekAlgorithms } from '../../devices/attestation/tpm/ek-template.ts';
import { kdfA, kdfE } from '../../devices/attestation/tpm/key-derivation.ts';
import type { WrappedCredential } from '../../devices/attestation/tpm/make-credential.ts';
import type { HashName } from '../../core/x509/signature-algorithm.ts';
import { makeKey, publicKeyOf } from '../support/test-pki.ts';
import { joined, sized, u16, u32, u64, u8 } from './tpm-marshal.ts';
import { APPLICATION_KEY_ATTRIBUTES, ATTESTATION_KEY_ATTRIBUTES } from './tpm-templates.ts';

/**
 * A TPM that lies: it attests whatever a test says, with keys of node:crypto, so that each rule can be broken alone. What a real one
 * does is tested with swtpm.
 */

/** What a public area shall say; the default is a good P-256 signing key. */
export interface PublicAreaOptions {
  readonly key?: KeyObject;
  readonly attributes?: number;
  readonly nameAlg?: number;
  readonly authPolicy?: Uint8Array;
  /** Of the coordinates: leading zeros left out. */
  readonly short?: boolean;
}

/** What a TPMS_ATTEST shall say; the default is right. */
export interface AttestOptions {
  readonly magic?: number;
  readonly type?: number;
  readonly extraData?: Uint8Array;
  readonly qualifiedSigner?: Uint8Array;
  readonly safe?: number;
  /** After everything. */
  readonly tail?: Uint8Array;
}

/** How an attestation is signed. */
export interface SignOptions {
  readonly hash?: HashName;
  /** TPMI_ALG_SIG_SCHEME written, whatever was done. */
  readonly algorithm?: number;
  /** r and s without leading zeros. */
  readonly short?: boolean;
  /** Bare RSA octets. */
  readonly raw?: boolean;
  /** RSAPSS with a salt as long as fits. */
  readonly pss?: boolean;
}

const NULL = 0x0010;
const CURVES: Readonly<Record<string, number>> = { 'P-256': 3, 'P-384': 4, 'P-521': 5 };

/** TPMT_PUBLIC of a key of node:crypto. */
export function publicAreaOf(options: PublicAreaOptions = {}): Uint8Array {
  const { key = makeKey(), attributes = APPLICATION_KEY_ATTRIBUTES, nameAlg = 0x000b, authPolicy, short } = options;
  const jwk = key.export({ format: 'jwk' });
  const head = (type: number) =>
    joined(u16(type), u16(nameAlg), u32(attributes), sized(authPolicy ?? new Uint8Array()), u16(NULL));
  if (jwk.kty === 'RSA') {
    const modulus = octets(jwk.n);
    return joined(head(0x0001), u16(NULL), u16(8 * modulus.length), u32(0), sized(modulus));
  }
  const trim = (number: Uint8Array) => (short === true ? withoutZeros(number) : number);
  const point = joined(sized(trim(octets(jwk.x))), sized(trim(octets(jwk.y))));
  return joined(head(0x0023), u16(NULL), u16(CURVES[jwk.crv!]!), u16(NULL), point);
}

/** TPMT_PUBLIC of an attestation key of node:crypto. */
export function akAreaOf(options: PublicAreaOptions = {}): Uint8Array {
  return publicAreaOf({ attributes: ATTESTATION_KEY_ATTRIBUTES, ...options });
}

/** nameAlg and digest of a public area, as its own nameAlg asks. */
export function nameOf(area: Uint8Array): Uint8Array {
  const nameAlg = Buffer.from(area).readUInt16BE(2);
  const hash = { 0x000b: 'sha256', 0x000c: 'sha384', 0x000d: 'sha512' }[nameAlg]!;
  return joined(u16(nameAlg), createHash(hash).update(area).digest());
}

/** TPMS_ATTEST of TPM2_Certify. */
export function certifyAttest(name: Uint8Array, options: AttestOptions = {}): Uint8Array {
  return attestOf(0x8017, joined(sized(name), sized(name)), options);
}

/** TPMS_ATTEST of TPM2_CertifyCreation. */
export function creationAttest(name: Uint8Array, creationHash: Uint8Array, options: AttestOptions = {}): Uint8Array {
  return attestOf(0x801a, joined(sized(name), sized(creationHash)), options);
}

/** TPMS_ATTEST of TPM2_Quote. */
export function quoteAttest(selection: PcrSelection, digest: Uint8Array, options: AttestOptions = {}): Uint8Array {
  return attestOf(0x8018, joined(encodePcrSelection(selection), sized(digest)), options);
}

/** TPMT_SIGNATURE over an attestation, or what `options` make of it. */
export function signAttest(attest: Uint8Array, key: KeyObject, options: SignOptions = {}): Uint8Array {
  const { hash = 'sha256' } = options;
  const isRsa = key.asymmetricKeyType === 'rsa';
  const scheme = isRsa ? (options.pss === true ? 0x0016 : 0x0014) : 0x0018;
  const algorithm = joined(u16(options.algorithm ?? scheme), u16(hashAlgorithmId(hash)));
  if (isRsa) {
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN };
    const signature = sign(hash, attest, options.pss === true ? { key, ...pss } : key);
    return options.raw === true ? new Uint8Array(signature) : joined(algorithm, sized(signature));
  }
  const raw = sign(hash, attest, { key, dsaEncoding: 'ieee-p1363' });
  const half = raw.length / 2;
  const trim = (number: Uint8Array) => (options.short === true ? withoutZeros(number) : number);
  return joined(algorithm, sized(trim(raw.subarray(0, half))), sized(trim(raw.subarray(half))));
}

/** An attestation key outside of any TPM. */
export class SoftwareAttestationKey {
  readonly privateKey: KeyObject;
  readonly publicArea: Uint8Array;

  constructor(privateKey: KeyObject = makeKey(), options: PublicAreaOptions = {}) {
    this.privateKey = privateKey;
    this.publicArea = akAreaOf({ key: privateKey, ...options });
  }

  get publicKey() {
    return publicKeyOf(this.privateKey);
  }

  /** TPM2_Certify of a public area. */
  certify(area: Uint8Array, attest: AttestOptions = {}, signing: SignOptions = {}) {
    return this.signed(certifyAttest(nameOf(area), attest), signing);
  }

  signed(attest: Uint8Array, signing: SignOptions = {}) {
    return { attest, signature: signAttest(attest, this.privateKey, signing) };
  }
}

/**
 * TPM2_ActivateCredential of an endorsement key of node:crypto.
 * @throws RangeError where the credential is for another key name
 */
export function openCredential(wrapped: WrappedCredential, ek: KeyObject, keyName: Uint8Array): Uint8Array {
  const { nameAlg, aesBits } = ekAlgorithms(publicKeyOf(ek))!;
  const seed = seedIn(wrapped.secret.subarray(2), ek, nameAlg);
  const hmacAt = 4;
  const encryptedAt = hmacAt + seed.length;
  const encrypted = wrapped.credential.subarray(encryptedAt);
  const hmacKey = kdfA(nameAlg, seed, 'INTEGRITY', {}, 8 * seed.length);
  const hmac = createHmac(nameAlg, hmacKey).update(encrypted).update(keyName).digest();
  if (!hmac.equals(wrapped.credential.subarray(hmacAt, encryptedAt))) throw new RangeError('TPM_RC_INTEGRITY');
  const key = kdfA(nameAlg, seed, 'STORAGE', { u: keyName }, aesBits);
  const decipher = createDecipheriv(`aes-${aesBits}-cfb`, key, new Uint8Array(16));
  const plain = Buffer.concat([decipher.update(encrypted), decipher.final()]);
  return new Uint8Array(plain.subarray(2, 2 + plain.readUInt16BE(0)));
}

function seedIn(secret: Uint8Array, ek: KeyObject, nameAlg: NameHash): Uint8Array {
  if (ek.asymmetricKeyType === 'rsa') {
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: nameAlg, oaepLabel: Buffer.from('IDENTITY\0') };
    return privateDecrypt({ key: ek, ...oaep }, secret);
  }
  const { crv, x } = ek.export({ format: 'jwk' });
  const width = octets(x).length;
  const [ephemeralX, ephemeralY] = [secret.subarray(2, 2 + width), secret.subarray(4 + width)];
  const point = { kty: 'EC', crv: crv!, x: base64url(ephemeralX), y: base64url(ephemeralY) };
  const z = diffieHellman({ privateKey: ek, publicKey: createPublicKey({ key: point, format: 'jwk' }) });
  return kdfE(nameAlg, z, 'IDENTITY', { u: ephemeralX, v: octets(x) }, 8 * digestOctets(nameAlg));
}

function base64url(number: Uint8Array): string {
  return Buffer.from(number).toString('base64url');
}

function attestOf(type: number, attested: Uint8Array, options: AttestOptions): Uint8Array {
  const {
    magic = 0xff544347,
    extraData = new Uint8Array(32),
    qualifiedSigner = new Uint8Array(34),
    safe = 1,
  } = options;
  const clock = joined(u64(1n), u32(1), u32(0), u8(safe));
  const head = joined(u32(magic), u16(options.type ?? type), sized(qualifiedSigner), sized(extraData), clock, u64(1n));
  return joined(head, attested, options.tail ?? new Uint8Array());
}

function octets(base64url: string | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(base64url!, 'base64url'));
}

function withoutZeros(number: Uint8Array): Uint8Array {
  const first = number.findIndex((octet) => octet !== 0);
  return number.subarray(first);
}
