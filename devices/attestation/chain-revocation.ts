import { type Certificate, subjectKeyIdentifier } from '../../core/x509/certificate.ts';
import { toHex } from '../../core/x509/octets.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import type { AppraisalContext } from './verifier.ts';

/**
 * The first certificate of a path (device first, anchor last) that an imported revocation set names; undefined where none is. Throws
 * Asn1Error where a key identifier is malformed.
 */
export async function findRevoked(
  chain: readonly Certificate[],
  context: Pick<AppraisalContext, 'isRevoked'>,
): Promise<Certificate | undefined> {
  for (const [index, issuer] of chain.slice(1).entries()) {
    const subject = chain[index]!;
    const issuerKeyId = toHex(subjectKeyIdentifier(issuer) ?? keyIdentifier(issuer.publicKey));
    if (await context.isRevoked(issuerKeyId, subject.serialNumber)) return subject;
  }
  return undefined;
}
