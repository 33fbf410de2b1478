import { type KeyObject, randomBytes } from 'node:crypto';
import {
  assembleSigned,
  type Certificate,
  encodeTbsCertificate,
  parseCertificate,
} from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { type Name, nameFromText } from '../../core/x509/name.ts';
import { keyIdentifier, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { defaultSignatureAlgorithm, type SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { makeKey, publicKeyOf, signWith, type TestKeyKind } from '../support/test-pki.ts';

/** A certificate of Matter's hierarchy with its key. `certificate` is undefined where the DER is too broken to be read. */
export interface MatterIdentity {
  readonly der: Uint8Array;
  readonly certificate: Certificate | undefined;
  readonly subject: Name;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly privateKey: KeyObject;
}

/** How a certificate is to differ from the right one of its role. */
export interface MatterCertificateOptions {
  /** RFC 4514 text; {@link matterName} makes the usual one. */
  readonly subject?: string;
  readonly key?: KeyObject | TestKeyKind;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serialNumber?: string;
  readonly signatureAlgorithm?: SignatureAlgorithm;
  /** Those of the same kind take the place of the default. */
  readonly extensions?: readonly Extension[];
  /** Kinds (dotted OIDs) to leave out. */
  readonly omit?: readonly string[];
  /** The last word on what is signed. */
  readonly alter?: (tbs: Uint8Array) => Uint8Array;
}

/** The subject of a Matter certificate: RFC 4514 text with VID and PID by their attribute types. */
export function matterName(commonName: string, vendorId?: string, productId?: string): string {
  const vendor = vendorId === undefined ? '' : `1.3.6.1.4.1.37244.2.1=${vendorId},`;
  const product = productId === undefined ? '' : `1.3.6.1.4.1.37244.2.2=${productId},`;
  return `${product}${vendor}CN=${commonName}`;
}

/** A root: by default without a vendor. */
export function makePaa(options: MatterCertificateOptions = {}): MatterIdentity {
  const holder = holderOf({ subject: matterName('Muster Matter PAA'), ...options });
  return issue(holder, holder, authorityExtensions(1), options);
}

/** An intermediate of vendor FFF1 for all of its products. */
export function makePai(paa: MatterIdentity, options: MatterCertificateOptions = {}): MatterIdentity {
  const holder = holderOf({ subject: matterName('Muster Matter PAI', 'FFF1'), ...options });
  return issue(paa, holder, authorityExtensions(0), options);
}

/** The certificate of a device of vendor FFF1, product 8000. */
export function makeDac(pai: MatterIdentity, options: MatterCertificateOptions = {}): MatterIdentity {
  const holder = holderOf({ subject: matterName('Muster Matter Device', 'FFF1', '8000'), ...options });
  return issue(pai, holder, deviceExtensions(), options);
}

type Holder = Pick<MatterIdentity, 'subject' | 'publicKey' | 'privateKey'>;

function holderOf({ subject, key }: MatterCertificateOptions): Holder {
  const privateKey = key === undefined || typeof key === 'string' ? makeKey(key) : key;
  return { subject: nameFromText(subject!), publicKey: publicKeyOf(privateKey), privateKey };
}

function authorityExtensions(pathLength: number): Extension[] {
  return [
    EXTENSIONS.basicConstraints.encode({ cA: true, pathLenConstraint: pathLength }),
    EXTENSIONS.keyUsage.encode(new Set(['keyCertSign', 'cRLSign'])),
  ];
}

function deviceExtensions(): Extension[] {
  return [EXTENSIONS.basicConstraints.encode({ cA: false }), EXTENSIONS.keyUsage.encode(new Set(['digitalSignature']))];
}

function issue(
  issuer: Holder,
  holder: Holder,
  ofRole: readonly Extension[],
  options: MatterCertificateOptions,
): MatterIdentity {
  const signatureAlgorithm = options.signatureAlgorithm ?? defaultSignatureAlgorithm(issuer.publicKey.algorithm);
  const usual = [
    ...ofRole,
    EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(holder.publicKey)),
    EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
  ];
  const { extensions = [], omit = [], alter = (tbs) => tbs } = options;
  const replaced = new Set([...omit, ...extensions.map(({ oid }) => oid)]);
  const tbs = alter(
    encodeTbsCertificate({
      serialNumber: parseSerialNumber(options.serialNumber ?? `4d${randomBytes(7).toString('hex')}`),
      signatureAlgorithm,
      issuer: issuer.subject,
      validity: {
        notBefore: options.notBefore ?? new Date('2024-01-01T00:00:00Z'),
        notAfter: options.notAfter ?? new Date('9999-12-31T23:59:59Z'),
      },
      subject: holder.subject,
      publicKey: holder.publicKey,
      extensions: [...usual.filter(({ oid }) => !replaced.has(oid)), ...extensions],
    }),
  );
  const der = assembleSigned(tbs, signatureAlgorithm, signWith(issuer.privateKey, signatureAlgorithm, tbs));
  return { ...holder, der, certificate: readable(der) };
}

function readable(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch {
    return undefined; // broken on purpose
  }
}
