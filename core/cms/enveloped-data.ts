import { Asn1Error } from '../asn1/asn1-error.ts';
import { encode } from '../asn1/codec.ts';
import type { Limits } from '../asn1/codec.ts';
import { implicit, optional, sequence, smallInteger } from '../asn1/schema.ts';
import { attributesFromWire, attributesSchema } from './attribute.ts';
import type { Attribute } from './attribute.ts';
import { CmsError } from './cms-error.ts';
import {
  blockLengthOf,
  cbcParametersOf,
  cipherIdentifier,
  freshCbcParameters,
  freshContentKey,
  keyLengthOf,
} from './content-cipher.ts';
import type { CbcCipher, CbcParameters } from './content-cipher.ts';
import { decryptCbc, encryptCbc } from './content-encryption.ts';
import { decodeContent, encodeContentInfo } from './content-info.ts';
import { encryptedContentInfoSchema } from './encrypted-content.ts';
import { CONTENT_TYPE } from './oids.ts';
import {
  envelopedDataVersion,
  originatorInfoSchema,
  recipientInfosSchema,
  recipientsFromWire,
} from './recipient-info.ts';
import type { RecipientInfo } from './recipient-info.ts';
import type { RecipientKey } from './recipient-key.ts';
import { openContentKey, recipientInfoFor } from './recipient.ts';
import type { Recipient } from './recipient.ts';

export { keyTransportOf } from './key-transport.ts';
export type { RecipientInfo } from './recipient-info.ts';
export type { RecipientKey } from './recipient-key.ts';
export type { Recipient } from './recipient.ts';

// RFC 5652 §6.1
const envelopedDataSchema = sequence('EnvelopedData', {
  version: smallInteger,
  originatorInfo: optional(implicit(0, originatorInfoSchema)),
  recipientInfos: recipientInfosSchema,
  encryptedContentInfo: encryptedContentInfoSchema,
  unprotectedAttrs: optional(implicit(1, attributesSchema)),
});

/** Single DES is broken, and refused in both directions unless the caller says that the client knows nothing else. */
export interface LegacyCipherOptions {
  /** Allow des-cbc. Default false. */
  readonly allowSingleDes?: boolean;
}

/** What a caller may ask of {@link decryptEnvelopedData}. */
export interface DecryptOptions extends LegacyCipherOptions {
  /**
   * `kept`: content whose padding is wrong is answered with the padding in it. For who reads the content at once and answers
   * what cannot be read in one way: then wrong padding takes the same steps as wrong content (Vaudenay 2002). Default `throws`.
   */
  readonly badPadding?: 'throws' | 'kept';
}

/** What to encrypt, how, and for whom. */
export interface EnvelopedDataTemplate extends LegacyCipherOptions {
  readonly content: Uint8Array;
  /** Dotted OID; default id-data. */
  readonly contentType?: string;
  readonly cipher: CbcCipher;
  readonly recipients: readonly Recipient[];
}

/** An EnvelopedData, as it came. It authenticates nothing. */
export interface EnvelopedData {
  /** Content type of what is encrypted. */
  readonly contentType: string;
  readonly encryption: CbcParameters;
  readonly recipients: readonly RecipientInfo[];
  /** Whole blocks of the cipher, at least one. */
  readonly encryptedContent: Uint8Array;
  readonly unprotectedAttributes: readonly Attribute[];
}

/** What was encrypted, and the RecipientInfo that opened it, whose algorithms an answer may have to mirror. */
export interface DecryptedContent {
  readonly contentType: string;
  readonly content: Uint8Array;
  readonly recipient: RecipientInfo;
}

/**
 * Encrypts content under a fresh key for each of the recipients (RFC 5652 §6), in a ContentInfo.
 *
 * @throws CmsError `invalid-argument`, and `unsupported-algorithm` for des-cbc without leave
 */
export async function buildEnvelopedData(template: EnvelopedDataTemplate): Promise<Uint8Array> {
  const { content, contentType = CONTENT_TYPE.data, cipher, recipients } = template;
  assertAllowed(cipher, template);
  const contentKey = freshContentKey(cipher);
  const parameters = freshCbcParameters(cipher);
  const recipientInfos = await Promise.all(recipients.map((recipient) => recipientInfoFor(recipient, contentKey)));
  const envelopedData = encode(envelopedDataSchema, {
    version: envelopedDataVersion(recipientInfos),
    recipientInfos,
    encryptedContentInfo: {
      contentType,
      contentEncryptionAlgorithm: cipherIdentifier(parameters),
      encryptedContent: encryptCbc(parameters, contentKey, content),
    },
  });
  contentKey.fill(0);
  return encodeContentInfo({ contentType: CONTENT_TYPE.envelopedData, content: envelopedData });
}

/**
 * Reads a ContentInfo that holds an EnvelopedData; BER is normalised. Decrypts nothing.
 *
 * @throws Asn1Error; CmsError `unsupported-algorithm` for ciphers that are not known
 */
export function parseEnvelopedData(bytes: Uint8Array, limits?: Partial<Limits>): EnvelopedData {
  const wire = decodeContent(CONTENT_TYPE.envelopedData, envelopedDataSchema, bytes, limits);
  const { contentType, contentEncryptionAlgorithm, encryptedContent } = wire.encryptedContentInfo;
  const encryption = cbcParametersOf(contentEncryptionAlgorithm);
  const blocks = encryptedContent ?? new Uint8Array();
  if (blocks.length === 0 || blocks.length % blockLengthOf(encryption.cipher) !== 0) {
    throw new Asn1Error('whole blocks of the cipher', `${blocks.length} octets`, -1, 'EnvelopedData.encryptedContent');
  }
  return {
    contentType,
    encryption,
    recipients: recipientsFromWire(wire.recipientInfos),
    encryptedContent: blocks,
    unprotectedAttributes: attributesFromWire(wire.unprotectedAttrs ?? []),
  };
}

/**
 * Decrypts an EnvelopedData with whichever of our keys its one RecipientInfo for us names.
 *
 * @throws CmsError for what anyone can see in the message, before a key is used; CmsDecryptError for everything after;
 * what a key's callbacks throw passes unchanged
 */
export async function decryptEnvelopedData(
  envelopedData: EnvelopedData,
  keys: readonly RecipientKey[],
  options: DecryptOptions = {},
): Promise<DecryptedContent> {
  const { encryption, encryptedContent, contentType } = envelopedData;
  assertAllowed(encryption.cipher, options);
  const { contentKey, recipient } = await openContentKey(
    envelopedData.recipients,
    keys,
    keyLengthOf(encryption.cipher),
  );
  try {
    const content = decryptCbc(encryption, contentKey, encryptedContent, options.badPadding);
    return { contentType, content, recipient };
  } finally {
    contentKey.fill(0);
  }
}

function assertAllowed(cipher: CbcCipher, { allowSingleDes = false }: LegacyCipherOptions): void {
  if (cipher === 'des-cbc' && !allowSingleDes) {
    throw new CmsError('unsupported-algorithm', 'a cipher that is not broken', cipher);
  }
}
