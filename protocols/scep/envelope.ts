import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { CmsError } from '../../core/cms/cms-error.ts';
import type { CbcCipher } from '../../core/cms/content-cipher.ts';
import {
  decryptEnvelopedData,
  keyTransportOf,
  parseEnvelopedData,
  type RecipientKey,
} from '../../core/cms/enveloped-data.ts';
import type { KeyTransport } from '../../core/cms/key-transport.ts';
import { onlyOpening } from '../../core/cms/recipient-key.ts';
import { MAX_MESSAGE_OCTETS } from './pki-message.ts';
import type { FailInfo } from './vocabulary.ts';

/** How a message was encrypted: an answer mirrors it (S26), because a client may know nothing else. */
export interface Encryption {
  readonly cipher: CbcCipher;
  readonly transport: KeyTransport;
}

/** A pkcsPKIEnvelope, read as far as everybody can read it. */
export interface Envelope<K> {
  readonly encryption: Encryption;
  /** Which of our keys it is for. */
  readonly key: K;
  /**
   * Decrypts it. Wrong padding of either kind yields garbage, never an error: the content must be read as
   * `even-work.ts` has it.
   * @throws UpstreamError when the token is away
   */
  open(): Promise<Uint8Array>;
}

/** An envelope that cannot be opened, for reasons that anybody can see in it. */
export interface ClosedEnvelope {
  readonly failInfo: FailInfo;
  readonly detail: string;
}

/** Reads the pkcsPKIEnvelope of a message without a private key. */
export function readEnvelope<K extends RecipientKey>(
  content: Uint8Array,
  keys: readonly K[],
  allowSingleDes: boolean,
): Envelope<K> | ClosedEnvelope {
  try {
    const envelopedData = parseEnvelopedData(content, { maxBytes: MAX_MESSAGE_OCTETS });
    const { cipher } = envelopedData.encryption;
    if (cipher === 'des-cbc' && !allowSingleDes)
      return { failInfo: 'badAlg', detail: 'single DES is not accepted here' };
    const { key: opening, recipient } = onlyOpening(envelopedData.recipients, keys);
    const key = keys.find((candidate) => candidate === opening)!;
    if (recipient.kind !== 'key-transport') return { failInfo: 'badAlg', detail: 'expected RSA key transport' };
    return {
      encryption: { cipher, transport: keyTransportOf(recipient.algorithm) },
      key,
      async open() {
        const options = { allowSingleDes, badPadding: 'kept' } as const;
        return (await decryptEnvelopedData(envelopedData, keys, options)).content;
      },
    };
  } catch (error) {
    if (error instanceof CmsError) {
      return {
        failInfo: error.fault === 'unsupported-algorithm' ? 'badAlg' : 'badMessageCheck',
        detail: error.message,
      };
    }
    if (error instanceof Asn1Error) return { failInfo: 'badMessageCheck', detail: error.message };
    throw error;
  }
}
