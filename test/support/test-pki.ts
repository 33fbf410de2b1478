import { constants, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  assembleSigned,
  type Certificate,
  encodeTbsCertificate,
  parseCertificate,
} from '../../core/x509/certificate.ts';
import {
  challengePasswordAttribute,
  encodeCertificationRequestInfo,
  extensionRequestAttribute,
  type RequestAttribute,
} from '../../core/x509/certification-request.ts';
import { type CrlEntry, encodeTbsCertList } from '../../core/x509/crl.ts';
import { type Extension, EXTENSIONS, type KeyUsageBit } from '../../core/x509/extensions.ts';
import { generalNameFromText } from '../../core/x509/general-name.ts';
import { type Name, nameFromText } from '../../core/x509/name.ts';
import { keyIdentifier, parseSubjectPublicKeyInfo, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import {
  defaultSignatureAlgorithm,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  type SignatureParameters,
} from '../../core/x509/signature-algorithm.ts';

/**
 * A small certification authority for tests: keys of node:crypto, certificates, requests and CRLs of core/x509, with any
 * extension, right or wrong. Nothing here is checked: that is the business of the code under test.
 */

/** The kinds of test key. */
export type TestKeyKind =
  | 'ec-p256'
  | 'ec-p384'
  | 'ec-p521'
  | 'rsa-2048'
  | 'rsa-3072'
  | 'rsa-4096'
  | 'ed25519'
  | 'ed448'
  | 'ml-dsa-44'
  | 'ml-dsa-65'
  | 'ml-dsa-87';

/** What a test asks of a certificate. Everything has a default. */
export interface CertificateOptions {
  /** RFC 4514 text, or a Name. */
  readonly subject?: string | Name;
  /** A private key to certify, or the kind of one to make (P-256). */
  readonly key?: KeyObject | TestKeyKind;
  readonly san?: readonly string[];
  readonly eku?: readonly string[];
  readonly keyUsage?: readonly KeyUsageBit[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Hex. Default: 16 random octets. */
  readonly serialNumber?: string;
  readonly signatureAlgorithm?: SignatureAlgorithm;
  /** After the default ones; one of the same kind takes the place of the default. */
  readonly extensions?: readonly Extension[];
  /** Kinds (dotted OIDs) of default extensions to leave out. */
  readonly omit?: readonly string[];
}

/** What a test asks of an authority. */
export interface AuthorityOptions extends CertificateOptions {
  readonly name?: string | Name;
  readonly pathLength?: number;
}

/** A certificate with its private key. */
export interface IssuedCertificate {
  readonly der: Uint8Array;
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
}

/** What a test asks of a PKCS #10 request. */
export interface CsrOptions {
  readonly subject?: string | Name;
  readonly key?: KeyObject | TestKeyKind;
  readonly san?: readonly string[];
  readonly extensions?: readonly Extension[];
  readonly challengePassword?: string;
  readonly attributes?: readonly RequestAttribute[];
  readonly signatureAlgorithm?: SignatureAlgorithm;
}

/** A request with the private key it is for. */
export interface IssuedRequest {
  readonly der: Uint8Array;
  readonly privateKey: KeyObject;
}

const DAY_MS = 86_400_000;

/** An authority whose certificate and key are in memory. */
export class TestAuthority implements IssuedCertificate {
  readonly certificate: Certificate;
  readonly der: Uint8Array;
  readonly privateKey: KeyObject;

  constructor(issued: IssuedCertificate) {
    this.certificate = issued.certificate;
    this.der = issued.der;
    this.privateKey = issued.privateKey;
  }

  /** A self-signed root. */
  static root(options: AuthorityOptions = {}): TestAuthority {
    const subject = options.name ?? options.subject ?? 'CN=Test Root,O=Muster Test';
    const privateKey = privateKeyOf(options.key);
    const self = { subject: nameOf(subject), publicKey: publicKeyOf(privateKey), privateKey };
    return new TestAuthority(issue(self, self, authorityExtensions(options), options));
  }

  /** A subordinate authority. */
  intermediate(options: AuthorityOptions = {}): TestAuthority {
    const subject = options.name ?? options.subject ?? 'CN=Test Issuing CA,O=Muster Test';
    const privateKey = privateKeyOf(options.key);
    const holder = { subject: nameOf(subject), publicKey: publicKeyOf(privateKey), privateKey };
    return new TestAuthority(issue(this.#self(), holder, authorityExtensions(options), options));
  }

  /** An end-entity certificate. */
  leaf(options: CertificateOptions = {}): IssuedCertificate {
    const privateKey = privateKeyOf(options.key);
    const holder = { subject: nameOf(options.subject ?? 'CN=device'), publicKey: publicKeyOf(privateKey), privateKey };
    return issue(this.#self(), holder, leafExtensions(options), options);
  }

  /** A CRL in DER, valid for a day from `thisUpdate` (default: now). */
  crl(
    options: {
      entries?: Iterable<CrlEntry>;
      number?: bigint;
      thisUpdate?: Date;
      nextUpdate?: Date;
      extensions?: readonly Extension[];
    } = {},
  ): Uint8Array {
    const { publicKey, subject } = this.certificate;
    const signatureAlgorithm = defaultSignatureAlgorithm(publicKey.algorithm);
    const thisUpdate = options.thisUpdate ?? new Date();
    const tbs = encodeTbsCertList({
      signatureAlgorithm,
      issuer: subject,
      thisUpdate,
      nextUpdate: options.nextUpdate ?? new Date(thisUpdate.getTime() + DAY_MS),
      entries: options.entries ?? [],
      extensions: [
        EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(publicKey) }),
        EXTENSIONS.crlNumber.encode(options.number ?? 1n),
        ...(options.extensions ?? []),
      ],
    });
    return assembleSigned(tbs, signatureAlgorithm, signWith(this.privateKey, signatureAlgorithm, tbs));
  }

  #self(): Holder {
    const { subject, publicKey } = this.certificate;
    return { subject, publicKey, privateKey: this.privateKey };
  }
}

/** A PKCS #10 request. */
export function makeCsr(options: CsrOptions = {}): IssuedRequest {
  const privateKey = privateKeyOf(options.key);
  const publicKey = publicKeyOf(privateKey);
  const signatureAlgorithm = options.signatureAlgorithm ?? defaultSignatureAlgorithm(publicKey.algorithm);
  const requested = [...sanExtension(options.san), ...(options.extensions ?? [])];
  const info = encodeCertificationRequestInfo({
    subject: nameOf(options.subject ?? 'CN=device'),
    publicKey,
    attributes: [
      ...(options.challengePassword === undefined ? [] : [challengePasswordAttribute(options.challengePassword)]),
      ...(requested.length === 0 ? [] : [extensionRequestAttribute(requested)]),
      ...(options.attributes ?? []),
    ],
  });
  return { der: assembleSigned(info, signatureAlgorithm, signWith(privateKey, signatureAlgorithm, info)), privateKey };
}

/** A new private key. */
export function makeKey(kind: TestKeyKind = 'ec-p256'): KeyObject {
  switch (kind) {
    case 'ec-p256':
    case 'ec-p384':
    case 'ec-p521':
      return generateKeyPairSync('ec', { namedCurve: `P-${kind.slice(4)}` }).privateKey;
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
    case 'ed448':
      return generateKeyPairSync('ed448').privateKey;
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      return generateKeyPairSync(kind).privateKey;
  }
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: KeyObject): SubjectPublicKeyInfo {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return parseSubjectPublicKeyInfo(new Uint8Array(der));
}

/** A signature in its X.509 form. */
export function signWith(privateKey: KeyObject, algorithm: SignatureAlgorithm, data: Uint8Array): Uint8Array {
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[algorithm];
  const digest = 'hash' in parameters ? parameters.hash : null;
  if (parameters.key !== 'rsa' || parameters.padding === 'pkcs1') return new Uint8Array(sign(digest, data, privateKey));
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return new Uint8Array(sign(digest, data, { key: privateKey, ...pss }));
}

interface Holder {
  readonly subject: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly privateKey: KeyObject;
}

function issue(
  issuer: Holder,
  holder: Holder,
  defaults: readonly Extension[],
  options: CertificateOptions,
): IssuedCertificate {
  const signatureAlgorithm = options.signatureAlgorithm ?? defaultSignatureAlgorithm(issuer.publicKey.algorithm);
  const own = [
    EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(holder.publicKey)),
    EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
    ...defaults,
  ];
  const now = Date.now();
  const tbs = encodeTbsCertificate({
    serialNumber: parseSerialNumber(options.serialNumber ?? `5a${randomBytes(15).toString('hex')}`),
    signatureAlgorithm,
    issuer: issuer.subject,
    validity: {
      notBefore: options.notBefore ?? new Date(now - DAY_MS),
      notAfter: options.notAfter ?? new Date(now + 365 * DAY_MS),
    },
    subject: holder.subject,
    publicKey: holder.publicKey,
    extensions: withOverrides(own, options),
  });
  const der = assembleSigned(tbs, signatureAlgorithm, signWith(issuer.privateKey, signatureAlgorithm, tbs));
  return { der, certificate: parseCertificate(der), privateKey: holder.privateKey };
}

function withOverrides(own: readonly Extension[], { extensions = [], omit = [] }: CertificateOptions): Extension[] {
  const replaced = new Set([...omit, ...extensions.map((extension) => extension.oid)]);
  return [...own.filter((extension) => !replaced.has(extension.oid)), ...extensions];
}

function authorityExtensions(options: AuthorityOptions): Extension[] {
  const { pathLength, keyUsage = ['keyCertSign', 'cRLSign'] } = options;
  return [
    EXTENSIONS.basicConstraints.encode({ cA: true, pathLenConstraint: pathLength }),
    EXTENSIONS.keyUsage.encode(new Set(keyUsage)),
    ...ekuExtension(options.eku),
    ...sanExtension(options.san),
  ];
}

function leafExtensions({ keyUsage = ['digitalSignature'], eku, san }: CertificateOptions): Extension[] {
  return [
    EXTENSIONS.basicConstraints.encode({ cA: false }),
    EXTENSIONS.keyUsage.encode(new Set(keyUsage)),
    ...ekuExtension(eku),
    ...sanExtension(san),
  ];
}

function ekuExtension(purposes: readonly string[] | undefined): Extension[] {
  return purposes === undefined ? [] : [EXTENSIONS.extendedKeyUsage.encode(purposes)];
}

function sanExtension(names: readonly string[] | undefined): Extension[] {
  return names === undefined ? [] : [EXTENSIONS.subjectAltName.encode(names.map(generalNameFromText))];
}

function privateKeyOf(key: KeyObject | TestKeyKind | undefined): KeyObject {
  return key === undefined || typeof key === 'string' ? makeKey(key) : key;
}

function nameOf(name: string | Name): Name {
  return typeof name === 'string' ? nameFromText(name) : name;
}
