import { constants, diffieHellman, createPublicKey, privateDecrypt } from 'node:crypto';

import { decode } from '../../core/asn1/codec.ts';
import { octetString, printableString, utf8String } from '../../core/asn1/schema.ts';
import { singleValue } from '../../core/cms/attribute.ts';
import { decryptEnvelopedData, parseEnvelopedData, type RecipientKey } from '../../core/cms/enveloped-data.ts';
import { decodeCertsOnly, parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import type { SignerInfo } from '../../core/cms/signed-data-syntax.ts';
import { OID, type Signer } from './device.ts';

/** A CertRep as a device reads it. */
export interface CertRep {
  readonly pkiStatus: string;
  readonly failInfo: string | undefined;
  readonly failInfoText: string | undefined;
  readonly transactionId: string;
  readonly messageType: string;
  readonly senderNonce: Uint8Array;
  readonly recipientNonce: Uint8Array | undefined;
  readonly digest: string;
  readonly signerCertificate: Uint8Array;
  readonly signerInfo: SignerInfo;
  /** The pkcsPKIEnvelope; empty where there is none. */
  readonly envelope: Uint8Array;
}

/** Reads and verifies a CertRep; fails the test where it is not one. */
export function readCertRep(bytes: Uint8Array): CertRep {
  const signedData = parseSignedData(bytes, { maxBytes: 1 << 20 });
  const verdict = verifySignedData(signedData, { digests: ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] });
  if (!verdict.ok) throw new UnexpectedReply(`${verdict.finding}: ${verdict.detail}`);
  const { signedAttributes: attributes, content, signerCertificate, digest } = verdict;
  const text = (type: string): string | undefined => {
    const der = singleValue(attributes, type);
    return der && decode(printableString, der);
  };
  const octets = (type: string): Uint8Array | undefined => {
    const der = singleValue(attributes, type);
    return der && decode(octetString, der);
  };
  const failInfoText = singleValue(attributes, OID.failInfoText);
  return {
    pkiStatus: text(OID.pkiStatus)!,
    failInfo: text(OID.failInfo),
    failInfoText: failInfoText && decode(utf8String, failInfoText),
    transactionId: text(OID.transactionID)!,
    messageType: text(OID.messageType)!,
    senderNonce: octets(OID.senderNonce)!,
    recipientNonce: octets(OID.recipientNonce),
    digest,
    signerCertificate,
    signerInfo: signedData.signerInfos[0]!,
    envelope: content,
  };
}

/** What the envelope of a success holds, opened with the device's key, or with its challenge. */
export async function openReply(
  { envelope }: CertRep,
  signer: Signer,
  challenge?: string,
): Promise<ReturnType<typeof decodeCertsOnly>> {
  const keys = challenge === undefined ? [recipientKey(signer)] : [passwordKey(challenge)];
  const parsed = parseEnvelopedData(envelope, { maxBytes: 1 << 20 });
  const { content } = await decryptEnvelopedData(parsed, keys, { allowSingleDes: true });
  return decodeCertsOnly(content, { maxBytes: 1 << 20 });
}

function passwordKey(challenge: string): RecipientKey {
  return { kind: 'password', password: Buffer.from(challenge) };
}

function recipientKey({ der, privateKey }: Signer): RecipientKey {
  if (privateKey.asymmetricKeyType === 'ec') {
    return {
      kind: 'ecdh',
      certificate: der,
      agree: async ({ ephemeralPublicKey }) => {
        const spki = { key: Buffer.from(ephemeralPublicKey.der), format: 'der', type: 'spki' } as const;
        return diffieHellman({ privateKey, publicKey: createPublicKey(spki) });
      },
    };
  }
  return {
    kind: 'rsa',
    certificate: der,
    decryptKeyTransport: async ({ scheme, hash, ciphertext }) =>
      privateDecrypt(
        scheme === 'pkcs1'
          ? { key: privateKey, padding: constants.RSA_PKCS1_PADDING }
          : { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash },
        ciphertext,
      ),
  };
}

class UnexpectedReply extends Error {}
