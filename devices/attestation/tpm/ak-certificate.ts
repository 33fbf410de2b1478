import { hash } from 'node:crypto';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import {
  basicConstraints,
  type Certificate,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from '../../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../../core/x509/extensions.ts';
import type { GeneralName } from '../../../core/x509/general-name.ts';
import { KEY_PURPOSE } from '../../../core/x509/oids.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { hardwareModuleNameOf, permanentIdentifierOf } from '../../../core/x509/other-name.ts';
import type { PathFailureReason } from '../../../core/x509/path-result.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { AppraisalContext, Identifiers, VerifiedEvidence } from '../verifier.ts';
import { anchoredPath, revocationNames } from './anchored-path.ts';
import { ekSha256OfUri } from './ek-uri.ts';
import { isStrongEnough } from './key-rules.ts';
import { tpmIdentityOf } from './tpm-identity.ts';
import { tpmClaims } from './tpm-claims.ts';

/** What an attestation key's certificate says of the device. */
export type AkStatement = Pick<VerifiedEvidence, 'identifiers' | 'claims' | 'findings'>;

/** tcg-cap-verifiedTPMRestricted: an IAK, whose certificate has a subject (TCG DevID §8.6). */
const VERIFIED_TPM_RESTRICTED = '2.23.133.11.1.3';
/** hwType of a TPM 2.0 in an IAK's HardwareModuleName. */
const TPM20_HARDWARE_TYPE = '2.23.133.1.2';

/**
 * The attestation key's certificate among unordered ones: the one end entity whose key purpose is to attest.
 * @throws EvidenceFault `ak-malformed`, `ak-purpose` where there is none or several
 */
export function attestationKeyCertificate(certificates: readonly Certificate[]): Certificate {
  const candidates = guarded(() =>
    certificates.filter(
      (certificate) =>
        basicConstraints(certificate)?.cA !== true &&
        extendedKeyUsage(certificate)?.includes(KEY_PURPOSE.tcgAkCertificate) === true,
    ),
  );
  const [only, another] = candidates;
  if (only !== undefined && another === undefined) return only;
  throw new EvidenceFault('ak-purpose', `${candidates.length} certificates of attestation keys, expected one`);
}

/**
 * Judges an attestation key's certificate: the profile of WebAuthn §8.3.1, or of TCG's IAK, and the path to an anchor.
 * @throws EvidenceFault `ak-…`
 */
export async function judgeAkCertificate(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  context: Pick<AppraisalContext, 'now' | 'anchors' | 'isRevoked'>,
): Promise<AkStatement> {
  const { identifiers, claims } = guarded(() => checkProfile(leaf));
  const path = anchoredPath({ leaf, intermediates, anchors: context.anchors('attestation-ca'), now: context.now });
  if (!path.ok) throw new EvidenceFault(PATH_CODES[path.reason] ?? 'ak-untrusted', path.detail);
  for (const { issuerKeyId, serialNumber } of guarded(() => revocationNames(path.chain))) {
    if (await context.isRevoked(issuerKeyId, serialNumber)) {
      throw new EvidenceFault('ak-revoked', `certificate ${serialNumber} of ${issuerKeyId} is revoked`);
    }
  }
  return { identifiers, claims, findings: path.expired ? ['ak-expiry-tolerated'] : [] };
}

const PATH_CODES: Partial<Record<PathFailureReason, FindingCode>> = {
  expired: 'ak-expired',
  'not-yet-valid': 'ak-expired',
};

function checkProfile(leaf: Certificate): Pick<AkStatement, 'identifiers' | 'claims'> {
  if (leaf.version !== 3) throw profileFault(`version ${leaf.version}, expected 3`);
  if (basicConstraints(leaf)?.cA === true) throw profileFault('it is a CA');
  if (extendedKeyUsage(leaf)?.includes(KEY_PURPOSE.tcgAkCertificate) !== true) {
    throw new EvidenceFault('ak-purpose', `extendedKeyUsage ${extendedKeyUsage(leaf)?.join(', ') ?? 'absent'}`);
  }
  if (keyUsage(leaf)?.has('digitalSignature') === false) throw profileFault('keyUsage without digitalSignature');
  if (!isStrongEnough(leaf.publicKey.algorithm)) {
    throw new EvidenceFault('ak-too-weak', `a key of kind ${leaf.publicKey.algorithm.kind}`);
  }
  return statementOf(subjectAltName(leaf), isIak(leaf), leaf);
}

function isIak(leaf: Certificate): boolean {
  const policies = EXTENSIONS.certificatePolicies.find(leaf.extensions) ?? [];
  return policies.some(({ policyIdentifier }) => policyIdentifier === VERIFIED_TPM_RESTRICTED);
}

function statementOf(names: readonly GeneralName[], iak: boolean, leaf: Certificate) {
  const identity = tpmIdentityOf(names);
  const identifiers = identifiersOf(names);
  if (iak) {
    const isTpm = identifiers['hardware-module']?.startsWith(`${TPM20_HARDWARE_TYPE};`) === true;
    if (identity === undefined && !isTpm) throw profileFault('an IAK names no TPM');
  } else {
    if (leaf.subject.rdns.length > 0) throw profileFault('the subject is not empty');
    if (identity === undefined) {
      throw profileFault('subjectAltName without one each of tpmManufacturer, tpmModel and tpmVersion');
    }
  }
  return { identifiers, claims: { ...tpmClaims(identity), 'ak-certificate-sha256': hash('sha256', leaf.der) } };
}

/** What of subjectAltName tells the device apart; of several of a kind, the first. */
function identifiersOf(names: readonly GeneralName[]): Identifiers {
  const others = names.flatMap((name) => (name.kind === 'otherName' ? [name.value] : []));
  const permanent = others.flatMap((name) => permanentIdentifierOf(name)?.identifierValue ?? [])[0];
  const module = others.flatMap((name) => hardwareModuleNameOf(name) ?? [])[0];
  const ek = names.flatMap((name) => (name.kind === 'uri' ? (ekSha256OfUri(name.value) ?? []) : []))[0];
  return {
    ...(permanent === undefined ? {} : { 'permanent-identifier': permanent }),
    ...(module === undefined ? {} : { 'hardware-module': `${module.hwType};${toHex(module.hwSerialNum)}` }),
    ...(ek === undefined ? {} : { 'ek-sha256': ek }),
  };
}

function profileFault(detail: string): EvidenceFault {
  return new EvidenceFault('ak-profile', detail);
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('ak-malformed', error.message, { cause: error });
    throw error;
  }
}
