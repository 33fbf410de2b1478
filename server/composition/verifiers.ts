import { acmeVerifier } from '../../devices/attestation/acme/verifier.ts';
import { eatVerifier } from '../../devices/attestation/eat/verifier.ts';
import type { IdentityVerifier } from '../../devices/attestation/gate.ts';
import { appraiseIdevid, idevidVerifier } from '../../devices/attestation/idevid/verifier.ts';
import { matterVerifier } from '../../devices/attestation/matter/verifier.ts';
import { tpmVerifier } from '../../devices/attestation/tpm/tpm-verifier.ts';
import type { EvidenceVerifier } from '../../devices/attestation/verifier.ts';

/** The kinds of evidence this installation knows. */
export const VERIFIERS: readonly EvidenceVerifier[] = [
  tpmVerifier(),
  matterVerifier(),
  idevidVerifier(),
  eatVerifier(),
  acmeVerifier(),
];

/** Manufacturers' certificates that a carrier saw a device prove. */
export const IDENTITY_VERIFIER: IdentityVerifier = appraiseIdevid;
