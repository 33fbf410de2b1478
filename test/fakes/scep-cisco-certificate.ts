import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import forge from 'node-forge';

import {
  algorithm,
  type Asn1,
  bitString,
  children,
  contextTag,
  der,
  fromDer,
  integer,
  latin1,
  octetsOf,
  oid,
  oidOf,
  printable,
  sequence,
  set,
  utcTime,
} from './scep-cisco-asn1.ts';

/** Digests that IOS offers; `md5` is what it falls back to (RFC 8894 §2.9 forbids it). */
export type CiscoDigest = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** OIDs of the digests, alone and with RSA. */
export const DIGESTS: Record<CiscoDigest, { readonly digest: string; readonly withRsa: string }> = {
  md5: { digest: '1.2.840.113549.2.5', withRsa: '1.2.840.113549.1.1.4' },
  sha1: { digest: '1.3.14.3.2.26', withRsa: '1.2.840.113549.1.1.5' },
  sha256: { digest: '2.16.840.1.101.3.4.2.1', withRsa: '1.2.840.113549.1.1.11' },
  sha384: { digest: '2.16.840.1.101.3.4.2.2', withRsa: '1.2.840.113549.1.1.12' },
  sha512: { digest: '2.16.840.1.101.3.4.2.3', withRsa: '1.2.840.113549.1.1.13' },
};

/** A certificate as this client handles it: DER and the parts that messages repeat octet by octet. */
export interface CiscoCertificate {
  readonly der: string;
  readonly issuer: string;
  /** The whole INTEGER. */
  readonly serialNumber: string;
  readonly subject: string;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: string;
}

/** Takes a certificate apart as far as SCEP needs it. */
export function readCertificate(octets: string): CiscoCertificate {
  const [tbs] = children(fromDer(octets));
  const fields = children(tbs);
  // version is [0] EXPLICIT and may be absent.
  const first = fields[0]!.tagClass === forge.asn1.Class.CONTEXT_SPECIFIC ? 1 : 0;
  const [serialNumber, , issuer, , subject, publicKey] = fields.slice(first).map(der);
  return { der: octets, serialNumber: serialNumber!, issuer: issuer!, subject: subject!, publicKey: publicKey! };
}

/** The public half of a key as SubjectPublicKeyInfo, as OpenSSL writes it. */
export function publicKeyInfo(key: KeyObject): Asn1 {
  return fromDer(createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('latin1'));
}

/** An RSA signature by OpenSSL, which still knows MD5; forge takes fifty milliseconds for one. */
export function signOctets(octets: string, key: KeyObject, digest: CiscoDigest): string {
  return sign(digest, latin1(octets), key).toString('latin1');
}

/** The RSA key of a certificate. */
export function rsaKeyOf({ publicKey }: CiscoCertificate): forge.pki.rsa.PublicKey {
  // Here forge wants the BIT STRING taken apart.
  return forge.pki.publicKeyFromAsn1(forge.asn1.fromDer(publicKey)) as forge.pki.rsa.PublicKey;
}

/** The subject IOS makes from its host name: unstructuredName in a set with what the operator configured as CN. */
export function ciscoSubject(hostname: string, commonName?: string): Asn1 {
  const attribute = (type: string, text: string): Asn1 => set(sequence(oid(type), printable(text)));
  return sequence(
    ...(commonName === undefined ? [] : [attribute('2.5.4.3', commonName)]),
    attribute('1.2.840.113549.1.9.2', hostname),
  );
}

/**
 * The self-signed certificate that IOS makes for one message (RFC 8894 §2.3). CSCuw41120: the serial number's first octet has its
 * high bit set and no zero before it, so that it reads as a negative INTEGER.
 */
export function temporaryCertificate(privateKey: KeyObject, subject: Asn1, digest: CiscoDigest): CiscoCertificate {
  const signature = algorithm(DIGESTS[digest].withRsa);
  const now = Date.now();
  const tbs = sequence(
    integer(`\x96${forge.random.getBytesSync(7)}`),
    signature,
    subject,
    sequence(utcTime(new Date(now - 3_600_000)), utcTime(new Date(now + 7 * 86_400_000))),
    subject,
    publicKeyInfo(privateKey),
  );
  return readCertificate(der(signed(tbs, signature, privateKey, digest)));
}

/** Whether keyUsage is there and has this bit. */
export function hasKeyUsage(certificate: CiscoCertificate, usage: keyof typeof KEY_USAGE_BIT): boolean {
  const [tbs] = children(fromDer(certificate.der));
  const extensions = contextTag(children(tbs).slice(1), 3);
  const keyUsage = (extensions === undefined ? [] : children(children(extensions)[0]))
    .map(children)
    .find(([type]) => oidOf(type) === KEY_USAGE);
  if (keyUsage === undefined) return false;
  // A BIT STRING: how many bits are unused, then the bits.
  const bits = octetsOf(fromDer(octetsOf(keyUsage.at(-1))));
  return (bits.charCodeAt(1) & KEY_USAGE_BIT[usage]) !== 0;
}

const KEY_USAGE = '2.5.29.15';
const KEY_USAGE_BIT = { digitalSignature: 0x80, keyEncipherment: 0x20 } as const;

/** `SIGNED{ToBeSigned}` of X.509. */
export function signed(tbs: Asn1, signature: Asn1, key: KeyObject, digest: CiscoDigest): Asn1 {
  return sequence(tbs, signature, bitString(signOctets(der(tbs), key, digest)));
}
