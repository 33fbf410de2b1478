import { hash } from 'node:crypto';
import {
  type HashName,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  type SignatureParameters,
} from '../x509/signature-algorithm.ts';
import { encodeEcdsaSignature } from './ecdsa-signature.ts';
import type { SignMechanism } from './token-backend.ts';

/** How a signature of X.509 is made with a token: what the token gets, by which mechanism, and what becomes of its answer. */
export interface SignaturePlan {
  readonly mechanism: SignMechanism;
  /** What the token signs: a digest, a DigestInfo, or the data. */
  input(data: Uint8Array): Uint8Array;
  /** The same from a digest that was made elsewhere; absent where the token signs the data. */
  readonly digested?: { readonly hashName: HashName; input(digest: Uint8Array): Uint8Array };
  /** The form that signatureValue has in X.509. */
  output(raw: Uint8Array): Uint8Array;
}

/** RFC 8017 §9.2, note 1: DigestInfo up to the digest. */
const DIGEST_INFO: Record<Exclude<HashName, 'sha1'>, Buffer> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
};

/**
 * Signatures over broken digests: for messages to devices that know no other, never for what X.509 signs. A ServiceKey makes
 * them, a CaKey cannot.
 */
export type LegacySignatureAlgorithm = 'sha1WithRSAEncryption' | 'md5WithRSAEncryption';

/** RFC 8017 §9.2, note 1. */
const LEGACY_DIGEST_INFO = {
  sha1WithRSAEncryption: { hashName: 'sha1', prefix: Buffer.from('3021300906052b0e03021a05000414', 'hex') },
  md5WithRSAEncryption: { hashName: 'md5', prefix: Buffer.from('3020300c06082a864886f70d020505000410', 'hex') },
} as const;

const PLANS: ReadonlyMap<SignatureAlgorithm, SignaturePlan> = new Map(
  (Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[]).flatMap((algorithm) => {
    const plan = planOf(SIGNATURE_ALGORITHMS[algorithm]);
    return plan === undefined ? [] : [[algorithm, plan] as const];
  }),
);

/** The plan of an algorithm; `undefined` for those that no token of Muster signs with: SHA-1 and Ed448. */
export function signaturePlan(algorithm: SignatureAlgorithm): SignaturePlan | undefined {
  return PLANS.get(algorithm);
}

/** The plan of a legacy algorithm, for RSA keys. */
export function legacySignaturePlan(algorithm: LegacySignatureAlgorithm): SignaturePlan {
  const { hashName, prefix } = LEGACY_DIGEST_INFO[algorithm];
  return {
    mechanism: 'rsa-pkcs1',
    input: (data) => Buffer.concat([prefix, hash(hashName, data, 'buffer')]),
    output: same,
  };
}

function planOf(parameters: SignatureParameters): SignaturePlan | undefined {
  switch (parameters.key) {
    case 'ec':
      return parameters.hash === 'sha1' ? undefined : ecdsaPlan(parameters.hash);
    case 'rsa':
      return parameters.hash === 'sha1' ? undefined : rsaPlan(parameters.padding, parameters.hash);
    case 'ed25519':
      return { mechanism: 'eddsa', input: same, output: same };
    case 'ml-dsa':
      return { mechanism: 'ml-dsa', input: same, output: same };
    case 'ed448':
      return undefined;
  }
}

function ecdsaPlan(hashName: HashName): SignaturePlan {
  return {
    mechanism: 'ecdsa',
    input: (data) => hash(hashName, data, 'buffer'),
    digested: { hashName, input: same },
    output: encodeEcdsaSignature,
  };
}

function rsaPlan(padding: 'pkcs1' | 'pss', hashName: Exclude<HashName, 'sha1'>): SignaturePlan {
  const digest = (data: Uint8Array): Buffer => hash(hashName, data, 'buffer');
  if (padding === 'pss') {
    return { mechanism: `rsa-pss-${hashName}`, input: digest, digested: { hashName, input: same }, output: same };
  }
  const digestInfo = (digested: Uint8Array): Uint8Array => Buffer.concat([DIGEST_INFO[hashName], digested]);
  return {
    mechanism: 'rsa-pkcs1',
    input: (data) => digestInfo(digest(data)),
    digested: { hashName, input: digestInfo },
    output: same,
  };
}

function same(bytes: Uint8Array): Uint8Array {
  return bytes;
}
