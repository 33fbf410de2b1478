import { hash } from 'node:crypto';

import { decode } from '../../core/asn1/codec.ts';
import { any, bitString, sequence } from '../../core/asn1/schema.ts';
import type { Certificate } from '../../core/x509/certificate.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import type { CertId, CertIdHash } from './messages.ts';

/** An authority as CertIDs name it. */
export interface KnownIssuer {
  readonly nameHash: Readonly<Record<CertIdHash, Uint8Array>>;
  readonly keyHash: Readonly<Record<CertIdHash, Uint8Array>>;
}

const subjectPublicKeyInfo = sequence('SubjectPublicKeyInfo', { algorithm: any, subjectPublicKey: bitString });

/** The hashes of an authority's name and key (RFC 6960 §4.1.1). */
export function knownIssuer({ subject, publicKey }: Certificate): KnownIssuer {
  // The hash covers the value of the BIT STRING without tag, length and the count of unused bits.
  const { bytes } = decode(subjectPublicKeyInfo, publicKey.der).subjectPublicKey;
  return { nameHash: hashesOf(subject.der), keyHash: hashesOf(bytes) };
}

/** Whether a CertID names this authority. */
export function isIssuer({ nameHash, keyHash }: KnownIssuer, id: CertId): boolean {
  if (id.hash === undefined) return false;
  return octetsEqual(id.issuerNameHash, nameHash[id.hash]) && octetsEqual(id.issuerKeyHash, keyHash[id.hash]);
}

function hashesOf(octets: Uint8Array): Readonly<Record<CertIdHash, Uint8Array>> {
  return { sha1: hash('sha1', octets, 'buffer'), sha256: hash('sha256', octets, 'buffer') };
}
