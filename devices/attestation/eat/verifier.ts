import { octetsEqual, toHex } from '../../../core/x509/octets.ts';
import type { TrustAnchor } from '../anchors.ts';
import { CborError } from '../cbor.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { AppraisalContext, EvidenceVerifier, VerifiedEvidence } from '../verifier.ts';
import { decodeEatClaims, type EatClaims } from './claims.ts';
import { decodeCoseSign1 } from './cose-sign1.ts';
import { isPsaToken, readPsaClaims } from './psa-profile.ts';
import { findSigner } from './signer.ts';

/**
 * Verifies Entity Attestation Tokens (RFC 9711) in COSE_Sign1, PSA tokens (RFC 9783) among them: signed by a key that is an
 * anchor, fresh, and about the key of their `cnf` claim, where they have one.
 */
export function eatVerifier(): EvidenceVerifier {
  return { types: ['eat'], appraise: appraiseToken };
}

async function appraiseToken(bytes: Uint8Array, context: AppraisalContext): Promise<VerifiedEvidence> {
  const message = readingToken(() => decodeCoseSign1(bytes));
  const anchor = await findSigner(message, context);
  const token = readingToken(() => decodeEatClaims(message.payload));
  checkTimes(token, context.now);
  checkProfile(token, anchor);
  const psa = isPsaToken(token) ? readingToken(() => readPsaClaims(token)) : undefined;
  const findings = [...debugFindings(token, context), ...lifecycleFindings(psa?.lifecycle, context)];
  const claims = { ...token.claims, ...psa?.claims };
  checkReferences(token, claims, context);
  await checkFreshness(token, context);
  return { attestedPublicKey: token.confirmation, identifiers: identifiersOf(token, anchor), claims, findings };
}

function readingToken<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof CborError) throw new EvidenceFault('eat-malformed', error.message, { cause: error });
    throw error;
  }
}

function checkTimes({ expiresAt, notBefore }: EatClaims, now: Date): void {
  const seconds = now.getTime() / 1000;
  if (expiresAt !== undefined && seconds >= expiresAt)
    throw new EvidenceFault('eat-expired', `was valid until ${expiresAt}`);
  if (notBefore !== undefined && seconds < notBefore)
    throw new EvidenceFault('eat-not-yet-valid', `valid from ${notBefore}`);
}

function checkProfile({ profile }: EatClaims, { settings: { profiles } }: TrustAnchor<'eat'>): void {
  if (profiles.length === 0 || (profile !== undefined && profiles.includes(profile))) return;
  throw new EvidenceFault('eat-profile', `expected ${profiles.join(' or ')}, found ${profile ?? 'none'}`);
}

function debugFindings({ debugStatus }: EatClaims, { policy }: AppraisalContext): readonly FindingCode[] {
  if (debugStatus !== 'enabled') return [];
  if (policy.allowTestDevices) return ['eat-debug-enabled'];
  throw new EvidenceFault('eat-debug-enabled', 'expected debugging to be disabled');
}

function lifecycleFindings(lifecycle: string | undefined, { policy }: AppraisalContext): readonly FindingCode[] {
  if (lifecycle === undefined || lifecycle === 'secured') return [];
  if (policy.allowTestDevices) return ['eat-lifecycle'];
  throw new EvidenceFault('eat-lifecycle', `expected secured, found ${lifecycle}`);
}

/** One set of reference values of the model has to fit; where there is none, the policy says whether that will do. */
function checkReferences(
  { hardwareModel }: EatClaims,
  claims: VerifiedEvidence['claims'],
  context: AppraisalContext,
): void {
  const references = hardwareModel === undefined ? [] : context.referenceValues(hardwareModel);
  const asked = references.filter((reference) => Object.keys(reference.claims).length > 0);
  if (asked.length === 0 && context.policy.referenceValues === 'optional') return;
  const fits = asked.some((reference) =>
    Object.entries(reference.claims).every(([name, value]) => claims[name] === value),
  );
  if (fits) return;
  throw new EvidenceFault(
    'eat-reference-mismatch',
    `none of ${asked.length} reference values of ${hardwareModel ?? 'no model'} fits`,
  );
}

async function checkFreshness({ nonces }: EatClaims, context: AppraisalContext): Promise<void> {
  const { nonce: expected } = context;
  if (nonces.length === 0) throw new EvidenceFault('nonce-missing', 'expected eat_nonce, found none');
  if (expected !== undefined) {
    if (nonces.some((nonce) => octetsEqual(nonce, expected))) return;
    throw new EvidenceFault('nonce-mismatch', `none of ${nonces.length} values of eat_nonce is the one expected`);
  }
  // A token for several verifiers holds a nonce of each (RFC 9711 §4.1): one of them is ours.
  for (const nonce of nonces) if (await context.takeNonce(nonce)) return;
  throw new EvidenceFault('nonce-not-ours', `none of ${nonces.length} values of eat_nonce was issued here`);
}

function identifiersOf(
  { ueid, hardwareModel }: EatClaims,
  { settings }: TrustAnchor<'eat'>,
): VerifiedEvidence['identifiers'] {
  if (ueid === undefined) throw new EvidenceFault('eat-device-unnamed', 'expected ueid, found none');
  return {
    'permanent-identifier': toHex(ueid),
    ...(settings.manufacturer === '' ? {} : { manufacturer: settings.manufacturer }),
    ...(hardwareModel === undefined ? {} : { model: hardwareModel }),
  };
}
