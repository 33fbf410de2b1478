import { execFileSync } from 'node:child_process';
import { createCipheriv, createHmac, hash as digest, type KeyObject, pbkdf2Sync, randomBytes } from 'node:crypto';

import { algorithm, bitString, directoryName, integer, nullValue, octetString, sequence } from './cmp-der.ts';
import { numberOf, oidOf, readCertificate, type Tlv } from './cmp-reader.ts';
import {
  type HashName,
  hashIdentifier,
  hashNamed,
  SIGNATURES,
  type SignatureName,
  signed,
  usualSignature,
} from './cmp-signatures.ts';

/** How a message is protected (RFC 9810 §5.1.3), and what its header says on account of that. */
export interface Protection {
  readonly kind: 'mac' | 'signature';
  /** AlgorithmIdentifier for protectionAlg. */
  readonly algorithm: Buffer;
  /** GeneralName. */
  readonly sender: Buffer;
  readonly senderKid: Buffer | undefined;
  readonly extraCerts: readonly Uint8Array[];
  /** The content of PKIProtection for a ProtectedPart. */
  protect(protectedPart: Uint8Array): Buffer;
}

/** A MAC secret as the server gave it out. */
export interface MacSecret {
  readonly reference: string;
  readonly secret: string | Uint8Array;
}

const HMACS = {
  sha1: '1.3.6.1.5.5.8.1.2',
  sha224: '1.2.840.113549.2.8',
  sha256: '1.2.840.113549.2.9',
  sha384: '1.2.840.113549.2.10',
  sha512: '1.2.840.113549.2.11',
  'sha3-256': '2.16.840.1.101.3.4.2.14',
  'sha3-384': '2.16.840.1.101.3.4.2.15',
  'sha3-512': '2.16.840.1.101.3.4.2.16',
} as const satisfies Record<HashName, string>;

/** hmacWithSHA1 of PKCS #5, beside the one of RFC 9481 §6.2.1. */
const HMAC_SHA1_PKCS5 = '1.2.840.113549.2.7';
const KMACS = { KMAC128: '2.16.840.1.101.3.4.2.19', KMAC256: '2.16.840.1.101.3.4.2.20' } as const;
const GMACS = {
  128: '2.16.840.1.101.3.4.1.9',
  192: '2.16.840.1.101.3.4.1.29',
  256: '2.16.840.1.101.3.4.1.49',
} as const;
const PBM = '1.2.840.113533.7.66.13';
const PBMAC1 = '1.2.840.113549.1.5.14';
const PBKDF2 = '1.2.840.113549.1.5.12';

/** A MAC with its AlgorithmIdentifier. */
interface Mac {
  readonly identifier: Buffer;
  compute(key: Uint8Array, data: Uint8Array): Buffer;
}

/** HMAC (RFC 9481 §6.2.1). */
export const hmac = (hash: HashName, identifier: string = HMACS[hash]): Mac => ({
  identifier: algorithm(identifier, identifier.startsWith('1.2.840.113549.2.') ? nullValue() : undefined),
  compute: (key, data) => createHmac(hash, key).update(data).digest(),
});

/** AES-GMAC (RFC 9044) with a tag of 12 octets. */
export function gmac(bits: 128 | 192 | 256, nonce: Uint8Array = randomBytes(12)): Mac {
  return {
    identifier: algorithm(GMACS[bits], sequence(octetString(nonce))),
    compute(key, data) {
      const cipher = createCipheriv(`aes-${bits}-gcm`, key.subarray(0, bits / 8), nonce, { authTagLength: 12 });
      cipher.setAAD(data);
      cipher.final();
      return cipher.getAuthTag();
    },
  };
}

/** KMAC with SHAKE (RFC 8702 §3.4), by openssl: node:crypto has none that is stable. */
export function kmac(variant: keyof typeof KMACS, outputBits: number = variant === 'KMAC128' ? 256 : 512): Mac {
  const isUsual = outputBits === (variant === 'KMAC128' ? 256 : 512);
  return {
    identifier: algorithm(KMACS[variant], isUsual ? undefined : sequence(integer(outputBits))),
    compute(key, data) {
      const hexKey = Buffer.from(key).toString('hex');
      const options = ['-binary', '-macopt', `hexkey:${hexKey}`, '-macopt', `size:${outputBits / 8}`, variant];
      return execFileSync('openssl', ['mac', ...options], { input: data });
    },
  };
}

/** Parameters of a password-based MAC. */
export interface PasswordMacOptions {
  readonly hash?: HashName;
  readonly mac?: Mac;
  readonly iterations?: number;
  /** What the parameters say instead: nobody computes as many as an attacker writes. */
  readonly claimedIterations?: number;
  readonly salt?: Uint8Array;
  /** Octets of the key, for PBMAC1. */
  readonly keyLength?: number;
}

/** PasswordBasedMac (RFC 9810 §5.1.3.1). Default: SHA-256, 1,000 iterations, HMAC-SHA256. */
export function passwordBasedMac(secret: MacSecret, options: PasswordMacOptions = {}): Protection {
  const { hash = 'sha256', mac = hmac('sha256'), iterations = 1000, salt = randomBytes(16) } = options;
  const parameters = sequence(
    octetString(salt),
    hashIdentifier(hash),
    integer(options.claimedIterations ?? iterations),
    mac.identifier,
  );
  const protect = keyed(mac, () => owfKey(hash, secret.secret, salt, iterations));
  return { ...sharedSecret(secret), algorithm: algorithm(PBM, parameters), protect };
}

/** PBMAC1 (RFC 8018 §7.1, RFC 9481 §6.1.2). Default: PBKDF2 with HMAC-SHA256, 1,000 iterations, 32 octets, HMAC-SHA256. */
export function pbmac1(secret: MacSecret, options: PasswordMacOptions = {}): Protection {
  const { hash = 'sha256', mac = hmac('sha256'), iterations = 1000, salt = randomBytes(16), keyLength = 32 } = options;
  const prf = hash === 'sha1' ? HMAC_SHA1_PKCS5 : HMACS[hash];
  const derivation = algorithm(
    PBKDF2,
    sequence(
      octetString(salt),
      integer(options.claimedIterations ?? iterations),
      integer(keyLength),
      algorithm(prf, nullValue()),
    ),
  );
  const protect = keyed(mac, () => pbkdf2Sync(octets(secret.secret), salt, iterations, keyLength, hash));
  return { ...sharedSecret(secret), algorithm: algorithm(PBMAC1, sequence(derivation, mac.identifier)), protect };
}

/** A MAC with the secret itself as its key (RFC 9481 §6.2). */
export const directMac = (secret: MacSecret, mac: Mac): Protection => ({
  ...sharedSecret(secret),
  algorithm: mac.identifier,
  protect: (data) => mac.compute(octets(secret.secret), data),
});

/** Who signs: a key, its certificate, and what leads from there to the root. */
export interface Signer {
  readonly key: KeyObject;
  readonly certificate: Uint8Array;
  readonly chain?: readonly Uint8Array[];
}

/** A signature by the key of a certificate; the sender and the key identifier are the certificate's. */
export function signature(signer: Signer, name: SignatureName = usualSignature(signer.key)): Protection {
  const { subject, subjectKeyIdentifier } = readCertificate(signer.certificate);
  return {
    kind: 'signature',
    algorithm: SIGNATURES[name].identifier,
    sender: directoryName(subject),
    senderKid: subjectKeyIdentifier,
    extraCerts: [signer.certificate, ...(signer.chain ?? [])],
    protect: (data) => signed(signer.key, data, name),
  };
}

/** PKMACValue over a public key (RFC 4211 §4.4): PBM with SHA-256, 500 iterations and HMAC-SHA256. */
export function publicKeyMac(secret: MacSecret, publicKey: Uint8Array): Buffer {
  const { algorithm: identifier, protect } = passwordBasedMac(secret, { iterations: 500 });
  return sequence(identifier, bitString(protect(publicKey)));
}

/** Whether a MAC over a ProtectedPart is the secret's, by what the protectionAlg itself says. */
export function isMacOf(secret: MacSecret, protectionAlg: Tlv, data: Uint8Array, bits: Uint8Array): boolean {
  const mac = macOf(protectionAlg, octets(secret.secret));
  return mac !== undefined && mac(data).equals(bits);
}

function macOf(identifier: Tlv, secret: Buffer): ((data: Uint8Array) => Buffer) | undefined {
  const [type, parameters] = identifier.children;
  switch (oidOf(type!)) {
    case PBM: {
      const [salt, owf, iterations, mac] = parameters!.children;
      const hash = hashNamed(oidOf(owf!.children[0]!));
      return hash && macOf(mac!, owfKey(hash, secret, salt!.contents, numberOf(iterations!)));
    }
    case PBMAC1: {
      const [salt, iterations, length, prf] = parameters!.children[0]!.children[1]!.children;
      const hash = prf && hmacNamed(oidOf(prf.children[0]!));
      const rounds = numberOf(iterations!);
      return (
        hash && macOf(parameters!.children[1]!, pbkdf2Sync(secret, salt!.contents, rounds, numberOf(length!), hash))
      );
    }
    default:
      return plainMac(identifier, secret);
  }
}

function plainMac({ children: [type, parameters] }: Tlv, key: Buffer): ((data: Uint8Array) => Buffer) | undefined {
  const dotted = oidOf(type!);
  const hash = hmacNamed(dotted);
  if (hash !== undefined) return (data) => hmac(hash).compute(key, data);
  for (const variant of ['KMAC128', 'KMAC256'] as const) {
    if (KMACS[variant] !== dotted) continue;
    const bits = parameters?.children[0]?.identifier === 0x02 ? numberOf(parameters.children[0]) : undefined;
    return (data) => kmac(variant, bits).compute(key, data);
  }
  for (const bits of [128, 192, 256] as const) {
    if (GMACS[bits] === dotted) return (data) => gmac(bits, parameters!.children[0]!.contents).compute(key, data);
  }
  return undefined;
}

const hmacNamed = (dotted: string): HashName | undefined =>
  dotted === HMAC_SHA1_PKCS5 ? 'sha1' : (Object.keys(HMACS) as HashName[]).find((hash) => HMACS[hash] === dotted);

const sharedSecret = ({ reference }: MacSecret): Pick<Protection, 'kind' | 'sender' | 'senderKid' | 'extraCerts'> => ({
  kind: 'mac',
  sender: directoryName(`CN=${reference}`),
  senderKid: Buffer.from(reference),
  extraCerts: [],
});

/** The key is derived once, when the first message needs it. */
function keyed(mac: Mac, derive: () => Uint8Array): (data: Uint8Array) => Buffer {
  let key: Uint8Array | undefined;
  return (data) => mac.compute((key ??= derive()), data);
}

/** RFC 9810 §5.1.3.1: the one-way function over secret and salt, then over its own output. */
function owfKey(hash: HashName, secret: string | Uint8Array, salt: Uint8Array, iterations: number): Buffer {
  let key = digest(hash, Buffer.concat([octets(secret), salt]), 'buffer');
  for (let i = 1; i < iterations; i += 1) key = digest(hash, key, 'buffer');
  return key;
}

const octets = (secret: string | Uint8Array): Buffer => Buffer.from(secret as string);
