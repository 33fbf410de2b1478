import type { KeyObject } from 'node:crypto';
import {
  type Certificate,
  parseCertificate,
  assembleSigned,
  encodeTbsCertificate,
} from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS, type KeyUsageBit } from '../../core/x509/extensions.ts';
import { type GeneralName, generalNameFromText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, encodeName, type Name, nameFromText } from '../../core/x509/name.ts';
import { hardwareModuleOtherName, permanentIdentifierOtherName } from '../../core/x509/other-name.ts';
import { keyIdentifier, type SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { defaultSignatureAlgorithm, type SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { signWith, TestAuthority } from '../support/test-pki.ts';

/** What a test asks of the certificate of a TPM's key. Everything has a default that is right. */
export interface TpmCertificateOptions {
  /** tpmManufacturer: eight hex digits. Default: STMicroelectronics. */
  readonly manufacturer?: string;
  readonly model?: string;
  readonly version?: string;
  /** How the directory name is laid out. */
  readonly layout?: 'three RDNs' | 'one RDN';
  readonly subject?: Name;
  readonly eku?: readonly string[];
  readonly keyUsage?: readonly KeyUsageBit[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly serialNumber?: string;
  readonly signatureAlgorithm?: SignatureAlgorithm;
  /** More names in subjectAltName. */
  readonly names?: readonly GeneralName[];
  /** After the default ones; one of the same kind takes the place of the default. */
  readonly extensions?: readonly Extension[];
  readonly omit?: readonly string[];
}

const DAY_MS = 86_400_000;
const EK_PURPOSE = '2.23.133.8.1';
const AK_PURPOSE = '2.23.133.8.3';

/** A maker of TPMs and, beside, an attestation CA that is not ours: both certify keys they never hold. */
export class TpmManufacturer {
  readonly root = TestAuthority.root({ name: 'CN=TPM Root,O=Example TPMs' });
  readonly issuer = this.root.intermediate({ name: 'CN=TPM EK CA,O=Example TPMs' });
  readonly attestationRoot = TestAuthority.root({ name: 'CN=Attestation CA,O=Example' });

  /** The certificate of an endorsement key, by TCG's profile. */
  ekCertificate(publicKey: SubjectPublicKeyInfo, options: TpmCertificateOptions = {}): Certificate {
    const usage: KeyUsageBit = publicKey.algorithm.kind === 'rsa' ? 'keyEncipherment' : 'keyAgreement';
    return certificateOf(this.issuer, publicKey, { keyUsage: [usage], eku: [EK_PURPOSE], ...options });
  }

  /** The certificate of an attestation key, as WebAuthn and ACME ask for it. */
  akCertificate(publicKey: SubjectPublicKeyInfo, options: TpmCertificateOptions = {}): Certificate {
    return certificateOf(this.attestationRoot, publicKey, {
      keyUsage: ['digitalSignature'],
      eku: [AK_PURPOSE],
      ...options,
    });
  }
}

/** PermanentIdentifier without assigner. */
export function permanentIdentifier(identifierValue: string): GeneralName {
  return { kind: 'otherName', value: permanentIdentifierOtherName({ identifierValue }) };
}

/** HardwareModuleName. */
export function hardwareModule(hwType: string, serial: string): GeneralName {
  return { kind: 'otherName', value: hardwareModuleOtherName({ hwType, hwSerialNum: Buffer.from(serial) }) };
}

/** A name as its text, such as `uri:urn:example`. */
export const named = generalNameFromText;

/** A subject as its text. */
export const subjectNamed = nameFromText;

function certificateOf(
  issuer: { readonly certificate: Certificate; readonly privateKey: KeyObject },
  publicKey: SubjectPublicKeyInfo,
  options: TpmCertificateOptions,
): Certificate {
  const { publicKey: issuerKey, subject } = issuer.certificate;
  const signatureAlgorithm = options.signatureAlgorithm ?? defaultSignatureAlgorithm(issuerKey.algorithm);
  const now = Date.now();
  const tbs = encodeTbsCertificate({
    serialNumber: parseSerialNumber(options.serialNumber ?? '5a01020304'),
    signatureAlgorithm,
    issuer: subject,
    validity: {
      notBefore: options.notBefore ?? new Date(now - DAY_MS),
      notAfter: options.notAfter ?? new Date(now + 365 * DAY_MS),
    },
    subject: options.subject ?? EMPTY_NAME,
    publicKey,
    extensions: extensionsOf(options, issuerKey),
  });
  return parseCertificate(
    assembleSigned(tbs, signatureAlgorithm, signWith(issuer.privateKey, signatureAlgorithm, tbs)),
  );
}

function extensionsOf(options: TpmCertificateOptions, issuerKey: SubjectPublicKeyInfo): Extension[] {
  const { extensions = [], omit = [], names = [], keyUsage = [], eku = [] } = options;
  const own = [
    EXTENSIONS.subjectAltName.encode([directoryName(options), ...names], true),
    EXTENSIONS.basicConstraints.encode({ cA: false }),
    EXTENSIONS.keyUsage.encode(new Set(keyUsage)),
    EXTENSIONS.extendedKeyUsage.encode(eku),
    EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuerKey) }),
  ];
  const replaced = new Set([...omit, ...extensions.map((extension) => extension.oid)]);
  return [...own.filter((extension) => !replaced.has(extension.oid)), ...extensions];
}

function directoryName({
  manufacturer = '53544D20',
  model = 'ST33',
  version = '00010101',
  layout,
}: TpmCertificateOptions) {
  const attributes = [
    attribute('2.23.133.2.1', `id:${manufacturer}`),
    attribute('2.23.133.2.2', model),
    attribute('2.23.133.2.3', `id:${version}`),
  ];
  const name = encodeName(layout === 'one RDN' ? [attributes] : attributes.map((one) => [one]));
  return { kind: 'directoryName', value: name } as const;
}

function attribute(type: string, value: string) {
  return { type, value: { kind: 'utf8String', value } } as const;
}
