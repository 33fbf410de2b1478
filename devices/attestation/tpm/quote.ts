import { octetsEqual } from '../../../core/x509/octets.ts';
import type { SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import { EvidenceFault, type FindingCode } from '../findings.ts';
import type { ReferenceValues, VerifiedEvidence } from '../verifier.ts';
import type { QuoteAttest } from './attest.ts';
import { type SignedAttest, verifiedAttest } from './attest-signature.ts';
import { type PcrSelection, selectionText } from './pcr-selection.ts';
import { pcrDigest } from './pcr-policy.ts';
import { agrees, covers, matches, namesPcrs, type PcrValues, selectedValues } from './reference-pcrs.ts';
import { digestOctets } from './algorithms.ts';

/** A quote with the values it is over. */
export interface SignedQuote extends SignedAttest {
  /** The values of the selected PCRs, joined in the order of the selection; undefined where the device did not send them. */
  readonly pcrValues: Uint8Array | undefined;
}

/** What a quote is held against. */
export interface QuoteExpectations {
  readonly references: readonly ReferenceValues[];
  /** What is known of the TPM besides: a reference may ask for claims, too. */
  readonly claims: VerifiedEvidence['claims'];
  /** Without a reference that fits, it is refused. */
  readonly required: boolean;
}

/** A quote by an attestation key, its digest and values in agreement. */
export interface VerifiedQuote {
  readonly extraData: Uint8Array;
  readonly qualifiedSigner: Uint8Array;
  readonly selection: PcrSelection;
  /** Undefined where none came. */
  readonly values: PcrValues | undefined;
}

/**
 * Verifies TPM2_Quote (TPM 2.0 Library, Part 3 §18.4): signature, a selection that says something, and that the values sent have
 * the digest. Not held against anything yet.
 * @throws EvidenceFault `tpm-…`, `quote-no-pcrs`, `quote-sha1`, `quote-values`
 */
export function verifiedQuote(quote: SignedQuote, attestationKey: SubjectPublicKeyInfo): VerifiedQuote {
  const { attest, signature } = verifiedAttest(quote, 'quote', attestationKey);
  checkSelection(attest.pcrSelect);
  const values = quote.pcrValues && agreeingValues(attest, signature.hash, quote.pcrValues);
  const { extraData, qualifiedSigner, pcrSelect: selection } = attest;
  return { extraData, qualifiedSigner, selection, values };
}

/**
 * Holds a quote against the reference values of its model. With several firmwares in use, one must fit.
 * @throws EvidenceFault `quote-…`
 */
export function judgeQuote(
  { selection, values }: VerifiedQuote,
  expectations: QuoteExpectations,
): Pick<VerifiedEvidence, 'claims' | 'findings'> {
  const claims = { pcrs: selectionText(selection) };
  const references = expectations.references.filter(namesPcrs);
  if (references.length === 0) {
    if (expectations.required) throw new EvidenceFault('quote-no-reference', 'no reference of the model names PCRs');
    return { claims, findings: ['quote-not-compared'] };
  }
  if (values === undefined) throw new EvidenceFault('quote-values-missing', 'the values of the PCRs did not come');
  const comparable = references.filter((reference) => covers(selection, reference));
  if (comparable.length === 0) {
    throw new EvidenceFault('quote-selection', `${selectionText(selection)} lacks PCRs that the references name`);
  }
  const fitting = comparable.find((reference) => matches(values, reference) && agrees(expectations.claims, reference));
  if (fitting === undefined) {
    throw new EvidenceFault('quote-not-reference', `no firmware of ${comparable[0]!.model} measures this`);
  }
  return { claims: { ...claims, firmware: fitting.firmware, 'reference-values': fitting.id }, findings: NONE };
}

const NONE: readonly FindingCode[] = [];

/** A quote over nothing is validly signed and says nothing; the SHA-1 bank can be made to say anything. */
function checkSelection(selection: PcrSelection): void {
  if (selection.some(({ hash, pcrs }) => hash === 'sha1' && pcrs.length > 0)) {
    throw new EvidenceFault('quote-sha1', selectionText(selection));
  }
  if (!selection.some(({ pcrs }) => pcrs.length > 0))
    throw new EvidenceFault('quote-no-pcrs', 'the selection is empty');
}

/** The digest is made with the hash of the signing scheme. */
function agreeingValues({ pcrSelect, pcrDigest: digest }: QuoteAttest, hash: HashName, octets: Uint8Array): PcrValues {
  const values = digest.length === digestOctets(hash) ? selectedValues(pcrSelect, octets) : undefined;
  if (values === undefined || !octetsEqual(pcrDigest(hash, [octets]), digest)) {
    throw new EvidenceFault('quote-values', 'the values of the PCRs do not have the digest that is signed');
  }
  return values;
}
