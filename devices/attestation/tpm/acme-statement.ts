import type { Certificate } from '../../../core/x509/certificate.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, VerifiedEvidence } from '../verifier.ts';
import { attestOfType } from './attest-signature.ts';
import { trustedAttestationKey } from './attestation-key.ts';
import { checkFresh } from './freshness.ts';
import { certifiedKey } from './key-certification.ts';
import { judgeMeasurements } from './measurements.ts';

/** The statement of format `tpm` (WebAuthn §8.3) of an attestation object, decoded. */
export interface TpmAttestationStatement {
  /** `ver`. */
  readonly version: string;
  /** `alg`: a COSE algorithm. */
  readonly algorithm: number;
  /** `x5c`, the attestation key's first; empty where the key was activated here. */
  readonly certificates: readonly Certificate[];
  /** `sig`: a TPMT_SIGNATURE, or bare RSASSA octets as Windows sends them. */
  readonly signature: Uint8Array;
  /** `certInfo`: TPMS_ATTEST. */
  readonly certInfo: Uint8Array;
  /** `pubArea`: TPMT_PUBLIC of the key. */
  readonly publicArea: Uint8Array;
}

/**
 * Appraises the TPM statement of ACME's device-attest-01. `qualifyingData` is SHA-256 of the key authorization, whatever `alg` says.
 * @throws EvidenceFault
 */
export async function appraiseTpmStatement(
  statement: TpmAttestationStatement,
  qualifyingData: Uint8Array,
  context: AppraisalContext,
): Promise<VerifiedEvidence> {
  checkAlgorithm(statement);
  const { certInfo: attest, signature, publicArea, certificates } = statement;
  const { qualifiedSigner } = attestOfType(attest, 'certify');
  const attestationKey = await trustedAttestationKey({ certificates, qualifiedSigner }, context);
  const { identifiers } = attestationKey;
  const key = certifiedKey({ attest, signature, publicArea }, attestationKey.publicKey);
  const measured = await judgeMeasurements({ quote: undefined, area: key.area }, attestationKey, context);
  await checkFresh(key.extraData, { ...context, nonce: qualifyingData });
  return {
    attestedPublicKey: key.publicKey,
    identifiers,
    claims: { ...attestationKey.claims, ...key.claims, ...measured.claims },
    findings: [...attestationKey.findings, ...measured.findings],
  };
}

/** COSE algorithms of the attestation key's signature (RFC 9053, RFC 8812): ES256, ES384, ES512, RS256…, PS256…. */
const ALGORITHMS: ReadonlySet<number> = new Set([-7, -35, -36, -257, -258, -259, -37, -38, -39]);
/** RS1. */
const RSASSA_SHA1 = -65_535;

function checkAlgorithm({ version, algorithm }: TpmAttestationStatement): void {
  if (version !== '2.0') throw new EvidenceFault('tpm-version', `ver is ${version.slice(0, 16)}, expected 2.0`);
  if (algorithm === RSASSA_SHA1) throw new EvidenceFault('tpm-sha1', 'alg is RS1');
  if (!ALGORITHMS.has(algorithm)) throw new EvidenceFault('tpm-signature', `alg ${algorithm} is not known here`);
}
