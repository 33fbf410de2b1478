import { encode } from 'cborg';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { type SignatureAlgorithm, verifySignature } from '../../../core/x509/signature-algorithm.ts';
import { encodeEcdsaSignature } from '../../../core/keys/ecdsa-signature.ts';
import {
  cborArray,
  cborBytes,
  CborError,
  cborInteger,
  cborMap,
  type CborMap,
  CborTag,
  type CborValue,
  decodeCbor,
} from '../cbor.ts';

/** A COSE_Sign1 message (RFC 9052 §4.2), its signature not yet verified. */
export interface CoseSign1 {
  readonly algorithm: CoseAlgorithm;
  /** kid; undefined where absent. A hint, whichever header it comes in. */
  readonly keyId: Uint8Array | undefined;
  /** x5chain (RFC 9360 §2), the signer's certificate first, DER; none where absent. Nothing about them is trusted. */
  readonly certificates: readonly Uint8Array[];
  readonly payload: Uint8Array;
  readonly protectedHeader: Uint8Array;
  readonly signature: Uint8Array;
}

/** How a COSE algorithm signs. */
interface CoseAlgorithm {
  readonly name: SignatureAlgorithm;
  /** Octets of r ‖ s; undefined where the signature is no pair. */
  readonly pairOctets: number | undefined;
}

/** Tags of a CWT and of COSE_Sign1 (RFC 8392 §6, RFC 9052 §2). */
const CWT = 61;
const COSE_SIGN1 = 18;

/** Header labels (RFC 9052 §3.1). */
const ALG = 1;
const CRIT = 2;
const KID = 4;
const X5CHAIN = 33;

const MAX_CERTIFICATES = 8;

const ES256: CoseAlgorithm = { name: 'ecdsa-with-SHA256', pairOctets: 64 };
const ES384: CoseAlgorithm = { name: 'ecdsa-with-SHA384', pairOctets: 96 };
const ED25519: CoseAlgorithm = { name: 'ed25519', pairOctets: undefined };

/** RFC 9053 §2; the second of each is the fully-specified one of RFC 9864. The curve is the key's, and has to fit. */
const ALGORITHMS: ReadonlyMap<number, CoseAlgorithm> = new Map([
  [-7, ES256],
  [-9, ES256],
  [-35, ES384],
  [-51, ES384],
  [-8, ED25519],
  [-19, ED25519],
]);

/**
 * Decodes a COSE_Sign1 with its tag, with or without the tag of a CWT around it. `alg` must be in the protected header, and
 * `crit` must not be there: no extension is understood. @throws CborError
 */
export function decodeCoseSign1(octets: Uint8Array): CoseSign1 {
  const outer = decodeCbor(octets, { tags: [CWT, COSE_SIGN1] });
  const tagged = outer instanceof CborTag && outer.tag === CWT ? outer.content : outer;
  if (!(tagged instanceof CborTag) || tagged.tag !== COSE_SIGN1)
    throw new CborError('a COSE_Sign1 (tag 18)', 'another item');
  const [protectedItem, unprotectedItem, payload, signature, ...others] = cborArray(tagged.content, 'COSE_Sign1');
  if (others.length > 0) throw new CborError('COSE_Sign1 of four members', 'more');
  const protectedHeader = cborBytes(protectedItem, 'the protected header');
  const header = cborMap(decodeCbor(protectedHeader), 'the protected header');
  const unprotected = cborMap(unprotectedItem, 'the unprotected header');
  if (header.has(CRIT)) throw new CborError('no critical headers', 'some');
  return {
    algorithm: algorithmOf(header),
    keyId: keyIdOf(header, unprotected),
    certificates: certificatesOf(header, unprotected),
    payload: cborBytes(payload, 'the payload'),
    protectedHeader,
    signature: cborBytes(signature, 'the signature'),
  };
}

/** Whether the key signed the message (RFC 9052 §4.4), without external data. Never throws. */
export function verifyCoseSign1(publicKey: SubjectPublicKeyInfo, message: CoseSign1): boolean {
  const { algorithm, signature } = message;
  if (algorithm.pairOctets !== undefined && signature.length !== algorithm.pairOctets) return false;
  if (!isCurveOf(publicKey, algorithm)) return false;
  const signed = encode(['Signature1', message.protectedHeader, new Uint8Array(), message.payload]);
  const inX509Form = algorithm.pairOctets === undefined ? signature : encodeEcdsaSignature(signature);
  return verifySignature(publicKey, algorithm.name, signed, inX509Form);
}

// RFC 9053 §2.1 leaves the curve open, RFC 9864 pairs them as everybody does: P-256 with SHA-256, P-384 with SHA-384.
function isCurveOf({ algorithm }: SubjectPublicKeyInfo, { name }: CoseAlgorithm): boolean {
  if (algorithm.kind !== 'ec') return true;
  return algorithm.curve === (name === 'ecdsa-with-SHA256' ? 'P-256' : 'P-384');
}

function algorithmOf(header: CborMap): CoseAlgorithm {
  const number = cborInteger(header.get(ALG), 'alg');
  const algorithm = ALGORITHMS.get(number);
  if (algorithm !== undefined) return algorithm;
  throw new CborError('alg ES256, ES384 or EdDSA', String(number));
}

function keyIdOf(header: CborMap, unprotected: CborMap): Uint8Array | undefined {
  const value = inOneHeader(KID, header, unprotected);
  return value === undefined ? undefined : cborBytes(value, 'kid');
}

// RFC 9360 §2: one certificate as a byte string, several as an array.
function certificatesOf(header: CborMap, unprotected: CborMap): readonly Uint8Array[] {
  const value = inOneHeader(X5CHAIN, header, unprotected);
  if (value === undefined) return [];
  const chain = value instanceof Uint8Array ? [value] : cborArray(value, 'x5chain');
  if (chain.length > 0 && chain.length <= MAX_CERTIFICATES) return chain.map((der) => cborBytes(der, 'x5chain'));
  throw new CborError(`x5chain of 1 to ${MAX_CERTIFICATES} certificates`, `${chain.length}`);
}

function inOneHeader(label: number, header: CborMap, unprotected: CborMap): CborValue | undefined {
  if (header.has(label) && unprotected.has(label)) throw new CborError(`header ${label} once`, 'twice');
  return header.get(label) ?? unprotected.get(label);
}
