import type { Certificate } from '../../../core/x509/certificate.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import { findRevoked } from '../chain-revocation.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, EvidenceVerifier, VerifiedEvidence } from '../verifier.ts';
import { readIdevidProof } from './proof.ts';
import { type IdevidPath, verifyIdevid } from './verification.ts';

/**
 * Verifies an IDevID that signed for a key (see `proof.ts`): the attested key is the one it signed for. A bare chain is no
 * evidence, as certificates are public; what a carrier saw a device prove goes to {@link appraiseIdevid}.
 */
export function idevidVerifier(): EvidenceVerifier {
  return { types: ['idevid'], appraise: appraiseProof };
}

/**
 * Appraises the chain of a device that the carrier saw prove the possession of its IDevID's key (TLS, CMP protection, SCEP signer): it
 * attests no other key. Undefined where the chain leads to no anchor of purpose `idevid`.
 *
 * @param chain the device's certificate first
 * @throws EvidenceFault where it leads to one and is refused
 */
export async function appraiseIdevid(
  chain: readonly Certificate[],
  context: Pick<AppraisalContext, 'now' | 'anchors' | 'isRevoked'>,
): Promise<VerifiedEvidence | undefined> {
  const verified = verifyIdevid(chain, context.anchors('idevid'), context.now);
  if (verified === undefined) return undefined;
  await refuseRevoked(verified.path, context);
  return verified.evidence;
}

async function appraiseProof(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const { chain, nonce, publicKey } = readIdevidProof(bytes);
  const identity = await appraiseIdevid(chain, context);
  if (identity === undefined) throw new EvidenceFault('idevid-unknown', 'expected a path to an anchor, found none');
  if (context.nonce !== undefined && !octetsEqual(nonce, context.nonce)) {
    throw new EvidenceFault('nonce-mismatch', 'the proof is over another nonce');
  }
  if (context.nonce === undefined && !(await context.takeNonce(nonce))) {
    throw new EvidenceFault('nonce-not-ours', 'the nonce of the proof');
  }
  return { ...identity, attestedPublicKey: publicKey };
}

async function refuseRevoked({ chain }: IdevidPath, context: Pick<AppraisalContext, 'isRevoked'>): Promise<void> {
  const revoked = await findRevoked(chain, context);
  if (revoked !== undefined) throw new EvidenceFault('idevid-revoked', `serial number ${revoked.serialNumber}`);
}
