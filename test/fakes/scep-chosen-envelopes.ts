import { createCipheriv, createPublicKey, constants, publicEncrypt, randomBytes } from 'node:crypto';

import {
  algorithm,
  der,
  latin1,
  octetString,
  oid,
  sequence,
  set,
  smallInteger,
  tagged,
  taggedOctets,
} from './scep-cisco-asn1.ts';
import type { CiscoCertificate } from './scep-cisco-certificate.ts';
import { issuerAndSerialNumber, OIDS } from './scep-cisco-messages.ts';

/** What is wrong with an envelope, in the order in which a reader meets it (reference: Bleichenbacher 1998, Vaudenay 2002). */
export const ENVELOPE_KINDS = ['valid', 'bad-padding', 'bad-key-length', 'bad-cbc', 'bad-asn1'] as const;
export type EnvelopeKind = (typeof ENVELOPE_KINDS)[number];

const AES_128_CBC = '2.16.840.1.101.3.4.1.2';
const KEY_OCTETS = 16;
const BLOCK_OCTETS = 16;

/**
 * EnvelopedData of one length and form, for AES-128-CBC and PKCS #1 v1.5, whose fault shows only to who decrypts it: the RSA
 * block, the length of the key in it, the padding of the last cipher block, or the content.
 */
export function chosenEnvelope(kind: EnvelopeKind, recipient: CiscoCertificate, request: Uint8Array): string {
  const key = randomBytes(kind === 'bad-key-length' ? 24 : KEY_OCTETS);
  const iv = randomBytes(BLOCK_OCTETS);
  const publicKey = createPublicKey({ key: latin1(recipient.publicKey), format: 'der', type: 'spki' });
  const modulusOctets = publicKey.asymmetricKeyDetails!.modulusLength! / 8;
  const block = rsaBlock(key, modulusOctets, kind === 'bad-padding' ? 0x03 : 0x02);
  const encryptedKey = publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block);
  const encryption = createCipheriv('aes-128-cbc', key.subarray(0, KEY_OCTETS), iv).setAutoPadding(false);
  const encrypted = encryption.update(padded(kind, request));
  const recipientInfo = sequence(
    smallInteger(0),
    issuerAndSerialNumber(recipient),
    algorithm(OIDS.rsaEncryption),
    octetString(encryptedKey.toString('latin1')),
  );
  const content = sequence(
    oid(OIDS.data),
    algorithm(AES_128_CBC, octetString(iv.toString('latin1'))),
    taggedOctets(0, encrypted.toString('latin1')),
  );
  const enveloped = sequence(smallInteger(0), set(recipientInfo), content);
  return der(sequence(oid(OIDS.envelopedData), tagged(0, enveloped)));
}

/** RFC 8017 §7.2.1: 0x00 ‖ blockType ‖ non-zero octets ‖ 0x00 ‖ key. */
function rsaBlock(key: Uint8Array, length: number, blockType: number): Buffer {
  const filler = randomBytes(length - key.length - 3).map((octet) => octet || 1);
  return Buffer.concat([Uint8Array.of(0, blockType), filler, Uint8Array.of(0), key]);
}

/** RFC 5652 §6.3, right or not; content that is no ASN.1 is as long as the request. */
function padded(kind: EnvelopeKind, request: Uint8Array): Buffer {
  const content = Buffer.from(request);
  // SEQUENCE becomes a tag that begins nothing here, and the rest is noise.
  if (kind === 'bad-asn1') content.set([0x04, ...randomBytes(content.length - 1)]);
  const count = BLOCK_OCTETS - (content.length % BLOCK_OCTETS);
  const padding = Buffer.alloc(count, count);
  if (kind === 'bad-cbc') padding[count - 1] = 0;
  return Buffer.concat([content, padding]);
}
