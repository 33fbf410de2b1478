import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import {
  basicConstraints,
  type Certificate,
  extendedKeyUsage,
  keyUsage,
  parseCertificate,
  subjectAltName,
} from '../../../core/x509/certificate.ts';
import { KEY_PURPOSE } from '../../../core/x509/oids.ts';
import type { PathFailureReason } from '../../../core/x509/path-result.ts';
import { publicKeysEqual, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import type { TrustAnchor } from '../anchors.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { AppraisalContext } from '../verifier.ts';
import { anchoredPath, type RevocationName, revocationNames } from './anchored-path.ts';
import { ekAlgorithms } from './ek-template.ts';
import { certificateInNv } from './nv-certificate.ts';
import { type TpmIdentity, tpmIdentityOf } from './tpm-identity.ts';

/** What EK certificates are judged with. */
export type EkContext = Pick<AppraisalContext, 'now' | 'anchors' | 'isAllowedKey' | 'isRevoked'>;

/** An endorsement key with a certificate that a manufacturer's anchor vouches for. */
export interface CertifiedEk {
  readonly publicKey: SubjectPublicKeyInfo;
  readonly identity: TpmIdentity;
  readonly findings: readonly FindingCode[];
  /** The certificates of its path. */
  readonly revocable: readonly RevocationName[];
}

/** A TPM has one EK certificate for each kind of key, and its CAs' beside. */
const MAX_CERTIFICATES = 16;

/**
 * Judges what a device sent as EK certificates: as read from NV or DER, those of its intermediate CAs among them. `wanted` picks
 * the one of a key; otherwise the first one counts.
 * @throws EvidenceFault `ek-…`
 */
export async function certifiedEk(
  certificates: readonly Uint8Array[],
  wanted: SubjectPublicKeyInfo | undefined,
  context: EkContext,
): Promise<CertifiedEk> {
  if (certificates.length > MAX_CERTIFICATES) {
    throw new EvidenceFault('ek-malformed', `${certificates.length} certificates, more than ${MAX_CERTIFICATES}`);
  }
  const parsed = certificates.map(parseEkCertificate);
  const intermediates = parsed.filter(isAuthority);
  const leaves = parsed.filter((certificate) => !isAuthority(certificate));
  const leaf = leaves.find(({ publicKey }) => wanted === undefined || publicKeysEqual(publicKey, wanted));
  if (leaf === undefined) throw new EvidenceFault('ek-key-mismatch', 'no certificate is about the endorsement key');
  const identity = guarded(() => checkProfile(leaf));
  return { publicKey: leaf.publicKey, identity, ...(await checkChain(leaf, identity, intermediates, context)) };
}

/** An EK certificate of NV contents or DER. Throws EvidenceFault `ek-malformed`. */
export function parseEkCertificate(contents: Uint8Array): Certificate {
  return guarded(() => parseCertificate(certificateInNv(contents)));
}

function isAuthority(certificate: Certificate): boolean {
  return guarded(() => basicConstraints(certificate)?.cA === true);
}

/** TCG EK Credential Profile §3.2: which TPM it is about. */
function checkProfile(certificate: Certificate): TpmIdentity {
  const { publicKey, version } = certificate;
  if (version !== 3) throw new EvidenceFault('ek-profile', `version ${version}, expected 3`);
  if (ekAlgorithms(publicKey) === undefined) {
    throw new EvidenceFault('ek-key-unsupported', `no EK template makes a key of kind ${publicKey.algorithm.kind}`);
  }
  const use = publicKey.algorithm.kind === 'rsa' ? 'keyEncipherment' : 'keyAgreement';
  if (keyUsage(certificate)?.has(use) === false) {
    throw new EvidenceFault('ek-profile', `keyUsage without ${use}`);
  }
  const identity = tpmIdentityOf(subjectAltName(certificate));
  if (identity === undefined) {
    throw new EvidenceFault(
      'ek-profile',
      'subjectAltName without one each of tpmManufacturer, tpmModel and tpmVersion',
    );
  }
  return identity;
}

async function checkChain(
  leaf: Certificate,
  identity: TpmIdentity,
  intermediates: readonly Certificate[],
  context: EkContext,
): Promise<Pick<CertifiedEk, 'findings' | 'revocable'>> {
  const { now } = context;
  const path = anchoredPath({ leaf, intermediates, anchors: context.anchors('ek'), now });
  if (!path.ok) throw new EvidenceFault(PATH_CODES[path.reason] ?? 'ek-untrusted', path.detail);
  guarded(() => checkPurpose(leaf, path.anchor));
  checkManufacturer(identity, path.anchor);
  const revocable = guarded(() => revocationNames(path.chain));
  for (const { issuerKeyId, serialNumber } of revocable) {
    if (await context.isRevoked(issuerKeyId, serialNumber)) {
      throw new EvidenceFault('ek-revoked', `certificate ${serialNumber} of ${issuerKeyId} is revoked`);
    }
  }
  return { revocable, findings: path.expired ? ['ek-expiry-tolerated'] : [] };
}

const PATH_CODES: Partial<Record<PathFailureReason, FindingCode>> = {
  expired: 'ek-expired',
  'not-yet-valid': 'ek-expired',
  'weak-signature-algorithm': 'ek-sha1',
};

/** §3.2.16: tcg-kp-EKCertificate. Some old parts have no extendedKeyUsage at all: where the anchor allows it. */
function checkPurpose(leaf: Certificate, anchor: TrustAnchor<'ek'>): void {
  const purposes = extendedKeyUsage(leaf);
  if (purposes === undefined && !anchor.settings.requireKeyPurpose) return;
  if (purposes?.includes(KEY_PURPOSE.tcgEkCertificate) !== true) {
    throw new EvidenceFault('ek-purpose', `extendedKeyUsage ${purposes?.join(', ') ?? 'absent'}`);
  }
}

function checkManufacturer({ manufacturer }: TpmIdentity, { settings, name }: TrustAnchor<'ek'>): void {
  const { manufacturers } = settings;
  if (manufacturers.length === 0 || manufacturers.some((id) => id.toUpperCase() === manufacturer)) return;
  throw new EvidenceFault('ek-manufacturer', `anchor ${name} does not speak for manufacturer id ${manufacturer}`);
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('ek-malformed', error.message, { cause: error });
    throw error;
  }
}
