import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import type { TrustAnchor } from '../anchors.ts';
import { findRevoked } from '../chain-revocation.ts';
import { type DevicePath, findDevicePath, type PathStrictness } from '../device-path.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext } from '../verifier.ts';

/** The anchors that certificates of attestation objects lead to. */
type StatementPurpose = 'attestation-ca' | 'apple' | 'android';

const STRICT: PathStrictness = { expiry: 'enforce', allowSha1: false };

/**
 * The path of a statement's certificates to an anchor of the purpose, nothing of it revoked. Where the purpose's anchors say
 * nothing of expiry and SHA-1, neither is overlooked. @throws EvidenceFault `acme-path-invalid`, `acme-revoked`
 */
export async function statementPath<P extends StatementPurpose>(
  chain: readonly [Certificate, ...Certificate[]],
  purpose: P,
  context: AppraisalContext,
): Promise<DevicePath<TrustAnchor<P>>> {
  const anchors = context.anchors(purpose) as readonly (TrustAnchor<P> & { readonly certificate: Certificate })[];
  const found = findDevicePath(chain, anchors, context.now, ({ settings }) => ({ ...STRICT, ...settings }));
  if (!found.ok) throw new EvidenceFault('acme-path-invalid', `${found.reason}: ${found.detail}`);
  const revoked = await revokedOf(found.chain, context);
  if (revoked === undefined) return found;
  throw new EvidenceFault('acme-revoked', `serial number ${revoked.serialNumber}`);
}

async function revokedOf(chain: readonly Certificate[], context: AppraisalContext): Promise<Certificate | undefined> {
  try {
    return await findRevoked(chain, context);
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('acme-path-invalid', error.message, { cause: error });
    throw error;
  }
}
