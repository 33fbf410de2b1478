import pkcs11js, { type Handle, type Template } from 'pkcs11js';
import { parseSubjectPublicKeyInfo } from '../../x509/public-key.ts';
import { type KeyAlgorithm, keyAlgorithmOf } from '../key-algorithm.ts';
import type { KeyObject, KeyProtection, KeyReference } from '../token-backend.ts';
import { type ObjectReader, findObjects, readFlag, readNumber, readOctets } from './attributes.ts';
import { PKCS11_V3 } from './constants.ts';
import { TokenFault } from './token-fault.ts';
import { ecSpki, ed25519Spki, mlDsaSpki, rsaSpki } from './token-public-key.ts';

/** A private key's handle, good until the login ends, with what the token says about it. */
export interface FoundKey {
  readonly handle: Handle;
  readonly object: KeyObject;
}

/** The private keys that a reference names; those of kinds Muster does not use are left out. */
export function findPrivateKeys(reader: ObjectReader, reference: Partial<KeyReference>): FoundKey[] {
  const handles = findObjects(reader, privateKeyTemplate(reference));
  return handles.flatMap((handle) => {
    const object = describePrivateKey(reader, handle);
    return object === undefined ? [] : [{ handle, object }];
  });
}

/** The one private key that a reference names. Throws TokenFault `missing-key` when there is none, or more than one. */
export function findPrivateKey(reader: ObjectReader, reference: KeyReference): FoundKey {
  const [key, another] = findPrivateKeys(reader, reference);
  const name = reference.label ?? reference.id ?? '';
  if (key === undefined) throw new TokenFault('missing-key', `the token holds no usable private key "${name}"`);
  if (another !== undefined) throw new TokenFault('missing-key', `the token holds several private keys "${name}"`);
  return key;
}

/** Describes a private key; `undefined` when its kind is none of Muster's. */
export function describePrivateKey(reader: ObjectReader, handle: Handle): KeyObject | undefined {
  const id = readOctets(reader, handle, pkcs11js.CKA_ID) ?? Buffer.alloc(0);
  const key = publicKeyOf(reader, handle, id);
  if (key === undefined) return undefined;
  return {
    id: id.toString('hex'),
    label: readOctets(reader, handle, pkcs11js.CKA_LABEL)?.toString('utf8') ?? '',
    ...key,
    usages: {
      sign: readFlag(reader, handle, pkcs11js.CKA_SIGN) === true,
      decrypt: readFlag(reader, handle, pkcs11js.CKA_DECRYPT) === true,
      unwrap: readFlag(reader, handle, pkcs11js.CKA_UNWRAP) === true,
    },
    protection: readProtection(reader, handle),
  };
}

/**
 * Throws TokenFault `insecure-key` unless the token vouches that the private key never was outside and never will be.
 *
 * CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are false of every key that was brought in (PKCS#11 §4.9), so where both are
 * true, CKA_LOCAL adds nothing: NSS says false of the keys it made itself.
 */
export function assertProtected({ label, protection }: KeyObject): void {
  const { sensitive, extractable, alwaysSensitive, neverExtractable, local } = protection;
  const neverOutside = alwaysSensitive === true && neverExtractable === true;
  const faults = [
    sensitive === true ? undefined : 'CKA_SENSITIVE is not true',
    extractable === false ? undefined : 'CKA_EXTRACTABLE is not false',
    alwaysSensitive === false ? 'CKA_ALWAYS_SENSITIVE is false' : undefined,
    neverExtractable === false ? 'CKA_NEVER_EXTRACTABLE is false' : undefined,
    local === false && !neverOutside ? 'CKA_LOCAL is false' : undefined,
  ].filter((fault) => fault !== undefined);
  if (faults.length > 0)
    throw new TokenFault('insecure-key', `key "${label}" may leave its token: ${faults.join(', ')}`);
}

function privateKeyTemplate({ id, label }: Partial<KeyReference>): Template {
  const template: Template = [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY },
    { type: pkcs11js.CKA_TOKEN, value: true },
  ];
  if (id !== undefined) template.push({ type: pkcs11js.CKA_ID, value: Buffer.from(id, 'hex') });
  if (label !== undefined) template.push({ type: pkcs11js.CKA_LABEL, value: label });
  return template;
}

function readProtection(reader: ObjectReader, handle: Handle): KeyProtection {
  return {
    sensitive: readFlag(reader, handle, pkcs11js.CKA_SENSITIVE),
    extractable: readFlag(reader, handle, pkcs11js.CKA_EXTRACTABLE),
    alwaysSensitive: readFlag(reader, handle, pkcs11js.CKA_ALWAYS_SENSITIVE),
    neverExtractable: readFlag(reader, handle, pkcs11js.CKA_NEVER_EXTRACTABLE),
    local: readFlag(reader, handle, pkcs11js.CKA_LOCAL),
    modifiable: readFlag(reader, handle, pkcs11js.CKA_MODIFIABLE),
  };
}

function publicKeyOf(
  reader: ObjectReader,
  privateKey: Handle,
  id: Buffer,
): { algorithm: KeyAlgorithm; spki: Uint8Array } | undefined {
  const spki = readSpki(reader, privateKey, id);
  const algorithm = spki === undefined ? undefined : algorithmOf(spki);
  return spki === undefined || algorithm === undefined ? undefined : { algorithm, spki };
}

function algorithmOf(spki: Uint8Array): KeyAlgorithm | undefined {
  try {
    return keyAlgorithmOf(parseSubjectPublicKeyInfo(spki).algorithm);
  } catch {
    return undefined;
  }
}

function readSpki(reader: ObjectReader, privateKey: Handle, id: Buffer): Uint8Array | undefined {
  // The public half is asked first: a token need not repeat a public value in the private object.
  const halves = [...(id.length === 0 ? [] : findObjects(reader, publicKeyTemplate(id))), privateKey];
  const read = (type: number): Buffer | undefined => {
    for (const half of halves) {
      const octets = readOctets(reader, half, type);
      if (octets !== undefined && octets.length > 0) return octets;
    }
    return undefined;
  };
  return spkiOf(readNumber(reader, privateKey, pkcs11js.CKA_KEY_TYPE), read) ?? read(PKCS11_V3.CKA_PUBLIC_KEY_INFO);
}

function spkiOf(keyType: number | undefined, read: (type: number) => Buffer | undefined): Uint8Array | undefined {
  switch (keyType) {
    case pkcs11js.CKK_RSA:
      return both(read(pkcs11js.CKA_MODULUS), read(pkcs11js.CKA_PUBLIC_EXPONENT), rsaSpki);
    case pkcs11js.CKK_EC:
      return both(read(pkcs11js.CKA_EC_PARAMS), read(pkcs11js.CKA_EC_POINT), ecSpki);
    case PKCS11_V3.CKK_EC_EDWARDS:
      return ed25519Of(read(pkcs11js.CKA_EC_POINT));
    case PKCS11_V3.CKK_ML_DSA:
      return both(read(PKCS11_V3.CKA_PARAMETER_SET), read(pkcs11js.CKA_VALUE), (set, value) =>
        mlDsaSpki(mlDsaSet(set), value),
      );
    case undefined:
    default:
      return undefined;
  }
}

function both<T>(
  a: Buffer | undefined,
  b: Buffer | undefined,
  build: (a: Buffer, b: Buffer) => T | undefined,
): T | undefined {
  return a === undefined || b === undefined ? undefined : build(a, b);
}

/** CKP_ML_DSA_44, _65 and _87 are 1, 2 and 3 (PKCS#11 3.2). */
function mlDsaSet(parameterSet: Buffer): 44 | 65 | 87 {
  const set = ([44, 65, 87] as const)[parameterSet.readUInt32LE(0) - 1];
  if (set === undefined) throw new TokenFault('unsupported', 'unknown CKA_PARAMETER_SET of an ML-DSA key');
  return set;
}

function publicKeyTemplate(id: Buffer): Template {
  return [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PUBLIC_KEY },
    { type: pkcs11js.CKA_ID, value: id },
  ];
}

function ed25519Of(point: Buffer | undefined): Uint8Array | undefined {
  return point === undefined ? undefined : ed25519Spki(point);
}
