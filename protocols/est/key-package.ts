import { encode } from '../../core/asn1/codec.ts';
import { any, sequenceOf } from '../../core/asn1/schema.ts';
import { decodeContentInfo } from '../../core/cms/content-info.ts';
import { buildEnvelopedData, type Recipient } from '../../core/cms/enveloped-data.ts';
import { CONTENT_TYPE, KEY_TRANSPORT } from '../../core/cms/oids.ts';
import { buildSignedData, type CmsSigner } from '../../core/cms/signed-data.ts';
import type { Fact } from '../../core/enrollment/facts.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Certificate } from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import type { KeyProtection } from './key-protection.ts';

/** Signs the packages of keys made here (RFC 7030 §4.4.2: "the party that generated the private key"). */
export type KeyPackageSigner = CmsSigner;

/** To whom a key goes encrypted, and how. */
export interface KeyPackageRecipient {
  readonly signer: KeyPackageSigner;
  readonly recipient: Recipient;
  readonly cipher: Cipher;
}

type Cipher = 'aes-256-cbc' | 'aes-192-cbc' | 'aes-128-cbc' | 'des-ede3-cbc';

/**
 * Ciphers of EnvelopedData by the OID that SMIMECapabilities names them with, the strongest first; the last one for the
 * clients that know no other: TLS stands around it.
 */
const CIPHERS: readonly (readonly [oid: string, cipher: Cipher])[] = [
  ['2.16.840.1.101.3.4.1.42', 'aes-256-cbc'],
  ['2.16.840.1.101.3.4.1.22', 'aes-192-cbc'],
  ['2.16.840.1.101.3.4.1.2', 'aes-128-cbc'],
  ['1.2.840.113549.3.7', 'des-ede3-cbc'],
];
/** RFC 8551 §2.7.1.2: what to use with a recipient whose capabilities are not known. */
const CIPHER_UNASKED = 'aes-128-cbc';

/**
 * Whom to encrypt for, undefined where the device asks for no protection besides TLS. The only public keys known here
 * are those of client certificates, so the key asked for must be that of the one presented (RFC 7030 §4.4.1.2: a key that
 * the server does not have ends the request). No symmetric keys are shared with devices (§4.4.1.1).
 *
 * @throws PeerError `malformed-request` for a key not known or not fit, `bad-algorithm` where no cipher is common,
 * `unsupported-operation` where no signer is there
 */
export function recipientOf(
  protection: KeyProtection,
  facts: readonly Fact[],
  signer: KeyPackageSigner | undefined,
): KeyPackageRecipient | undefined {
  switch (protection.kind) {
    case 'none':
      return undefined;
    case 'symmetric':
      throw new PeerError('malformed-request', 'DecryptKeyIdentifier: expected a key known here, found another');
    case 'asymmetric': {
      if (signer === undefined) throw new PeerError('unsupported-operation', 'keys are not delivered encrypted here');
      const certificate = certificateOf(protection.keyIdentifier, facts);
      return {
        signer,
        cipher: cipherFor(protection.capabilities),
        recipient: recipientFor(certificate, protection.capabilities),
      };
    }
  }
}

/**
 * The ContentInfo of a protected key: an AsymmetricKeyPackage (RFC 5958 §2) in a SignedData in an EnvelopedData (RFC 7030
 * §4.4.2).
 *
 * @param pkcs8 PrivateKeyInfo in DER; the caller's to erase
 */
export async function protectKey(
  pkcs8: Uint8Array,
  { signer, recipient, cipher }: KeyPackageRecipient,
): Promise<Uint8Array> {
  const keyPackage = encode(sequenceOf(any), [pkcs8]);
  const signed = await buildSignedData({ contentType: CONTENT_TYPE.asymmetricKeyPackage, content: keyPackage, signer });
  const enveloped = await buildEnvelopedData({
    contentType: CONTENT_TYPE.signedData,
    // RFC 5652 §6.3: what is encrypted is the value of the type named, a SignedData without its ContentInfo.
    content: decodeContentInfo(signed).content,
    cipher,
    recipients: [recipient],
  });
  keyPackage.fill(0);
  signed.fill(0);
  return enveloped;
}

function certificateOf(identifier: Uint8Array, facts: readonly Fact[]): Certificate {
  for (const fact of facts) {
    if (fact.kind === 'tls-certificate' && isKeyOf(identifier, fact.certificate)) return fact.certificate;
  }
  throw new PeerError(
    'malformed-request',
    'AsymmetricDecryptKeyIdentifier: expected the key of the client certificate, found another',
  );
}

function isKeyOf(identifier: Uint8Array, certificate: Certificate): boolean {
  const stated = EXTENSIONS.subjectKeyIdentifier.find(certificate.extensions);
  return octetsEqual(identifier, stated ?? keyIdentifier(certificate.publicKey));
}

function cipherFor(capabilities: readonly string[]): Cipher {
  if (capabilities.length === 0) return CIPHER_UNASKED;
  const common = CIPHERS.find(([oid]) => capabilities.includes(oid));
  if (common !== undefined) return common[1];
  throw new PeerError('bad-algorithm', 'SMIMECapabilities: expected AES or triple DES in CBC mode, found neither');
}

/** RFC 5280 §4.2.1.3: a certificate that says what its key is for is taken at its word. */
function recipientFor(certificate: Certificate, capabilities: readonly string[]): Recipient {
  const usage = EXTENSIONS.keyUsage.find(certificate.extensions);
  const { kind } = certificate.publicKey.algorithm;
  if (kind === 'rsa' && usage?.has('keyEncipherment') !== false) {
    const keyTransport = capabilities.includes(KEY_TRANSPORT.rsaesOaep) ? 'oaep' : 'pkcs1';
    return { kind: 'rsa', certificate: certificate.der, keyTransport };
  }
  if (kind === 'ec' && usage?.has('keyAgreement') !== false) return { kind: 'ecdh', certificate: certificate.der };
  throw new PeerError(
    'bad-algorithm',
    'AsymmetricDecryptKeyIdentifier: expected a certificate whose key may encrypt or agree keys',
  );
}
