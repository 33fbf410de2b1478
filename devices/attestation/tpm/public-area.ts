import type { CurveName } from '../../../core/x509/ec-curve.ts';
import { coordinateOctets } from '../../../core/x509/ec-curve.ts';
import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import { digestOctets, hex16, type NameHash, readCurve, readHash, readNameHash, TPM_ALG } from './algorithms.ts';
import { type ObjectAttribute, readObjectAttributes } from './object-attributes.ts';
import { readStructure, type StructureReader } from './structure-reader.ts';

/** The symmetric algorithm with which a storage or endorsement key protects what is below it. */
export interface SymmetricDefinition {
  readonly algorithm: 'aes';
  readonly keyBits: 128 | 192 | 256;
}

/** The scheme a key is bound to; undefined in a {@link PublicArea} where it may use any (TPM_ALG_NULL). */
export type KeyScheme =
  | { readonly algorithm: 'rsassa' | 'rsapss' | 'oaep' | 'ecdsa' | 'ecdh'; readonly hash: HashName }
  | { readonly algorithm: 'rsaes' };

interface CommonFields {
  /** The TPMT_PUBLIC exactly as it came: names are digests of it. */
  readonly bytes: Uint8Array;
  readonly nameAlg: NameHash;
  readonly attributes: ReadonlySet<ObjectAttribute>;
  /** Empty, or a digest of nameAlg. */
  readonly authPolicy: Uint8Array;
  readonly symmetric: SymmetricDefinition | undefined;
  readonly scheme: KeyScheme | undefined;
}

/** An RSA key of a TPM. */
export interface RsaPublicArea extends CommonFields {
  readonly type: 'rsa';
  readonly keyBits: number;
  readonly exponent: number;
  /** `keyBits / 8` octets. */
  readonly modulus: Uint8Array;
}

/** An EC key of a TPM. */
export interface EccPublicArea extends CommonFields {
  readonly type: 'ecc';
  readonly curve: CurveName;
  /** Padded to the width of the field: TPMs may leave out leading zeros. Not checked to lie on the curve. */
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** The public area of an asymmetric key (TPMT_PUBLIC; TPM 2.0 Library, Part 2 §12.2.4). */
export type PublicArea = RsaPublicArea | EccPublicArea;

const MAX_OCTETS = 1024;
const RSA_KEY_BITS: ReadonlySet<number> = new Set([1024, 2048, 3072, 4096]);
const AES_KEY_BITS: ReadonlySet<number> = new Set([128, 192, 256]);
const DEFAULT_EXPONENT = 65_537;

/**
 * Decodes a TPMT_PUBLIC of type RSA or ECC: what WebAuthn, ACME and attestation statements carry.
 * @throws TpmStructureError, also for a TPM2B_PUBLIC (the same with its size in front)
 */
export function parsePublicArea(bytes: Uint8Array): PublicArea {
  return readStructure('TPMT_PUBLIC', bytes, MAX_OCTETS, (reader) => readPublicArea(reader, bytes));
}

function readPublicArea(reader: StructureReader, bytes: Uint8Array): PublicArea {
  const type = reader.u16('type');
  if (type !== TPM_ALG.rsa && type !== TPM_ALG.ecc) {
    // The commonest mistake of all: a file of tpm2-tools is a TPM2B_PUBLIC.
    const found = type === bytes.length - 2 ? 'the size of a TPM2B_PUBLIC' : hex16(type);
    reader.fault('type', 'RSA (0x0001) or ECC (0x0023)', found, 2);
  }
  const nameAlg = readNameHash(reader, 'nameAlg');
  const attributes = readObjectAttributes(reader, 'objectAttributes');
  const authPolicy = readPolicy(reader, nameAlg);
  const symmetric = readSymmetric(reader);
  const common = { bytes, nameAlg, attributes, authPolicy, symmetric };
  return type === TPM_ALG.rsa
    ? { type: 'rsa', ...common, scheme: readRsaScheme(reader), ...readRsaKey(reader) }
    : { type: 'ecc', ...common, scheme: readEccScheme(reader), ...readEccKey(reader) };
}

function readPolicy(reader: StructureReader, nameAlg: NameHash): Uint8Array {
  const policy = reader.sized('authPolicy', { max: digestOctets(nameAlg) });
  if (policy.length !== 0 && policy.length !== digestOctets(nameAlg)) {
    reader.fault('authPolicy', 'nothing or a digest of nameAlg', `${policy.length} octets`, policy.length);
  }
  return policy;
}

/** TPMT_SYM_DEF_OBJECT (Part 2 §11.1.7). */
function readSymmetric(reader: StructureReader): SymmetricDefinition | undefined {
  const algorithm = reader.u16('parameters.symmetric.algorithm');
  if (algorithm === TPM_ALG.null) return undefined;
  if (algorithm !== TPM_ALG.aes) reader.fault('parameters.symmetric.algorithm', 'AES or NULL', hex16(algorithm), 2);
  const keyBits = reader.u16('parameters.symmetric.keyBits');
  if (!AES_KEY_BITS.has(keyBits)) {
    reader.fault('parameters.symmetric.keyBits', '128, 192 or 256', String(keyBits), 2);
  }
  const mode = reader.u16('parameters.symmetric.mode');
  if (mode !== TPM_ALG.cfb) reader.fault('parameters.symmetric.mode', 'CFB', hex16(mode), 2);
  return { algorithm: 'aes', keyBits: keyBits as 128 | 192 | 256 };
}

/** TPMT_RSA_SCHEME (Part 2 §11.2.4.2). */
function readRsaScheme(reader: StructureReader): KeyScheme | undefined {
  const scheme = reader.u16('parameters.scheme');
  switch (scheme) {
    case TPM_ALG.null:
      return undefined;
    case TPM_ALG.rsaes:
      return { algorithm: 'rsaes' };
    case TPM_ALG.rsassa:
      return { algorithm: 'rsassa', hash: readHash(reader, 'parameters.scheme.hashAlg') };
    case TPM_ALG.rsapss:
      return { algorithm: 'rsapss', hash: readHash(reader, 'parameters.scheme.hashAlg') };
    case TPM_ALG.oaep:
      return { algorithm: 'oaep', hash: readHash(reader, 'parameters.scheme.hashAlg') };
    default:
      return reader.fault('parameters.scheme', 'RSASSA, RSAPSS, RSAES, OAEP or NULL', hex16(scheme), 2);
  }
}

/** TPMT_ECC_SCHEME (Part 2 §11.2.5.6); ECDAA, SM2 and Schnorr keys certify nothing here. */
function readEccScheme(reader: StructureReader): KeyScheme | undefined {
  const scheme = reader.u16('parameters.scheme');
  switch (scheme) {
    case TPM_ALG.null:
      return undefined;
    case TPM_ALG.ecdsa:
      return { algorithm: 'ecdsa', hash: readHash(reader, 'parameters.scheme.hashAlg') };
    case TPM_ALG.ecdh:
      return { algorithm: 'ecdh', hash: readHash(reader, 'parameters.scheme.hashAlg') };
    default:
      return reader.fault('parameters.scheme', 'ECDSA, ECDH or NULL', hex16(scheme), 2);
  }
}

/** TPMS_RSA_PARMS from keyBits on, then TPM2B_PUBLIC_KEY_RSA. */
function readRsaKey(reader: StructureReader): Pick<RsaPublicArea, 'keyBits' | 'exponent' | 'modulus'> {
  const keyBits = reader.u16('parameters.keyBits');
  if (!RSA_KEY_BITS.has(keyBits)) reader.fault('parameters.keyBits', '1024, 2048, 3072 or 4096', String(keyBits), 2);
  const exponent = reader.u32('parameters.exponent') || DEFAULT_EXPONENT;
  if (exponent < DEFAULT_EXPONENT || exponent % 2 === 0) {
    reader.fault('parameters.exponent', '0 or an odd number above 65536', String(exponent), 4);
  }
  const modulus = reader.sized('unique', { min: keyBits / 8, max: keyBits / 8 });
  if (modulus[0]! < 0x80) reader.fault('unique', `a modulus of ${keyBits} bits`, 'a shorter one', modulus.length);
  if (modulus.at(-1)! % 2 === 0) reader.fault('unique', 'an odd modulus', 'an even one', modulus.length);
  return { keyBits, exponent, modulus };
}

/** TPMS_ECC_PARMS from curveID on, then TPMS_ECC_POINT. */
function readEccKey(reader: StructureReader): Pick<EccPublicArea, 'curve' | 'x' | 'y'> {
  const curve = readCurve(reader, 'parameters.curveID');
  const kdf = reader.u16('parameters.kdf');
  if (kdf !== TPM_ALG.null) readHash(reader, 'parameters.kdf.hashAlg');
  const octets = coordinateOctets(curve);
  const x = padded(reader.sized('unique.x', { min: 1, max: octets }), octets);
  const y = padded(reader.sized('unique.y', { min: 1, max: octets }), octets);
  return { curve, x, y };
}

function padded(number: Uint8Array, octets: number): Uint8Array {
  if (number.length === octets) return number;
  const whole = new Uint8Array(octets);
  whole.set(number, octets - number.length);
  return whole;
}
