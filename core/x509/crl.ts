import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  bitString,
  explicit,
  type Infer,
  optional,
  sequence,
  sequenceOf,
  serialInteger,
  smallInteger,
  time,
  withDer,
} from '../asn1/schema.ts';
import { type Extension, EXTENSIONS, extensionsSchema } from './extensions.ts';
import { FOREIGN } from './foreign-limits.ts';
import { type Name, nameSchema } from './name.ts';
import { octetsEqual } from './octets.ts';
import { type SerialNumber, serialNumberFromOctets, serialNumberOctets } from './serial-number.ts';
import { algorithmIdentifier, type SignatureAlgorithm, signatureAlgorithmSchema } from './signature-algorithm.ts';
import { wholeOctets } from './whole-octets.ts';
import { X509Error } from './x509-error.ts';

/** CRLReason (RFC 5280 §5.3.1): the number of each reason. 7 is not used. */
export const CRL_REASON = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

/** The name of a revocation reason. */
export type CrlReason = keyof typeof CRL_REASON;

/** One revoked certificate. */
export interface CrlEntry {
  readonly serialNumber: SerialNumber;
  readonly revocationDate: Date;
  /** Undefined is `unspecified`, which is never written out (RFC 5280 §5.3.1). */
  readonly reason?: CrlReason | undefined;
  readonly invalidityDate?: Date | undefined;
}

/** What a CRL's signature covers (RFC 5280 §5.1.2), version 2. Extensions are written in this order. */
export interface TbsCertListTemplate {
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly issuer: Name;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly entries: Iterable<CrlEntry>;
  readonly extensions: readonly Extension[];
}

/** A CRL (RFC 5280 §5.1), its signature not yet verified. Octets are views of the input. */
export interface CertificateList {
  readonly der: Uint8Array;
  readonly tbsDer: Uint8Array;
  readonly issuer: Name;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
  readonly entries: readonly CrlEntry[];
  readonly extensions: readonly Extension[];
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/** A full CRL of a large authority; the bounds of other messages would not hold it. */
const CRL_LIMITS = { ...FOREIGN, maxBytes: 64 * 1024 * 1024, maxItems: 16_000_000 };

const V2 = 1;

const crlEntry = sequence('RevokedCertificate', {
  userCertificate: serialInteger,
  revocationDate: time,
  crlEntryExtensions: optional(extensionsSchema),
});

const tbsCertList = sequence('TBSCertList', {
  version: optional(smallInteger),
  signature: withDer(signatureAlgorithmSchema),
  issuer: nameSchema,
  thisUpdate: time,
  nextUpdate: optional(time),
  revokedCertificates: optional(sequenceOf(crlEntry, { min: 1 })),
  crlExtensions: optional(explicit(0, extensionsSchema)),
});

const certificateList = sequence('CertificateList', {
  tbsCertList: withDer(tbsCertList),
  signatureAlgorithm: any,
  signatureValue: bitString,
});

const REASON_NAMES: ReadonlyMap<number, CrlReason> = new Map(
  (Object.entries(CRL_REASON) as [CrlReason, number][]).map(([name, number]) => [number, name]),
);

/**
 * Decodes a CRL. Throws Asn1Error on other DER, and X509Error on contradicting fields and on entries that this reader could
 * misjudge: critical entry extensions it does not know, such as certificateIssuer of an indirect CRL.
 */
export function parseCertificateList(der: Uint8Array): CertificateList {
  const { tbsCertList: tbs, signatureAlgorithm, signatureValue } = decode(certificateList, der, CRL_LIMITS);
  const { version, signature, revokedCertificates = [], crlExtensions } = tbs.value;
  if (!octetsEqual(signatureAlgorithm, signature.der)) {
    throw new X509Error('CertificateList.signatureAlgorithm', 'that of tbsCertList.signature', 'another');
  }
  if (version !== V2 && (version !== undefined || crlExtensions !== undefined)) {
    throw new X509Error('TBSCertList.version', 'v2', version === undefined ? 'v1 with extensions' : `v${version + 1}`);
  }
  return {
    der,
    tbsDer: tbs.der,
    issuer: tbs.value.issuer,
    thisUpdate: tbs.value.thisUpdate,
    nextUpdate: tbs.value.nextUpdate,
    entries: revokedCertificates.map(entryFromWire),
    extensions: crlExtensions ?? [],
    signatureAlgorithm: signature.value,
    signature: wholeOctets(signatureValue, 'CertificateList.signatureValue'),
  };
}

/** The DER of a TBSCertList: sign it and join both with `assembleSigned`. Throws Asn1Error where a value has no encoding. */
export function encodeTbsCertList(template: TbsCertListTemplate): Uint8Array {
  const { signatureAlgorithm, issuer, thisUpdate, nextUpdate, extensions } = template;
  const entries = Array.from(template.entries, entryToWire);
  return encode(tbsCertList, {
    version: V2,
    signature: { value: signatureAlgorithm, der: algorithmIdentifier(signatureAlgorithm) },
    issuer,
    thisUpdate,
    nextUpdate,
    // RFC 5280 §5.1.2.6: MUST be absent when there are no revoked certificates.
    revokedCertificates: entries.length === 0 ? undefined : entries,
    crlExtensions: extensions.length === 0 ? undefined : extensions,
  });
}

function entryFromWire({ userCertificate, revocationDate, crlEntryExtensions = [] }: Infer<typeof crlEntry>): CrlEntry {
  const serialNumber = serialNumberFromOctets(userCertificate);
  if (crlEntryExtensions.length === 0) return { serialNumber, revocationDate };
  const unknown = crlEntryExtensions.find(({ critical, oid }) => critical && oid !== EXTENSIONS.reasonCode.oid);
  if (unknown !== undefined) {
    throw new X509Error('RevokedCertificate.crlEntryExtensions', 'known critical extensions', unknown.oid);
  }
  const code = EXTENSIONS.reasonCode.find(crlEntryExtensions);
  const invalidityDate = EXTENSIONS.invalidityDate.find(crlEntryExtensions);
  return {
    serialNumber,
    revocationDate,
    ...(code && { reason: reasonOfCode(code) }),
    ...(invalidityDate && { invalidityDate }),
  };
}

function reasonOfCode(code: number): CrlReason {
  const reason = REASON_NAMES.get(code);
  if (reason !== undefined) return reason;
  throw new X509Error('CRLReason', 'a number of RFC 5280 §5.3.1', String(code));
}

function entryToWire({ serialNumber, revocationDate, reason, invalidityDate }: CrlEntry): Infer<typeof crlEntry> {
  const extensions: Extension[] = [];
  if (reason !== undefined && reason !== 'unspecified')
    extensions.push(EXTENSIONS.reasonCode.encode(CRL_REASON[reason]));
  if (invalidityDate !== undefined) extensions.push(EXTENSIONS.invalidityDate.encode(invalidityDate));
  return {
    userCertificate: serialNumberOctets(serialNumber),
    revocationDate,
    crlEntryExtensions: extensions.length === 0 ? undefined : extensions,
  };
}
