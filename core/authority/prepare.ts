import { randomFillSync } from 'node:crypto';

import { PolicyError } from '../errors/muster-error.ts';
import { encodeTbsCertificate } from '../x509/certificate.ts';
import { EXTENSIONS, type Extension, type KeyUsageBit } from '../x509/extensions.ts';
import type { GeneralName } from '../x509/general-name.ts';
import { findKeyWeakness } from '../x509/key-weakness.ts';
import type { Name } from '../x509/name.ts';
import { ACCESS_METHOD, KEY_PURPOSE } from '../x509/oids.ts';
import { keyIdentifier, type SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { parseSerialNumber, type SerialNumber } from '../x509/serial-number.ts';
import type { SignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { lintCertificate, type IssuerNames, type Linted } from './lint.ts';
import { findNameFault } from './profile-names.ts';
import { describeKey, isAllowedKey, type ProfileSettings } from './profile.ts';

/** What an enrolment asks to have certified. */
export interface CertificateRequest {
  readonly subject: Name;
  readonly subjectAltName: readonly GeneralName[];
  /** Extensions asked for besides subjectAltName: looked at for what must be refused, never copied. */
  readonly requestedExtensions: readonly Extension[];
  readonly publicKey: SubjectPublicKeyInfo;
}

/** What of the issuer goes into each certificate. */
export interface IssuerContext extends IssuerNames {
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** Where clients ask about its certificates; `{shard}` in the CRL's URL stands for the shard's number. */
  readonly urls: { readonly ocsp: string; readonly caIssuers: string; readonly crl: string };
  readonly crlShards: number;
}

/** Privileges that only a ceremony or a profile grants (RFC 9810 §8): asking for one is refused, not ignored. */
export const PRIVILEGED_PURPOSES: ReadonlySet<string> = new Set([
  KEY_PURPOSE.cmcCA,
  KEY_PURPOSE.cmcRA,
  KEY_PURPOSE.cmKGA,
  KEY_PURPOSE.ocspSigning,
]);

/**
 * Step 3 of the hall: profile and request → TBSCertificate → lint.
 * @throws PolicyError `key-not-allowed`, `key-weak`, `template-not-allowed`, `subject-not-allowed`, `name-not-allowed` or
 *   `lint-failed`.
 */
export function prepareCertificate(
  profile: ProfileSettings,
  issuer: IssuerContext,
  request: CertificateRequest,
  now: number,
): Linted {
  requireAllowedKey(profile, request.publicKey);
  requireGrantable(profile, request);
  const serialNumber = randomSerialNumber();
  const notAfter = Math.min(now + profile.validitySeconds * 1000, issuer.notAfter.getTime());
  const tbsDer = encodeTbsCertificate({
    serialNumber,
    signatureAlgorithm: issuer.signatureAlgorithm,
    issuer: issuer.subject,
    validity: { notBefore: new Date(now - profile.backdateSeconds * 1000), notAfter: new Date(notAfter) },
    subject: request.subject,
    publicKey: request.publicKey,
    extensions: extensionsOf(profile, issuer, request, serialNumber),
  });
  return lintCertificate(tbsDer, issuer, profile);
}

const SERIAL_OCTETS = 20;
const POOL_SERIALS = 128;
const pool = new Uint8Array(SERIAL_OCTETS * POOL_SERIALS);
let drawn = POOL_SERIALS;

/** RFC 5280 §4.1.2.2: positive, 20 octets: the sign bit is clear, the next one set so that the length never varies. */
export function randomSerialNumber(): SerialNumber {
  if (drawn === POOL_SERIALS) {
    randomFillSync(pool);
    drawn = 0;
  }
  const octets = pool.subarray(drawn * SERIAL_OCTETS, (drawn + 1) * SERIAL_OCTETS);
  drawn += 1;
  octets[0] = (octets[0]! & 0x3f) | 0x40;
  return parseSerialNumber(Buffer.from(octets).toString('hex'));
}

/** Which of an authority's CRLs lists a certificate: drawn with the serial number, never changed, so that a revocation touches one. */
export function crlShard(serialNumber: string, shards: number): number {
  return Number.parseInt(serialNumber.slice(-6), 16) % shards;
}

function requireAllowedKey(profile: ProfileSettings, publicKey: SubjectPublicKeyInfo): void {
  if (!isAllowedKey(profile.keys, publicKey.algorithm)) {
    throw new PolicyError('key-not-allowed', `the profile does not allow ${describeKey(publicKey.algorithm)} keys`);
  }
  const weakness = findKeyWeakness(publicKey);
  if (weakness !== undefined) throw new PolicyError('key-weak', `the key is weak: ${weakness.detail}`);
}

function requireGrantable(profile: ProfileSettings, request: CertificateRequest): void {
  const { requestedExtensions } = request;
  if (EXTENSIONS.basicConstraints.find(requestedExtensions)?.cA === true) {
    throw new PolicyError('template-not-allowed', 'the request asks for a CA certificate');
  }
  const purposes = EXTENSIONS.extendedKeyUsage.find(requestedExtensions) ?? [];
  const privileged = purposes.find(
    (purpose) => PRIVILEGED_PURPOSES.has(purpose) && !profile.extendedKeyUsage.includes(purpose),
  );
  if (privileged !== undefined) {
    throw new PolicyError(
      'template-not-allowed',
      `the request asks for extendedKeyUsage ${privileged}, which the profile does not grant`,
    );
  }
  const fault = findNameFault(profile, request.subject, request.subjectAltName);
  if (fault) throw new PolicyError(fault.reason, fault.detail);
}

/** What is the same in every certificate of one profile under one issuer is encoded once. */
interface FixedExtensions {
  readonly authorityKeyIdentifier: Extension;
  readonly authorityInfoAccess: Extension;
  /** Where the profile says it; otherwise it follows from the key. */
  readonly keyUsage: Extension | undefined;
  readonly crlDistributionPoints: readonly Extension[];
  readonly rest: readonly Extension[];
}

const fixed = new WeakMap<IssuerContext, WeakMap<ProfileSettings, FixedExtensions>>();

function fixedExtensions(profile: ProfileSettings, issuer: IssuerContext): FixedExtensions {
  const ofIssuer = fixed.get(issuer) ?? new WeakMap<ProfileSettings, FixedExtensions>();
  fixed.set(issuer, ofIssuer);
  const known = ofIssuer.get(profile);
  if (known) return known;
  const fresh = encodeFixed(profile, issuer);
  ofIssuer.set(profile, fresh);
  return fresh;
}

function encodeFixed(profile: ProfileSettings, issuer: IssuerContext): FixedExtensions {
  const { extendedKeyUsage, certificatePolicies, keyUsage } = profile;
  return {
    keyUsage: keyUsage && usage(...keyUsage),
    authorityKeyIdentifier: EXTENSIONS.authorityKeyIdentifier.encode({
      keyIdentifier: keyIdentifier(issuer.publicKey),
    }),
    authorityInfoAccess: EXTENSIONS.authorityInfoAccess.encode([
      { accessMethod: ACCESS_METHOD.ocsp, accessLocation: { kind: 'uri', value: issuer.urls.ocsp } },
      { accessMethod: ACCESS_METHOD.caIssuers, accessLocation: { kind: 'uri', value: issuer.urls.caIssuers } },
    ]),
    crlDistributionPoints: Array.from({ length: issuer.crlShards }, (_, shard) =>
      distributionPoint(issuer.urls.crl, shard),
    ),
    rest: [
      ...(extendedKeyUsage.length > 0 ? [EXTENSIONS.extendedKeyUsage.encode(extendedKeyUsage)] : []),
      ...(certificatePolicies.length > 0
        ? [EXTENSIONS.certificatePolicies.encode(certificatePolicies.map((policyIdentifier) => ({ policyIdentifier })))]
        : []),
      ...(profile.ocspNoCheck === true ? [EXTENSIONS.ocspNoCheck.encode(null)] : []),
    ],
  };
}

function distributionPoint(url: string, shard: number): Extension {
  const value = url.replace('{shard}', String(shard));
  return EXTENSIONS.crlDistributionPoints.encode([
    { distributionPoint: { kind: 'fullName', value: [{ kind: 'uri', value }] } },
  ]);
}

function extensionsOf(
  profile: ProfileSettings,
  issuer: IssuerContext,
  request: CertificateRequest,
  serialNumber: SerialNumber,
): Extension[] {
  const fixedOnes = fixedExtensions(profile, issuer);
  const { keyUsage, authorityKeyIdentifier, authorityInfoAccess, crlDistributionPoints, rest } = fixedOnes;
  const shard = crlShard(serialNumber, issuer.crlShards);
  const names = request.subjectAltName;
  return [
    keyUsage ?? keyUsageOf(request.publicKey),
    ...rest,
    ...(names.length > 0 ? [EXTENSIONS.subjectAltName.encode(names, request.subject.rdns.length === 0)] : []),
    EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(request.publicKey)),
    authorityKeyIdentifier,
    authorityInfoAccess,
    crlDistributionPoints[shard]!,
  ];
}

const SIGNS: Extension = usage('digitalSignature');
const SIGNS_AND_ENCIPHERS: Extension = usage('digitalSignature', 'keyEncipherment');

/** RSA devices still meet peers that encrypt to their key (IKE, SCEP, TLS 1.2); other keys only sign. */
function keyUsageOf(publicKey: SubjectPublicKeyInfo): Extension {
  return publicKey.algorithm.kind === 'rsa' ? SIGNS_AND_ENCIPHERS : SIGNS;
}

function usage(...bits: KeyUsageBit[]): Extension {
  return EXTENSIONS.keyUsage.encode(new Set(bits));
}
