import { octetsEqual } from '../../../core/x509/octets.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, EvidenceVerifier, VerifiedEvidence } from '../verifier.ts';
import type { Attest } from './attest.ts';
import { attestOfType } from './attest-signature.ts';
import { trustedAttestationKey } from './attestation-key.ts';
import { parseTpmBundle, type TpmBundle } from './bundle-statements.ts';
import { checkFresh } from './freshness.ts';
import { certifiedKey, type CertifiedKey, createdKey } from './key-certification.ts';
import { judgeMeasurements } from './measurements.ts';
import { verifiedQuote, type VerifiedQuote } from './quote.ts';

/**
 * Verifies `tpm-certify` and `tpm-quote` (an AttestationBundle, DER; a certify statement may have a quote beside it) and
 * `tpm-activation` (the secret of an activated attestation key).
 *
 * A certify statement attests the certified key; it may be TPM2_Certify's or TPM2_CertifyCreation's. A quote alone binds no other key, so it attests the attestation key itself: it
 * would otherwise enrol whatever key the one who relays it has made.
 */
export function tpmVerifier(): EvidenceVerifier {
  return {
    types: ['tpm-certify', 'tpm-quote', 'tpm-activation'],
    appraise: (bytes, context) =>
      context.type === 'tpm-activation' ? appraiseActivation(bytes, context) : appraiseBundle(bytes, context),
  };
}

async function appraiseBundle(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const bundle = parseTpmBundle(bytes);
  if (context.type === 'tpm-certify' && bundle.certify === undefined) throw missing('certify');
  const signer = signerOf(bundle);
  const attestationKey = await trustedAttestationKey({ certificates: bundle.certificates, ...signer }, context);
  const { identifiers } = attestationKey;
  const key = certified(bundle, attestationKey.publicKey);
  const quote = bundle.quote && verifiedQuote({ ...bundle.quote }, attestationKey.publicKey);
  const measured = await judgeMeasurements({ quote, area: key?.area }, attestationKey, context);
  await checkFresh(commonNonce(key, quote), context);
  return {
    attestedPublicKey: key?.publicKey ?? attestationKey.publicKey,
    identifiers,
    claims: { ...attestationKey.claims, ...key?.claims, ...measured.claims },
    findings: [...attestationKey.findings, ...measured.findings],
  };
}

async function appraiseActivation(secret: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const activated = await context.activatedKey(secret);
  if (activated === undefined) {
    throw new EvidenceFault('ak-activation-unknown', 'no activation waits for this secret');
  }
  const { publicKey: attestedPublicKey, identifiers, claims } = activated;
  return { attestedPublicKey, identifiers, claims, findings: [] };
}

/** Who signed: both statements must name one key. */
function signerOf({ certify, quote }: TpmBundle): Pick<Attest, 'qualifiedSigner'> {
  const attests: Attest[] = [
    ...(certify === undefined ? [] : [attestOfType(certify.attest, 'certify', 'creation')]),
    ...(quote === undefined ? [] : [attestOfType(quote.attest, 'quote')]),
  ];
  const [first, second] = attests;
  if (first === undefined) throw missing('quote');
  if (second !== undefined && !octetsEqual(first.qualifiedSigner, second.qualifiedSigner)) {
    throw new EvidenceFault('tpm-bundle', 'certify and quote are signed by two keys');
  }
  return first;
}

function certified({ certify }: TpmBundle, key: CertifiedKey['publicKey']): CertifiedKey | undefined {
  if (certify === undefined) return undefined;
  const { attest, signature, publicArea } = certify;
  if (publicArea === undefined) throw new EvidenceFault('tpm-public-missing', 'tpmTPublic is absent');
  const certification = { attest, signature, publicArea };
  const { type } = attestOfType(attest, 'certify', 'creation');
  return type === 'certify' ? certifiedKey(certification, key) : createdKey(certification, key);
}

/** Both statements must be fresh for the same thing. */
function commonNonce(key: CertifiedKey | undefined, quote: VerifiedQuote | undefined): Uint8Array {
  const extraData = key?.extraData ?? quote?.extraData ?? new Uint8Array();
  if (key !== undefined && quote !== undefined && !octetsEqual(key.extraData, quote.extraData)) {
    throw new EvidenceFault('nonce-mismatch', 'certify and quote hold two nonces');
  }
  return extraData;
}

function missing(kind: string): EvidenceFault {
  return new EvidenceFault('tpm-bundle', `there is no ${kind} statement`);
}
