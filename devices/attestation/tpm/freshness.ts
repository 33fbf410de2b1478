import { timingSafeEqual } from 'node:crypto';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext } from '../verifier.ts';

/**
 * Refuses an attestation whose extraData is not the nonce expected of it, or, where the carrier expects none, not one issued here
 * for this endpoint; that is then used up, so this comes last.
 * @throws EvidenceFault `nonce-…`
 */
export async function checkFresh(
  extraData: Uint8Array,
  { nonce, takeNonce }: Pick<AppraisalContext, 'nonce' | 'takeNonce'>,
): Promise<void> {
  if (extraData.length === 0) throw new EvidenceFault('nonce-missing', 'extraData is empty');
  if (nonce === undefined) {
    if (await takeNonce(extraData)) return;
    throw new EvidenceFault('nonce-not-ours', 'extraData holds no nonce that is good here');
  }
  if (extraData.length !== nonce.length || !timingSafeEqual(extraData, nonce)) {
    throw new EvidenceFault('nonce-mismatch', 'extraData holds another value');
  }
}
