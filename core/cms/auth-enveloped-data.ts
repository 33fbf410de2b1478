import { encode } from '../asn1/codec.ts';
import type { Limits } from '../asn1/codec.ts';
import { implicit, octetString, optional, sequence, smallInteger, withDer } from '../asn1/schema.ts';
import {
  SET_OF,
  attributesFromWire,
  attributesSchema,
  attributesToWire,
  contentTypeAttribute,
  retag,
} from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { CmsDecryptError } from './cms-error.ts';
import {
  cipherIdentifier,
  freshContentKey,
  freshGcmParameters,
  gcmParametersOf,
  keyLengthOf,
} from './content-cipher.ts';
import type { GcmCipher, GcmParameters } from './content-cipher.ts';
import { openGcm, sealGcm } from './content-encryption.ts';
import { decodeContent, encodeContentInfo } from './content-info.ts';
import { encryptedContentInfoSchema } from './encrypted-content.ts';
import type { DecryptedContent } from './enveloped-data.ts';
import { CONTENT_TYPE } from './oids.ts';
import { originatorInfoSchema, recipientInfosSchema, recipientsFromWire } from './recipient-info.ts';
import type { RecipientInfo } from './recipient-info.ts';
import type { RecipientKey } from './recipient-key.ts';
import { openContentKey, recipientInfoFor } from './recipient.ts';
import type { Recipient } from './recipient.ts';

// RFC 5083 §2.1
const authEnvelopedDataSchema = sequence('AuthEnvelopedData', {
  version: smallInteger,
  originatorInfo: optional(implicit(0, originatorInfoSchema)),
  recipientInfos: recipientInfosSchema,
  authEncryptedContentInfo: encryptedContentInfoSchema,
  authAttrs: optional(withDer(implicit(1, attributesSchema))),
  mac: octetString,
  unauthAttrs: optional(implicit(2, attributesSchema)),
});

/** Identifier octet of authAttrs: [1] IMPLICIT, constructed. */
const AUTH_ATTRS = 0xa1;

/** What to encrypt and authenticate, how, and for whom. */
export interface AuthEnvelopedDataTemplate {
  readonly content: Uint8Array;
  /** Dotted OID; default id-data. Another is also written as an authenticated attribute (RFC 5083 §2.1). */
  readonly contentType?: string;
  readonly cipher: GcmCipher;
  readonly recipients: readonly Recipient[];
}

/** An AuthEnvelopedData, as it came. */
export interface AuthEnvelopedData {
  /** Content type of what is encrypted. */
  readonly contentType: string;
  readonly encryption: GcmParameters;
  readonly recipients: readonly RecipientInfo[];
  readonly encryptedContent: Uint8Array;
  readonly mac: Uint8Array;
  /** Authentic once the message is decrypted. */
  readonly authenticatedAttributes: readonly Attribute[];
  /** What the tag covers besides the content: the attributes as they came under the tag of SET, or nothing. */
  readonly authenticatedDer: Uint8Array;
}

/** Encrypts content under a fresh key for each of the recipients (RFC 5083, AES-GCM of RFC 5084), in a ContentInfo. */
export async function buildAuthEnvelopedData(template: AuthEnvelopedDataTemplate): Promise<Uint8Array> {
  const { content, contentType = CONTENT_TYPE.data, cipher, recipients } = template;
  const contentKey = freshContentKey(cipher);
  const parameters = freshGcmParameters(cipher);
  const recipientInfos = await Promise.all(recipients.map((recipient) => recipientInfoFor(recipient, contentKey)));
  const attributes =
    contentType === CONTENT_TYPE.data ? undefined : attributesToWire([contentTypeAttribute(contentType)]);
  const authenticated = attributes === undefined ? new Uint8Array() : encode(attributesSchema, attributes);
  const { ciphertext, tag } = sealGcm(parameters, contentKey, content, authenticated);
  contentKey.fill(0);
  const authEnvelopedData = encode(authEnvelopedDataSchema, {
    version: 0,
    recipientInfos,
    authEncryptedContentInfo: {
      contentType,
      contentEncryptionAlgorithm: cipherIdentifier(parameters),
      encryptedContent: ciphertext,
    },
    authAttrs: attributes === undefined ? undefined : { value: attributes, der: retag(authenticated, AUTH_ATTRS) },
    mac: tag,
  });
  return encodeContentInfo({ contentType: CONTENT_TYPE.authEnvelopedData, content: authEnvelopedData });
}

/**
 * Reads a ContentInfo that holds an AuthEnvelopedData; BER is normalised. Decrypts nothing.
 *
 * @throws Asn1Error; CmsError `unsupported-algorithm` for ciphers other than AES-GCM
 */
export function parseAuthEnvelopedData(bytes: Uint8Array, limits?: Partial<Limits>): AuthEnvelopedData {
  const wire = decodeContent(CONTENT_TYPE.authEnvelopedData, authEnvelopedDataSchema, bytes, limits);
  const { contentType, contentEncryptionAlgorithm, encryptedContent } = wire.authEncryptedContentInfo;
  return {
    contentType,
    encryption: gcmParametersOf(contentEncryptionAlgorithm),
    recipients: recipientsFromWire(wire.recipientInfos),
    encryptedContent: encryptedContent ?? new Uint8Array(),
    mac: wire.mac,
    authenticatedAttributes: attributesFromWire(wire.authAttrs?.value ?? []),
    authenticatedDer: wire.authAttrs === undefined ? new Uint8Array() : retag(wire.authAttrs.der, SET_OF),
  };
}

/**
 * Decrypts an AuthEnvelopedData with whichever of our keys its one RecipientInfo for us names.
 *
 * @throws CmsError for what anyone can see in the message, before a key is used; CmsDecryptError for everything after;
 * what a key's callbacks throw passes unchanged
 */
export async function decryptAuthEnvelopedData(
  message: AuthEnvelopedData,
  keys: readonly RecipientKey[],
): Promise<DecryptedContent> {
  const { encryption, encryptedContent, contentType, mac } = message;
  const { contentKey, recipient } = await openContentKey(message.recipients, keys, keyLengthOf(encryption.cipher));
  try {
    if (mac.length !== encryption.tagLength) throw new CmsDecryptError();
    const sealed = { ciphertext: encryptedContent, tag: mac };
    return { contentType, content: openGcm(encryption, contentKey, sealed, message.authenticatedDer), recipient };
  } finally {
    contentKey.fill(0);
  }
}
