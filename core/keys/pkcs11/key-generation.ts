import { randomBytes } from 'node:crypto';
import pkcs11js, { type Handle, type Mechanism, type Template } from 'pkcs11js';
import { KEY_ALGORITHMS, type KeyParameters } from '../key-algorithm.ts';
import type { GenerateRequest, KeyUsage } from '../token-backend.ts';
import { PKCS11_V3 } from './constants.ts';
import { curveParameters } from './token-public-key.ts';

/** Octets of CKA_ID: random, so that no two pairs ever share one, whatever they are called. */
const ID_OCTETS = 20;
/** 65537. */
const PUBLIC_EXPONENT = Buffer.of(1, 0, 1);
/** The curve of Ed25519 as PKCS#11 3.0 §2.3.3 names it (PrintableString "edwards25519"); OIDs came into use besides. */
const EDWARDS25519 = Buffer.from('130c656477617264733235353139', 'hex');
/** CKP_ML_DSA_* of PKCS#11 3.2. */
const ML_DSA_SET = { 44: 1, 65: 2, 87: 3 } as const;

/** What C_GenerateKeyPair is called with. */
export interface GenerationPlan {
  readonly mechanism: Mechanism;
  readonly publicKey: Template;
  readonly privateKey: Template;
}

/** The mechanism that makes keys of these parameters, and the one that uses them to sign. */
export function mechanismsOf(parameters: KeyParameters): { readonly generate: number; readonly sign: number } {
  switch (parameters.kind) {
    case 'rsa':
      return { generate: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN, sign: pkcs11js.CKM_RSA_PKCS };
    case 'ec':
      return { generate: pkcs11js.CKM_EC_KEY_PAIR_GEN, sign: pkcs11js.CKM_ECDSA };
    case 'ed25519':
      return { generate: PKCS11_V3.CKM_EC_EDWARDS_KEY_PAIR_GEN, sign: PKCS11_V3.CKM_EDDSA };
    case 'ml-dsa':
      return { generate: PKCS11_V3.CKM_ML_DSA_KEY_PAIR_GEN, sign: PKCS11_V3.CKM_ML_DSA };
  }
}

/** Templates of a pair that stays in the token, with one usage and a CKA_ID of its own. */
export function planGeneration({ algorithm, label, usage }: GenerateRequest): GenerationPlan {
  const parameters: KeyParameters = KEY_ALGORITHMS[algorithm];
  const common: Template = [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_ID, value: randomBytes(ID_OCTETS) },
    { type: pkcs11js.CKA_LABEL, value: label },
    { type: pkcs11js.CKA_MODIFIABLE, value: false },
  ];
  return {
    mechanism: { mechanism: mechanismsOf(parameters).generate },
    publicKey: [...common, ...publicUsages(parameters, usage), ...domainParameters(parameters)],
    privateKey: [
      ...common,
      { type: pkcs11js.CKA_PRIVATE, value: true },
      { type: pkcs11js.CKA_SENSITIVE, value: true },
      { type: pkcs11js.CKA_EXTRACTABLE, value: false },
      ...privateUsages(parameters, usage),
    ],
  };
}

/** Makes the pair in the thread pool. */
export function generatePair(
  api: pkcs11js.PKCS11,
  session: Handle,
  { mechanism, publicKey, privateKey }: GenerationPlan,
): Promise<{ publicKey: Handle; privateKey: Handle }> {
  return api.C_GenerateKeyPairAsync(session, mechanism, publicKey, privateKey);
}

function domainParameters(parameters: KeyParameters): Template {
  switch (parameters.kind) {
    case 'rsa':
      return [
        { type: pkcs11js.CKA_MODULUS_BITS, value: parameters.bits },
        { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: PUBLIC_EXPONENT },
      ];
    case 'ec':
      return [{ type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from(curveParameters(parameters.curve)) }];
    case 'ed25519':
      return [{ type: pkcs11js.CKA_EC_PARAMS, value: EDWARDS25519 }];
    case 'ml-dsa':
      return [{ type: PKCS11_V3.CKA_PARAMETER_SET, value: ML_DSA_SET[parameters.parameterSet] }];
  }
}

function publicUsages(parameters: KeyParameters, usage: KeyUsage): Template {
  const encrypts = parameters.kind === 'rsa' && usage !== 'sign';
  return [
    { type: pkcs11js.CKA_VERIFY, value: usage !== 'decrypt' },
    { type: pkcs11js.CKA_ENCRYPT, value: encrypts },
    { type: pkcs11js.CKA_WRAP, value: encrypts },
  ];
}

// Said of every usage, as the default of a token may be "everything". Unwrapping is decrypting with the padding left to the
// token: the one way that tokens offer which refuse bare RSA.
function privateUsages(parameters: KeyParameters, usage: KeyUsage): Template {
  const decrypts = parameters.kind === 'rsa' && usage !== 'sign';
  return [
    { type: pkcs11js.CKA_SIGN, value: usage !== 'decrypt' },
    { type: pkcs11js.CKA_DECRYPT, value: decrypts },
    { type: pkcs11js.CKA_UNWRAP, value: decrypts },
    { type: pkcs11js.CKA_DERIVE, value: false },
  ];
}
