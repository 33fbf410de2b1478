import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { findKeyWeakness } from '../../../core/x509/key-weakness.ts';
import { parseSubjectPublicKeyInfo, spkiSha256, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import { type EkAlgorithms, ekAlgorithms, isEndorsementKeyArea } from './ek-template.ts';
import type { RevocationName } from './anchored-path.ts';
import { certifiedEk, type CertifiedEk, type EkContext, parseEkCertificate } from './ek-certificate.ts';
import { parsedStructure } from './parsed-structure.ts';
import { parsePublicArea } from './public-area.ts';
import type { TpmIdentity } from './tpm-identity.ts';

/** What a device shows of its endorsement key; at least one of key and certificates. */
export interface PresentedEk {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey?: Uint8Array | undefined;
  /** DER or as read from NV, CAs among them. */
  readonly certificates: readonly Uint8Array[];
  /** TPMT_PUBLIC, where the device sends it. */
  readonly publicArea?: Uint8Array | undefined;
}

/** An endorsement key that may be believed in: certified, or in the manifest. */
export interface TrustedEk {
  readonly publicKey: SubjectPublicKeyInfo;
  /** Lower-case hex SHA-256 of its SubjectPublicKeyInfo. */
  readonly sha256: string;
  readonly algorithms: EkAlgorithms;
  /** Undefined where the manifest alone vouches for it. */
  readonly identity: TpmIdentity | undefined;
  readonly findings: readonly FindingCode[];
  /** The certificates that vouch for it, as revocation sets name them. */
  readonly revocable: readonly RevocationName[];
}

/**
 * Decides whether an endorsement key is a TPM's: by its certificate, or because the manifest holds it. A key of the manifest needs
 * no certificate, and one that does not convince is then only noted; a revoked one is refused all the same.
 * @throws EvidenceFault `ek-…`
 */
export async function trustedEk(presented: PresentedEk, context: EkContext): Promise<TrustedEk> {
  const given = presented.publicKey === undefined ? undefined : parseKey(presented.publicKey);
  const publicKey = given ?? keyOfFirst(presented.certificates);
  const sha256 = spkiSha256(publicKey);
  const algorithms = ekAlgorithms(publicKey);
  if (algorithms === undefined) throw new EvidenceFault('ek-key-unsupported', 'no EK template makes such a key');
  const weakness = findKeyWeakness(publicKey);
  if (weakness !== undefined) throw new EvidenceFault('ek-key-weak', weakness.detail);
  checkArea(presented.publicArea, publicKey);
  const vouched = await vouchedFor({ certificates: presented.certificates, publicKey, sha256 }, context);
  return { publicKey, sha256, algorithms, identity: undefined, ...vouched };
}

interface EkInQuestion {
  readonly certificates: readonly Uint8Array[];
  readonly publicKey: SubjectPublicKeyInfo;
  readonly sha256: string;
}

type Vouched = Pick<TrustedEk, 'findings' | 'revocable'> & Partial<Pick<CertifiedEk, 'identity'>>;

async function vouchedFor({ certificates, publicKey, sha256 }: EkInQuestion, context: EkContext): Promise<Vouched> {
  const isListed = await context.isAllowedKey('ek', sha256);
  if (certificates.length === 0) {
    if (isListed) return { findings: [], revocable: [] };
    throw new EvidenceFault('ek-not-allowed', `EK ${sha256} has no certificate and is not in the manifest`);
  }
  try {
    const { identity, findings, revocable } = await certifiedEk(certificates, publicKey, context);
    return { identity, findings, revocable };
  } catch (error) {
    if (isListed && error instanceof EvidenceFault && error.code !== 'ek-revoked')
      return { findings: [error.code], revocable: [] };
    throw error;
  }
}

function checkArea(octets: Uint8Array | undefined, publicKey: SubjectPublicKeyInfo): void {
  if (octets === undefined) return;
  const area = parsedStructure(() => parsePublicArea(octets));
  if (!isEndorsementKeyArea(area, publicKey)) {
    throw new EvidenceFault('ek-key-mismatch', 'the public area is not that of the EK by one of the templates');
  }
}

function parseKey(der: Uint8Array): SubjectPublicKeyInfo {
  try {
    return parseSubjectPublicKeyInfo(der);
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('ek-malformed', error.message, { cause: error });
    throw error;
  }
}

function keyOfFirst([first]: readonly Uint8Array[]): SubjectPublicKeyInfo {
  if (first === undefined) throw new EvidenceFault('ek-missing', 'neither a key nor a certificate of the EK came');
  return parseEkCertificate(first).publicKey;
}
