/** Information types of generalInfo, genm and genp (RFC 9810 §5.3.19, appendix F; RFC 9483 §4.3), dotted. */
export const INFO_TYPE = {
  caProtEncCert: '1.3.6.1.5.5.7.4.1',
  signKeyPairTypes: '1.3.6.1.5.5.7.4.2',
  encKeyPairTypes: '1.3.6.1.5.5.7.4.3',
  preferredSymmAlg: '1.3.6.1.5.5.7.4.4',
  caKeyUpdateInfo: '1.3.6.1.5.5.7.4.5',
  currentCRL: '1.3.6.1.5.5.7.4.6',
  unsupportedOIDs: '1.3.6.1.5.5.7.4.7',
  keyPairParamReq: '1.3.6.1.5.5.7.4.10',
  keyPairParamRep: '1.3.6.1.5.5.7.4.11',
  revPassphrase: '1.3.6.1.5.5.7.4.12',
  implicitConfirm: '1.3.6.1.5.5.7.4.13',
  confirmWaitTime: '1.3.6.1.5.5.7.4.14',
  origPKIMessage: '1.3.6.1.5.5.7.4.15',
  suppLangTags: '1.3.6.1.5.5.7.4.16',
  caCerts: '1.3.6.1.5.5.7.4.17',
  rootCaKeyUpdate: '1.3.6.1.5.5.7.4.18',
  certReqTemplate: '1.3.6.1.5.5.7.4.19',
  rootCaCert: '1.3.6.1.5.5.7.4.20',
  certProfile: '1.3.6.1.5.5.7.4.21',
  crlStatusList: '1.3.6.1.5.5.7.4.22',
  crls: '1.3.6.1.5.5.7.4.23',
} as const;

/** Controls of a CertRequest (RFC 4211 §6; RFC 9810 §5.3.19.16), dotted. */
export const CONTROL = {
  regToken: '1.3.6.1.5.5.7.5.1.1',
  authenticator: '1.3.6.1.5.5.7.5.1.2',
  pkiPublicationInfo: '1.3.6.1.5.5.7.5.1.3',
  pkiArchiveOptions: '1.3.6.1.5.5.7.5.1.4',
  oldCertId: '1.3.6.1.5.5.7.5.1.5',
  protocolEncrKey: '1.3.6.1.5.5.7.5.1.6',
  algId: '1.3.6.1.5.5.7.5.1.11',
  rsaKeyLen: '1.3.6.1.5.5.7.5.1.12',
} as const;

/** Message authentication (RFC 9481 §6; RFC 9810 §5.1.3.1; RFC 9045), dotted. */
export const MAC_ALGORITHM = {
  passwordBasedMac: '1.2.840.113533.7.66.13',
  pbmac1: '1.2.840.113549.1.5.14',
  pbkdf2: '1.2.840.113549.1.5.12',
  kmacWithShake128: '2.16.840.1.101.3.4.2.19',
  kmacWithShake256: '2.16.840.1.101.3.4.2.20',
  aes128Gmac: '2.16.840.1.101.3.4.1.9',
  aes192Gmac: '2.16.840.1.101.3.4.1.29',
  aes256Gmac: '2.16.840.1.101.3.4.1.49',
} as const;

/** HMAC by hash function (RFC 8018 §B.1, RFC 4231, FIPS 202), dotted. OpenSSL's own default names HMAC-SHA1 by RFC 2104's OID. */
export const HMAC = {
  sha1: '1.2.840.113549.2.7',
  sha1Rfc2104: '1.3.6.1.5.5.8.1.2',
  sha224: '1.2.840.113549.2.8',
  sha256: '1.2.840.113549.2.9',
  sha384: '1.2.840.113549.2.10',
  sha512: '1.2.840.113549.2.11',
  sha3_224: '2.16.840.1.101.3.4.2.13',
  sha3_256: '2.16.840.1.101.3.4.2.14',
  sha3_384: '2.16.840.1.101.3.4.2.15',
  sha3_512: '2.16.840.1.101.3.4.2.16',
} as const;

/** One-way functions (RFC 9481 §2), dotted. */
export const HASH = {
  sha1: '1.3.14.3.2.26',
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sha3_224: '2.16.840.1.101.3.4.2.7',
  sha3_256: '2.16.840.1.101.3.4.2.8',
  sha3_384: '2.16.840.1.101.3.4.2.9',
  sha3_512: '2.16.840.1.101.3.4.2.10',
  shake128: '2.16.840.1.101.3.4.2.11',
  shake256: '2.16.840.1.101.3.4.2.12',
} as const;
