import type { Certificate } from '../../../core/x509/certificate.ts';
import { publicKeysEqual, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, KnownAttestationKey } from '../verifier.ts';
import { type AkStatement, attestationKeyCertificate, judgeAkCertificate } from './ak-certificate.ts';

/** What evidence says about who signed it. */
export interface Signer {
  /** The certificates that came along, unordered. */
  readonly certificates: readonly Certificate[];
  /** qualifiedSigner of the attestation. */
  readonly qualifiedSigner: Uint8Array;
}

/** An attestation key that may be believed. */
export interface TrustedAttestationKey extends AkStatement {
  readonly publicKey: SubjectPublicKeyInfo;
}

/**
 * Finds the attestation key and whether it is a TPM's: one that was activated here, else one whose certificate leads to an anchor.
 * A bare public key is never enough.
 * @throws EvidenceFault `ak-…`
 */
export async function trustedAttestationKey(
  { certificates, qualifiedSigner }: Signer,
  context: AppraisalContext,
): Promise<TrustedAttestationKey> {
  const leaf = certificates.length === 0 ? undefined : attestationKeyCertificate(certificates);
  const known = await context.knownAttestationKey(qualifiedSigner);
  if (known !== undefined && (leaf === undefined || publicKeysEqual(leaf.publicKey, known.publicKey))) {
    await checkStillGood(known, context);
    const { publicKey, identifiers, claims } = known;
    return { publicKey, identifiers, claims, findings: [] };
  }
  if (leaf === undefined) {
    throw new EvidenceFault(
      'ak-unknown',
      'no certificate of the attestation key came, and none such was activated here',
    );
  }
  const others = certificates.filter((certificate) => certificate !== leaf);
  return { publicKey: leaf.publicKey, ...(await judgeAkCertificate(leaf, others, context)) };
}

/** What was revoked after the activation is revoked. */
async function checkStillGood({ revocable }: KnownAttestationKey, context: AppraisalContext): Promise<void> {
  for (const { issuerKeyId, serialNumber } of revocable) {
    if (await context.isRevoked(issuerKeyId, serialNumber)) {
      throw new EvidenceFault('ek-revoked', `certificate ${serialNumber} of ${issuerKeyId} is revoked`);
    }
  }
}
