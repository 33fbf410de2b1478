import { unwrapKey, wrapIdentifier, wrapKey, wrapKeyLengthOf } from './aes-key-wrap.ts';
import type { WrapKeyLength } from './aes-key-wrap.ts';
import { CmsError } from './cms-error.ts';
import { keyAgreementFor, openKeyAgreement } from './key-agreement.ts';
import { keyTransportFor, openKeyTransport } from './key-transport.ts';
import type { CertificateRecipient } from './key-transport.ts';
import type { OaepHash } from './oaep-parameters.ts';
import { openPasswordRecipient, passwordRecipientFor } from './password-recipient.ts';
import type { RecipientInfo, RecipientInfoWire } from './recipient-info.ts';
import { onlyOpening } from './recipient-key.ts';
import type { Opening, RecipientKey } from './recipient-key.ts';

/** Someone to encrypt for. */
export type Recipient =
  | (CertificateRecipient & {
      readonly kind: 'rsa';
      readonly keyTransport: 'pkcs1' | 'oaep';
      /** Default sha256; SHA-1 is what clients mean that say OAEP without parameters. */
      readonly oaepHash?: OaepHash;
    })
  | (CertificateRecipient & { readonly kind: 'ecdh' })
  | {
      readonly kind: 'key-encryption-key';
      readonly keyIdentifier: Uint8Array;
      /** 16, 24 or 32 octets. */
      readonly key: Uint8Array;
    }
  | {
      readonly kind: 'password';
      /** Octets of the text in UTF-8. */
      readonly password: Uint8Array;
      /** Of PBKDF2, 100 to 100,000, which is the default. */
      readonly iterations?: number;
    };

/** The RecipientInfo that offers the content-encryption key to a recipient. */
export async function recipientInfoFor(recipient: Recipient, contentKey: Uint8Array): Promise<RecipientInfoWire> {
  switch (recipient.kind) {
    case 'rsa': {
      const { keyTransport: scheme, oaepHash: hash = 'sha256' } = recipient;
      return keyTransportFor(recipient, scheme === 'oaep' ? { scheme, hash } : { scheme }, contentKey);
    }
    case 'ecdh':
      return keyAgreementFor(recipient, contentKey);
    case 'key-encryption-key':
      return keyEncryptionKeyFor(recipient.keyIdentifier, recipient.key, contentKey);
    case 'password':
      return passwordRecipientFor(recipient.password, contentKey, recipient.iterations);
  }
}

/** What opened a message. */
export interface OpenedKey {
  readonly contentKey: Uint8Array;
  readonly recipient: RecipientInfo;
}

/** Finds the one RecipientInfo for us and obtains the content-encryption key of `keyLength` octets. */
export async function openContentKey(
  recipients: readonly RecipientInfo[],
  keys: readonly RecipientKey[],
  keyLength: number,
): Promise<OpenedKey> {
  const opening = onlyOpening(recipients, keys);
  const contentKey = await openWith(opening, keyLength);
  if (contentKey.length !== keyLength) {
    throw new CmsError(
      'invalid-argument',
      `a key of ${keyLength} octets from the key's holder`,
      `${contentKey.length} octets`,
    );
  }
  return { contentKey, recipient: opening.recipient };
}

function openWith(opening: Opening, keyLength: number): Promise<Uint8Array> {
  switch (opening.kind) {
    case 'rsa':
      return openKeyTransport(opening, keyLength);
    case 'ecdh':
      return openKeyAgreement(opening, keyLength);
    case 'key-encryption-key':
      return openKeyEncryptionKey(opening, keyLength);
    case 'password':
      return openPasswordRecipient(opening, keyLength);
  }
}

// RFC 5652 §6.2.3
function keyEncryptionKeyFor(keyIdentifier: Uint8Array, key: Uint8Array, contentKey: Uint8Array): RecipientInfoWire {
  if (!isWrapKeyLength(key.length)) {
    throw new CmsError('invalid-argument', 'a key of 16, 24 or 32 octets', `${key.length} octets`);
  }
  return {
    kind: 'kekri',
    value: {
      version: 4,
      kekid: { keyIdentifier },
      keyEncryptionAlgorithm: wrapIdentifier(key.length),
      encryptedKey: wrapKey(key, contentKey),
    },
  };
}

async function openKeyEncryptionKey(
  { key: { key }, recipient }: Opening & { kind: 'key-encryption-key' },
  keyLength: number,
): Promise<Uint8Array> {
  const wrapKeyLength = wrapKeyLengthOf(recipient.algorithm);
  if (wrapKeyLength !== key.length) {
    throw new CmsError('unsupported-algorithm', `AES-${8 * key.length} key wrap`, `AES-${8 * wrapKeyLength}`);
  }
  return unwrapKey(key, recipient.encryptedKey, keyLength);
}

function isWrapKeyLength(length: number): length is WrapKeyLength {
  return length === 16 || length === 24 || length === 32;
}
