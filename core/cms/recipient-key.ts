import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { octetsEqual } from '../x509/octets.ts';
import { certificateIdentity, identifies } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';
import { CmsError } from './cms-error.ts';
import type { OaepHash } from './oaep-parameters.ts';
import type { RecipientInfo } from './recipient-info.ts';

/** An RSA-encrypted content-encryption key. */
export interface KeyTransportRequest {
  readonly scheme: 'pkcs1' | 'oaep';
  /** Hash of OAEP and of its mask; of no meaning for pkcs1. */
  readonly hash: OaepHash;
  readonly ciphertext: Uint8Array;
  /** Octets that the cipher needs. */
  readonly keyLength: number;
}

/**
 * A key of ours that can open messages. What its callbacks throw (a token that is down) passes to the caller unchanged,
 * so they throw nothing that depends on the ciphertext.
 */
export type RecipientKey =
  | {
      readonly kind: 'rsa';
      /** DER: what RecipientInfo names. */
      readonly certificate: Uint8Array;
      /**
       * Answers a key of `keyLength` octets for every ciphertext: where the padding is wrong, a pseudo-random one that
       * depends on the ciphertext alone (implicit rejection).
       */
      decryptKeyTransport(request: KeyTransportRequest): Promise<Uint8Array>;
    }
  | {
      readonly kind: 'ecdh';
      /** DER: what RecipientInfo names. */
      readonly certificate: Uint8Array;
      /** Answers the x coordinate of the shared point (SEC 1 §3.3.1). The ephemeral point is on our curve. */
      agree(request: { readonly ephemeralPublicKey: SubjectPublicKeyInfo }): Promise<Uint8Array>;
    }
  | { readonly kind: 'key-encryption-key'; readonly keyIdentifier: Uint8Array; readonly key: Uint8Array }
  | { readonly kind: 'password'; readonly password: Uint8Array };

/** A key of ours, and the way in which a message offers it the content-encryption key. */
export type Opening =
  | {
      readonly kind: 'rsa';
      readonly key: RecipientKey & { kind: 'rsa' };
      readonly recipient: RecipientOf<'key-transport'>;
    }
  | {
      readonly kind: 'ecdh';
      readonly key: RecipientKey & { kind: 'ecdh' };
      readonly recipient: RecipientOf<'key-agreement'>;
    }
  | {
      readonly kind: 'key-encryption-key';
      readonly key: RecipientKey & { kind: 'key-encryption-key' };
      readonly recipient: RecipientOf<'key-encryption-key'>;
    }
  | {
      readonly kind: 'password';
      readonly key: RecipientKey & { kind: 'password' };
      readonly recipient: RecipientOf<'password'>;
    };

/** One kind of RecipientInfo. */
type RecipientOf<K extends RecipientInfo['kind']> = RecipientInfo & { kind: K };

/**
 * The one RecipientInfo that is for one of our keys. Trying several against a private key multiplies an attacker's
 * queries (CVE-2026-42768), so several are refused before any key is used.
 *
 * @throws CmsError `recipient-absent`, `recipient-ambiguous`
 */
export function onlyOpening(recipients: readonly RecipientInfo[], keys: readonly RecipientKey[]): Opening {
  const openings = keys.flatMap((key) => openingsWith(key, recipients));
  const [first, ...others] = openings;
  if (first === undefined) throw new CmsError('recipient-absent', 'a RecipientInfo for our key', 'others');
  if (others.length > 0) throw new CmsError('recipient-ambiguous', 'one RecipientInfo for us', `${openings.length}`);
  return first;
}

function openingsWith(key: RecipientKey, recipients: readonly RecipientInfo[]): Opening[] {
  switch (key.kind) {
    case 'rsa':
      return ofKind(recipients, 'key-transport')
        .filter(({ recipient }) => names(recipient, key.certificate))
        .map((recipient) => ({ kind: key.kind, key, recipient }));
    case 'ecdh':
      return ofKind(recipients, 'key-agreement')
        .filter(({ recipient }) => names(recipient, key.certificate))
        .map((recipient) => ({ kind: key.kind, key, recipient }));
    case 'key-encryption-key':
      return ofKind(recipients, 'key-encryption-key')
        .filter(({ keyIdentifier }) => octetsEqual(keyIdentifier, key.keyIdentifier))
        .map((recipient) => ({ kind: key.kind, key, recipient }));
    case 'password':
      return ofKind(recipients, 'password').map((recipient) => ({ kind: key.kind, key, recipient }));
  }
}

function ofKind<K extends RecipientInfo['kind']>(recipients: readonly RecipientInfo[], kind: K): RecipientOf<K>[] {
  return recipients.filter((recipient): recipient is RecipientOf<K> => recipient.kind === kind);
}

function names(identifier: CertificateIdentifier, certificate: Uint8Array): boolean {
  return identifies(identifier, certificateIdentity(certificate));
}
