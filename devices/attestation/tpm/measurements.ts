import type { AppraisalContext, Identifiers, ReferenceValues, VerifiedEvidence } from '../verifier.ts';
import { EvidenceFault } from '../findings.ts';
import type { PublicArea } from './public-area.ts';
import { judgeQuote, type VerifiedQuote } from './quote.ts';
import { agrees, boundReference } from './reference-pcrs.ts';

/** What speaks of the state of a device. */
export interface Measured {
  readonly quote: VerifiedQuote | undefined;
  /** The certified key: its policy may bind it to PCR values. */
  readonly area: PublicArea | undefined;
}

/** Whose state it is. */
type Measuring = Pick<VerifiedEvidence, 'identifiers' | 'claims'>;

/**
 * Holds what was measured against the reference values of the device's model: a quote where one came, else the policy of the
 * certified key. Where the endpoint asks for reference values, one of the two must fit.
 * @throws EvidenceFault `quote-…`
 */
export async function judgeMeasurements(
  { quote, area }: Measured,
  { identifiers, claims }: Measuring,
  context: Pick<AppraisalContext, 'expectedModel' | 'referenceValues' | 'policy'>,
): Promise<Pick<VerifiedEvidence, 'claims' | 'findings'>> {
  const references = await referencesOf(identifiers, context);
  const required = context.policy.referenceValues === 'required';
  if (quote !== undefined) return judgeQuote(quote, { references, claims, required });
  const agreeing = references.filter((reference) => agrees(claims, reference));
  const bound = area && boundReference(area, agreeing);
  if (bound !== undefined) {
    return { claims: { 'key-bound-to-firmware': bound.firmware, 'reference-values': bound.id }, findings: [] };
  }
  if (required) throw new EvidenceFault('quote-missing', 'neither a quote nor a key bound to reference values came');
  return { claims: {}, findings: [] };
}

/** By the model that the manifest has of the device; the chip's own model says nothing about what the device measures. */
async function referencesOf(
  identifiers: Identifiers,
  { expectedModel, referenceValues }: Pick<AppraisalContext, 'expectedModel' | 'referenceValues'>,
): Promise<readonly ReferenceValues[]> {
  const ek = identifiers['ek-sha256'];
  const model = (ek && (await expectedModel('ek', ek))) ?? identifiers.model;
  return model === undefined ? [] : referenceValues(model);
}
