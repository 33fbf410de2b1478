import {
  any,
  choice,
  explicit,
  generalizedTime,
  implicit,
  octetString,
  oid,
  optional,
  sequence,
  sequenceOf,
  setOf,
} from '../asn1/schema.ts';
import { bitString, smallInteger, withDer } from '../asn1/schema.ts';
import type { Infer } from '../asn1/schema.ts';
import { algorithmIdentifierSchema } from './algorithm-identifier.ts';
import type { AlgorithmIdentifier } from './algorithm-identifier.ts';
import { certificateIdentifierSchema, issuerAndSerialNumberSchema } from './certificate-identity.ts';
import type { CertificateIdentifier } from './certificate-identity.ts';

/** Each recipient costs a comparison with each of our keys. */
const MAX_RECIPIENTS = 16;

// RFC 5652 §6.2.1
const keyTransRecipientInfo = sequence('KeyTransRecipientInfo', {
  version: smallInteger,
  rid: certificateIdentifierSchema,
  keyEncryptionAlgorithm: algorithmIdentifierSchema,
  encryptedKey: octetString,
});

const otherKeyAttribute = sequence('OtherKeyAttribute', { keyAttrId: oid, keyAttr: optional(any) });

// RFC 5652 §6.2.2
const originatorPublicKey = sequence('OriginatorPublicKey', {
  algorithm: algorithmIdentifierSchema,
  publicKey: bitString,
});
const keyAgreeRecipientIdentifier = choice('KeyAgreeRecipientIdentifier', {
  issuerAndSerialNumber: issuerAndSerialNumberSchema,
  rKeyId: implicit(
    0,
    sequence('RecipientKeyIdentifier', {
      subjectKeyIdentifier: octetString,
      date: optional(generalizedTime),
      other: optional(otherKeyAttribute),
    }),
  ),
});
const keyAgreeRecipientInfo = sequence('KeyAgreeRecipientInfo', {
  version: smallInteger,
  originator: explicit(
    0,
    choice('OriginatorIdentifierOrKey', {
      issuerAndSerialNumber: issuerAndSerialNumberSchema,
      subjectKeyIdentifier: implicit(0, octetString),
      originatorKey: implicit(1, originatorPublicKey),
    }),
  ),
  ukm: optional(explicit(1, octetString)),
  keyEncryptionAlgorithm: algorithmIdentifierSchema,
  recipientEncryptedKeys: sequenceOf(
    sequence('RecipientEncryptedKey', { rid: keyAgreeRecipientIdentifier, encryptedKey: octetString }),
    { max: MAX_RECIPIENTS },
  ),
});

// RFC 5652 §6.2.3
const kekRecipientInfo = sequence('KEKRecipientInfo', {
  version: smallInteger,
  kekid: sequence('KEKIdentifier', {
    keyIdentifier: octetString,
    date: optional(generalizedTime),
    other: optional(otherKeyAttribute),
  }),
  keyEncryptionAlgorithm: algorithmIdentifierSchema,
  encryptedKey: octetString,
});

// RFC 5652 §6.2.4
const passwordRecipientInfo = sequence('PasswordRecipientInfo', {
  version: smallInteger,
  keyDerivationAlgorithm: optional(implicit(0, algorithmIdentifierSchema)),
  keyEncryptionAlgorithm: algorithmIdentifierSchema,
  encryptedKey: octetString,
});

/** RecipientInfo (RFC 5652 §6.2). */
const recipientInfoSchema = choice('RecipientInfo', {
  ktri: keyTransRecipientInfo,
  kari: implicit(1, keyAgreeRecipientInfo),
  kekri: implicit(2, kekRecipientInfo),
  pwri: implicit(3, passwordRecipientInfo),
  ori: implicit(4, sequence('OtherRecipientInfo', { oriType: oid, oriValue: any })),
});

/** RecipientInfos (RFC 5652 §6.1). */
export const recipientInfosSchema = setOf(recipientInfoSchema, { min: 1, max: MAX_RECIPIENTS });

/** OriginatorInfo (RFC 5652 §6.1): read, so that what follows can be, and not used. */
export const originatorInfoSchema = withDer(
  sequence('OriginatorInfo', {
    certs: optional(implicit(0, sequenceOf(any))),
    crls: optional(implicit(1, sequenceOf(any))),
  }),
);

/** A RecipientInfo in its wire form. */
export type RecipientInfoWire = Infer<typeof recipientInfoSchema>;

/** A way in which a message offers its content-encryption key: one for each recipient of a KeyAgreeRecipientInfo. */
export type RecipientInfo =
  | {
      readonly kind: 'key-transport';
      readonly recipient: CertificateIdentifier;
      readonly algorithm: AlgorithmIdentifier;
      readonly encryptedKey: Uint8Array;
    }
  | {
      readonly kind: 'key-agreement';
      readonly recipient: CertificateIdentifier;
      /** Undefined where the originator uses a static key, which is not supported. */
      readonly ephemeralKey: OriginatorPublicKey | undefined;
      /** User keying material, an input of the key derivation. */
      readonly ukm: Uint8Array | undefined;
      readonly algorithm: AlgorithmIdentifier;
      readonly encryptedKey: Uint8Array;
    }
  | {
      readonly kind: 'key-encryption-key';
      readonly keyIdentifier: Uint8Array;
      readonly algorithm: AlgorithmIdentifier;
      readonly encryptedKey: Uint8Array;
    }
  | {
      readonly kind: 'password';
      readonly derivation: AlgorithmIdentifier | undefined;
      readonly algorithm: AlgorithmIdentifier;
      readonly encryptedKey: Uint8Array;
    }
  | { readonly kind: 'other' };

/** The sender's ephemeral key of a key agreement. */
export type OriginatorPublicKey = Infer<typeof originatorPublicKey>;

/** The recipients of decoded RecipientInfos. */
export function recipientsFromWire(wire: readonly RecipientInfoWire[]): RecipientInfo[] {
  return wire.flatMap(recipientFromWire);
}

/** The version of EnvelopedData that its recipients ask for (RFC 5652 §6.1), there being no other reason to raise it. */
export function envelopedDataVersion(recipients: readonly RecipientInfoWire[]): number {
  if (recipients.some(({ kind }) => kind === 'pwri' || kind === 'ori')) return 3;
  return recipients.every(({ kind, value }) => kind === 'ktri' && value.version === 0) ? 0 : 2;
}

function recipientFromWire({ kind, value }: RecipientInfoWire): RecipientInfo[] {
  switch (kind) {
    case 'ktri':
      return [
        {
          kind: 'key-transport',
          recipient: value.rid,
          algorithm: value.keyEncryptionAlgorithm,
          encryptedKey: value.encryptedKey,
        },
      ];
    case 'kari':
      return keyAgreementFromWire(value);
    case 'kekri':
      return [
        {
          kind: 'key-encryption-key',
          keyIdentifier: value.kekid.keyIdentifier,
          algorithm: value.keyEncryptionAlgorithm,
          encryptedKey: value.encryptedKey,
        },
      ];
    case 'pwri':
      return [
        {
          kind: 'password',
          derivation: value.keyDerivationAlgorithm,
          algorithm: value.keyEncryptionAlgorithm,
          encryptedKey: value.encryptedKey,
        },
      ];
    case 'ori':
      return [{ kind: 'other' }];
  }
}

function keyAgreementFromWire(value: Infer<typeof keyAgreeRecipientInfo>): RecipientInfo[] {
  const { originator, ukm, keyEncryptionAlgorithm: algorithm } = value;
  return value.recipientEncryptedKeys.map(({ rid, encryptedKey }) => ({
    kind: 'key-agreement',
    recipient: rid.kind === 'rKeyId' ? { kind: 'subjectKeyIdentifier', value: rid.value.subjectKeyIdentifier } : rid,
    ephemeralKey: originator.kind === 'originatorKey' ? originator.value : undefined,
    ukm,
    algorithm,
    encryptedKey,
  }));
}
