import { createCipheriv, createPublicKey, constants, type KeyObject, publicEncrypt, randomBytes } from 'node:crypto';

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

/** What is wrong with an envelope, in the order in which a reader meets it (Bleichenbacher 1998, Vaudenay 2002). */
export const ENVELOPE_KINDS = ['valid', 'bad-padding', 'bad-key-length', 'bad-cbc', 'bad-asn1'] as const;
export type EnvelopeKind = (typeof ENVELOPE_KINDS)[number];

const AES_128_CBC = '2.16.840.1.101.3.4.1.2';
const KEY_OCTETS = 16;
const BLOCK_OCTETS = 16;

/**
 * Makes EnvelopedData of one length and form, for AES-128-CBC and PKCS #1 v1.5, whose fault shows only to who decrypts it: the
 * RSA block, the length of the key in it, the padding of the last cipher block, or the content.
 */
export class ChosenEnvelopes {
  readonly #publicKey: KeyObject;
  readonly #modulusOctets: number;
  readonly #request: Uint8Array;
  readonly #template: Buffer;
  /** Where the three that change stand in the template. */
  readonly #at: { readonly key: number; readonly iv: number; readonly content: number };

  /** @param request the content, in which nothing but the faults of an envelope changes */
  constructor(recipient: CiscoCertificate, request: Uint8Array) {
    this.#publicKey = createPublicKey({ key: latin1(recipient.publicKey), format: 'der', type: 'spki' });
    this.#modulusOctets = this.#publicKey.asymmetricKeyDetails!.modulusLength! / 8;
    this.#request = request;
    const key = randomBytes(this.#modulusOctets);
    const iv = randomBytes(BLOCK_OCTETS);
    const content = randomBytes(padded('valid', request).length);
    this.#template = latin1(envelopeWith(recipient, key, iv, content));
    this.#at = {
      key: this.#template.indexOf(key),
      iv: this.#template.indexOf(iv),
      content: this.#template.indexOf(content),
    };
  }

  /** A fresh one: its key, its random octets and what is wrong with it. */
  make(kind: EnvelopeKind): Buffer {
    const key = randomBytes(kind === 'bad-key-length' ? 24 : KEY_OCTETS);
    const iv = randomBytes(BLOCK_OCTETS);
    const block = rsaBlock(key, this.#modulusOctets, kind === 'bad-padding' ? 0x03 : 0x02);
    const envelope = Buffer.from(this.#template);
    envelope.set(publicEncrypt({ key: this.#publicKey, padding: constants.RSA_NO_PADDING }, block), this.#at.key);
    envelope.set(iv, this.#at.iv);
    const encryption = createCipheriv('aes-128-cbc', key.subarray(0, KEY_OCTETS), iv).setAutoPadding(false);
    envelope.set(encryption.update(padded(kind, this.#request)), this.#at.content);
    return envelope;
  }
}

function envelopeWith(recipient: CiscoCertificate, key: Buffer, iv: Buffer, encrypted: Buffer): string {
  const recipientInfo = sequence(
    smallInteger(0),
    issuerAndSerialNumber(recipient),
    algorithm(OIDS.rsaEncryption),
    octetString(key.toString('latin1')),
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
