import { cborArray, cborBytes, cborInteger, type CborMap, cborText } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';
import { appraiseTpmStatement } from '../tpm/acme-statement.ts';
import type { AppraisalContext, EvidenceVerifier, VerifiedEvidence } from '../verifier.ts';
import { appraiseAndroidKey } from './android-key.ts';
import { appraiseApple } from './apple.ts';
import { decodeAttestationObject, readingCbor, statementCertificates } from './attestation-object.ts';
import { keyAuthorizationDigest } from './key-authorization.ts';
import { appraiseStep } from './step.ts';

/** How the statement of one format is appraised: it must be fresh for the key authorization, each format in its way. */
type StatementAppraiser = (
  statement: CborMap,
  keyAuthorization: Uint8Array,
  context: AppraisalContext,
) => Promise<VerifiedEvidence>;

const FORMATS: Readonly<Record<string, StatementAppraiser>> = {
  'acme-tpm': appraiseTpm,
  'acme-step': appraiseStep,
  'acme-apple': appraiseApple,
  'acme-android-key': appraiseAndroidKey,
};

/**
 * Verifies the attestation objects of ACME's device-attest-01 (draft-ietf-acme-device-attest). The nonce of the context is the whole
 * key authorization in ASCII; without one nothing is fresh, and all is refused.
 */
export function acmeVerifier(): EvidenceVerifier {
  return { types: ['acme-tpm', 'acme-step', 'acme-apple', 'acme-android-key'], appraise: appraiseObject };
}

async function appraiseObject(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const { format, statement } = decodeAttestationObject(bytes);
  const appraiser = FORMATS[context.type];
  if (appraiser === undefined || `acme-${format}` !== context.type) {
    throw new EvidenceFault('acme-format-mismatch', `expected ${context.type}, found ${format.slice(0, 32)}`);
  }
  if (context.nonce === undefined)
    throw new EvidenceFault('nonce-missing', 'expected a key authorization to be fresh for');
  return appraiser(statement, context.nonce, context);
}

async function appraiseTpm(
  statement: CborMap,
  keyAuthorization: Uint8Array,
  context: AppraisalContext,
): Promise<VerifiedEvidence> {
  const members = readingCbor(() => ({
    version: cborText(statement.get('ver'), 'ver'),
    algorithm: cborInteger(statement.get('alg'), 'alg'),
    signature: cborBytes(statement.get('sig'), 'sig'),
    certInfo: cborBytes(statement.get('certInfo'), 'certInfo'),
    publicArea: cborBytes(statement.get('pubArea'), 'pubArea'),
    hasCertificates: statement.has('x5c') && cborArray(statement.get('x5c'), 'x5c').length > 0,
  }));
  const certificates = members.hasCertificates ? statementCertificates(statement) : [];
  return appraiseTpmStatement({ ...members, certificates }, keyAuthorizationDigest(keyAuthorization), context);
}
