/** Content types (RFC 5652 §§4-10, RFC 5083 §2.1, RFC 5958 §2), dotted. */
export const CONTENT_TYPE = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  authEnvelopedData: '1.2.840.113549.1.9.16.1.23',
  asymmetricKeyPackage: '2.16.840.1.101.2.1.2.78.5',
} as const;

/** Attributes of SignedData (RFC 5652 §11, RFC 8551 §2.5.2), dotted. */
export const CMS_ATTRIBUTE = {
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
  smimeCapabilities: '1.2.840.113549.1.9.15',
} as const;

/** Key transport (RFC 3370 §4.2.1, RFC 3560 §2), dotted. */
export const KEY_TRANSPORT = {
  rsaEncryption: '1.2.840.113549.1.1.1',
  rsaesOaep: '1.2.840.113549.1.1.7',
  mgf1: '1.2.840.113549.1.1.8',
  pSpecified: '1.2.840.113549.1.1.9',
} as const;

/** Password-based key management (RFC 3211 §1.2.1, RFC 8018 §A.2), dotted. */
export const PASSWORD = {
  pwriKek: '1.2.840.113549.1.9.16.3.9',
  pbkdf2: '1.2.840.113549.1.5.12',
} as const;
