/** Attribute types of distinguished names (X.520, RFC 4519, PKCS #9), dotted. */
export const ATTRIBUTE_TYPE = {
  commonName: '2.5.4.3',
  surname: '2.5.4.4',
  serialNumber: '2.5.4.5',
  countryName: '2.5.4.6',
  localityName: '2.5.4.7',
  stateOrProvinceName: '2.5.4.8',
  streetAddress: '2.5.4.9',
  organizationName: '2.5.4.10',
  organizationalUnitName: '2.5.4.11',
  title: '2.5.4.12',
  description: '2.5.4.13',
  businessCategory: '2.5.4.15',
  postalCode: '2.5.4.17',
  name: '2.5.4.41',
  givenName: '2.5.4.42',
  initials: '2.5.4.43',
  generationQualifier: '2.5.4.44',
  dnQualifier: '2.5.4.46',
  pseudonym: '2.5.4.65',
  organizationIdentifier: '2.5.4.97',
  userId: '0.9.2342.19200300.100.1.1',
  domainComponent: '0.9.2342.19200300.100.1.25',
  emailAddress: '1.2.840.113549.1.9.1',
  unstructuredName: '1.2.840.113549.1.9.2',
  unstructuredAddress: '1.2.840.113549.1.9.8',
} as const;

/** Certificate, CRL and CRL entry extensions (RFC 5280 §4.2, §5.2, §5.3; RFC 6960 §4.2.2.2.1), dotted. */
export const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCRLIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
  freshestCRL: '2.5.29.46',
  inhibitAnyPolicy: '2.5.29.54',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  subjectInfoAccess: '1.3.6.1.5.5.7.1.11',
  /** Of a CertTemplate alone: see {@link REQUEST_ATTRIBUTE}. */
  attestation: '1.2.840.113549.1.9.16.2.59',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
} as const;

/** Key purposes of extendedKeyUsage (RFC 5280 §4.2.1.12, RFC 9509, RFC 6402, RFC 9810 §8, TCG EK profile), dotted. */
export const KEY_PURPOSE = {
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
  ipsecIKE: '1.3.6.1.5.5.7.3.17',
  cmcCA: '1.3.6.1.5.5.7.3.27',
  cmcRA: '1.3.6.1.5.5.7.3.28',
  cmcArchive: '1.3.6.1.5.5.7.3.29',
  cmKGA: '1.3.6.1.5.5.7.3.32',
  ipsecIntermediate: '1.3.6.1.5.5.8.2.2',
  msSmartCardLogon: '1.3.6.1.4.1.311.20.2.2',
  tcgEkCertificate: '2.23.133.8.1',
  tcgAkCertificate: '2.23.133.8.3',
} as const;

/** Access methods of authorityInfoAccess and subjectInfoAccess (RFC 5280 §4.2.2), dotted. */
export const ACCESS_METHOD = {
  ocsp: '1.3.6.1.5.5.7.48.1',
  caIssuers: '1.3.6.1.5.5.7.48.2',
  caRepository: '1.3.6.1.5.5.7.48.5',
} as const;

/** Type-ids of otherName (RFC 4108 §5, RFC 4043 §2, Microsoft user principal name), dotted. */
export const OTHER_NAME = {
  hardwareModuleName: '1.3.6.1.5.5.7.8.4',
  permanentIdentifier: '1.3.6.1.5.5.7.8.3',
  userPrincipalName: '1.3.6.1.4.1.311.20.2.3',
} as const;

/** Attributes of a certification request (RFC 2985 §5.4; Microsoft's older twin of extensionRequest), dotted. */
export const REQUEST_ATTRIBUTE = {
  challengePassword: '1.2.840.113549.1.9.7',
  extensionRequest: '1.2.840.113549.1.9.14',
  msCertificateExtensions: '1.3.6.1.4.1.311.2.1.14',
  /** id-aa-attestation (draft-ietf-lamps-csr-attestation); the number was allocated early as id-aa-evidence. */
  attestation: '1.2.840.113549.1.9.16.2.59',
} as const;

/** Public-key algorithms of SubjectPublicKeyInfo (RFC 3279, RFC 5480, RFC 8410, RFC 9881), dotted. */
export const PUBLIC_KEY = {
  rsaEncryption: '1.2.840.113549.1.1.1',
  ecPublicKey: '1.2.840.10045.2.1',
  ed25519: '1.3.101.112',
  ed448: '1.3.101.113',
  mlDsa44: '2.16.840.1.101.3.4.3.17',
  mlDsa65: '2.16.840.1.101.3.4.3.18',
  mlDsa87: '2.16.840.1.101.3.4.3.19',
} as const;

/** Named curves (RFC 5480 §2.1.1.1), dotted. */
export const NAMED_CURVE = {
  secp256r1: '1.2.840.10045.3.1.7',
  secp384r1: '1.3.132.0.34',
  secp521r1: '1.3.132.0.35',
} as const;

/** The special policy of certificatePolicies that stands for every policy (RFC 5280 §4.2.1.4), dotted. */
export const ANY_POLICY = '2.5.29.32.0';
