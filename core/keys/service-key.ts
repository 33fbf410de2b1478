import { InternalError } from '../errors/muster-error.ts';
import { type Certificate, basicConstraints, keyUsage } from '../x509/certificate.ts';
import { type SubjectPublicKeyInfo, publicKeysEqual, spkiSha256 } from '../x509/public-key.ts';
import { type SignatureAlgorithm, defaultSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import type { KeyStore, TokenKey } from './key-store.ts';
import type { KeyUri } from './key-uri.ts';
import type { LegacySignatureAlgorithm } from './signature-plan.ts';
import type { RsaPadding } from './token-backend.ts';
import type { OperationOptions } from './token-job.ts';

/**
 * A key of a service (RA, OCSP responder, CMP answers, audit): it signs and decrypts bytes. The keys of authorities are never
 * opened this way, so nothing that holds a ServiceKey can make a certificate.
 */
export interface ServiceKey {
  readonly publicKey: SubjectPublicKeyInfo;
  /** The certificate of the service; a key that signs for those who know it already (audit) has none. */
  readonly certificate: Certificate | undefined;
  /** The algorithm that `sign` uses unless told otherwise. */
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** Signs data; rejects as {@link TokenKey.sign} does. SHA-1 and MD5 with an RSA key only, for messages to old devices. */
  sign(
    data: Uint8Array,
    options: OperationOptions & { readonly algorithm?: SignatureAlgorithm | LegacySignatureAlgorithm },
  ): Promise<Uint8Array>;
  /** Decrypts `length` octets without telling whether the ciphertext was right, as {@link TokenKey.decryptRsa} does. */
  decryptRsa(
    padding: RsaPadding,
    ciphertext: Uint8Array,
    options: OperationOptions & { readonly length: number },
  ): Promise<Uint8Array>;
}

/** What tells whether a key belongs to an authority. */
export interface AuthorityKeys {
  /** By SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
  isAuthorityKey(spkiSha256: string): boolean | Promise<boolean>;
}

/**
 * Opens a service's key. Rejects with InternalError when its certificate is one of a CA (basicConstraints cA, or keyUsage
 * keyCertSign or cRLSign), when the certificate is another key's, or when the key belongs to an authority; otherwise as
 * {@link KeyStore.open} does.
 */
export async function openServiceKey(
  keyStore: KeyStore,
  uri: KeyUri,
  certificate: Certificate | undefined,
  authorities: AuthorityKeys,
): Promise<ServiceKey> {
  if (certificate !== undefined) refuseAuthority(certificate, uri);
  const key = await keyStore.open(uri);
  if (certificate !== undefined && !publicKeysEqual(certificate.publicKey, key.publicKey)) {
    throw new InternalError(`the certificate of the service is not one of the key ${uri}`);
  }
  if (await authorities.isAuthorityKey(spkiSha256(key.publicKey))) {
    throw new InternalError(`the key ${uri} belongs to an authority and serves nothing else`);
  }
  return serviceKey(key, certificate);
}

function refuseAuthority(certificate: Certificate, uri: KeyUri): void {
  const usage = keyUsage(certificate);
  if (
    basicConstraints(certificate)?.cA === true ||
    usage?.has('keyCertSign') === true ||
    usage?.has('cRLSign') === true
  ) {
    throw new InternalError(`the certificate of the key ${uri} is one of an authority`);
  }
}

function serviceKey(key: TokenKey, certificate: Certificate | undefined): ServiceKey {
  const { publicKey } = key;
  const signatureAlgorithm = defaultSignatureAlgorithm(publicKey.algorithm);
  return {
    publicKey,
    certificate,
    signatureAlgorithm,
    sign: (data, { algorithm = signatureAlgorithm, ...options }) =>
      algorithm === 'sha1WithRSAEncryption' || algorithm === 'md5WithRSAEncryption'
        ? key.signLegacy(algorithm, data, options)
        : key.sign(algorithm, data, options),
    decryptRsa: (padding, ciphertext, options) => key.decryptRsa(padding, ciphertext, options),
  };
}
