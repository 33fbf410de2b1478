import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { toHex } from '../../../core/x509/octets.ts';
import type { TrustAnchor } from '../anchors.ts';
import { findRevoked } from '../chain-revocation.ts';
import { findDevicePath, type PathStrictness } from '../device-path.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext } from '../verifier.ts';
import { type CoseSign1, verifyCoseSign1 } from './cose-sign1.ts';

/**
 * The anchor that a token rests on: one whose key signed it, or whose certificate the signer's chain in `x5chain` leads to.
 * @throws EvidenceFault `eat-key-unknown`, `eat-signature-invalid`, `eat-path-invalid`, `eat-revoked`, `eat-malformed`
 */
export function findSigner(message: CoseSign1, context: AppraisalContext): Promise<TrustAnchor<'eat'>> {
  return message.certificates.length === 0 ? byKey(message, context) : byChain(message, context);
}

// kid narrows the search where both sides have one; it is the signature that counts.
async function byKey(message: CoseSign1, context: AppraisalContext): Promise<TrustAnchor<'eat'>> {
  const keyId = message.keyId === undefined ? undefined : toHex(message.keyId);
  const named = context.anchors('eat').filter(({ settings }) => settings.keyId === '' || settings.keyId === keyId);
  if (named.length === 0) throw new EvidenceFault('eat-key-unknown', `no anchor for kid ${keyId ?? 'none'}`);
  const found = named.find(({ publicKey }) => verifyCoseSign1(publicKey, message));
  if (found !== undefined) return found;
  throw new EvidenceFault(
    'eat-signature-invalid',
    `expected a signature by one of ${named.length} anchors, found another`,
  );
}

const STRICT: PathStrictness = { expiry: 'enforce', allowSha1: false };

async function byChain(message: CoseSign1, context: AppraisalContext): Promise<TrustAnchor<'eat'>> {
  try {
    const [signer, ...others] = message.certificates.map((der) => parseCertificate(der));
    const path = findDevicePath([signer!, ...others], certified(context.anchors('eat')), context.now, () => STRICT);
    if (!path.ok) throw new EvidenceFault('eat-path-invalid', `${path.reason}: ${path.detail}`);
    if (!verifyCoseSign1(signer!.publicKey, message)) {
      throw new EvidenceFault('eat-signature-invalid', 'expected a signature by the first of x5chain, found another');
    }
    const revoked = await findRevoked(path.chain, context);
    if (revoked === undefined) return path.anchor;
    throw new EvidenceFault('eat-revoked', `serial number ${revoked.serialNumber}`);
  } catch (error) {
    if (error instanceof Asn1Error) throw new EvidenceFault('eat-malformed', error.message, { cause: error });
    throw error;
  }
}

type CertifiedAnchor = TrustAnchor<'eat'> & { readonly certificate: Certificate };

function certified(anchors: readonly TrustAnchor<'eat'>[]): readonly CertifiedAnchor[] {
  return anchors.filter((anchor): anchor is CertifiedAnchor => anchor.certificate !== undefined);
}
