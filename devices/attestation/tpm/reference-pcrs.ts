import { fromHex, toHex } from '../../../core/x509/octets.ts';
import type { HashName } from '../../../core/x509/signature-algorithm.ts';
import type { ReferenceValues, VerifiedEvidence } from '../verifier.ts';
import { digestOctets } from './algorithms.ts';
import type { PcrBank, PcrSelection } from './pcr-selection.ts';
import { pcrDigest, policyPcrDigest } from './pcr-policy.ts';
import type { PublicArea } from './public-area.ts';

/** The values of selected PCRs: by bank and index, lower-case hex. */
export type PcrValues = ReadonlyMap<string, string>;

/** Combinations of allowed digests that are tried for a policy; more come from no real list. */
const MAX_COMBINATIONS = 256;
const BANKS: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

/** The values of a selection from their octets, joined in its order; undefined where they are not as long as the selection asks. */
export function selectedValues(selection: PcrSelection, octets: Uint8Array): PcrValues | undefined {
  const values = new Map<string, string>();
  let at = 0;
  for (const { hash, pcrs } of selection) {
    for (const pcr of pcrs) {
      values.set(pcrKey(hash, pcr), toHex(octets.subarray(at, at + digestOctets(hash))));
      at += digestOctets(hash);
    }
  }
  return at === octets.length ? values : undefined;
}

/** The PCRs that a reference names, its banks in fixed order. */
function referencedPcrs({ pcrs }: ReferenceValues): PcrSelection {
  return BANKS.flatMap((hash): PcrBank[] => {
    const indexes = Object.keys(pcrs[hash] ?? {}).map(Number);
    return indexes.length === 0 ? [] : [{ hash, pcrs: indexes.toSorted((a, b) => a - b) }];
  });
}

/** Whether a reference says anything about PCRs; every quote would fit one that does not. */
export function namesPcrs(reference: ReferenceValues): boolean {
  return referencedPcrs(reference).length > 0;
}

/** Whether a selection holds every PCR that a reference names. */
export function covers(selection: PcrSelection, reference: ReferenceValues): boolean {
  return referencedPcrs(reference).every(({ hash, pcrs }) => {
    const selected = selection.find((bank) => bank.hash === hash)?.pcrs ?? [];
    return pcrs.every((pcr) => selected.includes(pcr));
  });
}

/** Whether every PCR that a reference names has one of the values it allows. */
export function matches(values: PcrValues, reference: ReferenceValues): boolean {
  return referencedPcrs(reference).every(({ hash, pcrs }) =>
    pcrs.every((pcr) => allowedDigests(reference, hash, pcr).includes(values.get(pcrKey(hash, pcr)) ?? '')),
  );
}

/** Whether every claim that a reference asks for is made. */
export function agrees(claims: VerifiedEvidence['claims'], reference: ReferenceValues): boolean {
  return Object.entries(reference.claims).every(([name, value]) => claims[name] === value);
}

/**
 * The reference whose values a key is bound to: its authPolicy is that of TPM2_PolicyPCR over them, and the key cannot be used
 * without its policy. Undefined where there is none.
 */
export function boundReference(area: PublicArea, references: readonly ReferenceValues[]): ReferenceValues | undefined {
  if (area.authPolicy.length === 0 || area.attributes.has('userWithAuth')) return undefined;
  const wanted = toHex(area.authPolicy);
  return references.find((reference) => policiesOf(reference, area).has(wanted));
}

function policiesOf(reference: ReferenceValues, { nameAlg }: PublicArea): ReadonlySet<string> {
  const selection = referencedPcrs(reference);
  const policies = combinations(reference, selection).map((values) =>
    toHex(policyPcrDigest(nameAlg, selection, pcrDigest(nameAlg, values))),
  );
  return new Set(selection.length === 0 ? [] : policies);
}

/** Every choice of one allowed digest a PCR, in the order of the selection; none where there are too many. */
function combinations(reference: ReferenceValues, selection: PcrSelection): readonly (readonly Uint8Array[])[] {
  let chosen: Uint8Array[][] = [[]];
  for (const { hash, pcrs } of selection) {
    for (const pcr of pcrs) {
      const digests = allowedDigests(reference, hash, pcr).flatMap((hex) => fromHex(hex) ?? []);
      if (chosen.length * digests.length > MAX_COMBINATIONS) return [];
      chosen = chosen.flatMap((values) => digests.map((digest) => [...values, digest]));
    }
  }
  return chosen;
}

function allowedDigests({ pcrs }: ReferenceValues, hash: HashName, pcr: number): readonly string[] {
  return (pcrs[hash]?.[String(pcr)] ?? []).map((hex) => hex.toLowerCase());
}

function pcrKey(hash: HashName, pcr: number): string {
  return `${hash}:${pcr}`;
}
