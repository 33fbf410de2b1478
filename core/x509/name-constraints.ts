import type { GeneralSubtrees, NameConstraints } from './extensions.ts';
import { type GeneralName, generalNameToText } from './general-name.ts';
import { type ConstraintMatch, matchConstraint } from './name-constraint-match.ts';

/** What {@link NameConstraintState.check} says. */
export type NameConstraintVerdict =
  | { readonly kind: 'within' }
  | { readonly kind: 'violated' | 'limit'; readonly detail: string };

const WITHIN: NameConstraintVerdict = { kind: 'within' };

/**
 * permitted_subtrees and excluded_subtrees of RFC 5280 §6.1.1 (h), (i). The intersection of permitted subtrees is not
 * computed: a name must lie within one subtree of its kind in every certificate that has some.
 */
export class NameConstraintState {
  readonly #permitted: GeneralSubtrees[] = [];
  readonly #excluded: GeneralSubtrees[] = [];
  #comparisonsLeft: number;

  constructor(maxComparisons: number) {
    this.#comparisonsLeft = maxComparisons;
  }

  /** RFC 5280 §6.1.4 (g). */
  add({ permittedSubtrees, excludedSubtrees }: NameConstraints): void {
    if (permittedSubtrees !== undefined) this.#permitted.push(permittedSubtrees);
    if (excludedSubtrees !== undefined) this.#excluded.push(excludedSubtrees);
  }

  /** RFC 5280 §6.1.3 (b), (c) for all names of one certificate. A comparison that cannot be made counts as a violation. */
  check(names: readonly GeneralName[]): NameConstraintVerdict {
    for (const name of names) {
      const verdict = this.#checkOne(name);
      if (verdict.kind !== 'within') return verdict;
    }
    return WITHIN;
  }

  #checkOne(name: GeneralName): NameConstraintVerdict {
    for (const subtrees of this.#excluded) {
      const found = this.#compare(name, subtrees, 'excluded');
      if (found === 'limit') return limit();
      if (found === 'match' || found === 'undecidable') return violated(name, 'in an excluded subtree');
    }
    for (const subtrees of this.#permitted) {
      const found = this.#compare(name, subtrees, 'permitted');
      if (found === 'limit') return limit();
      if (found === 'mismatch' || found === 'undecidable') return violated(name, 'outside the permitted subtrees');
    }
    return WITHIN;
  }

  /** Compares with the subtrees of the name's kind; `none` where there are none, so that nothing is constrained. */
  #compare(
    name: GeneralName,
    subtrees: GeneralSubtrees,
    role: 'permitted' | 'excluded',
  ): ConstraintMatch | 'none' | 'limit' {
    let result: ConstraintMatch | 'none' = 'none';
    for (const { base, minimum, maximum } of subtrees) {
      this.#comparisonsLeft -= base.kind === 'directoryName' ? 1 + base.value.rdns.length : 1;
      if (this.#comparisonsLeft < 0) return 'limit';
      if (base.kind !== name.kind) continue;
      // RFC 5280 §4.2.1.10: minimum MUST be zero, maximum absent; another subtree has no defined meaning.
      const found = minimum === 0 && maximum === undefined ? matchConstraint(name, base, role) : 'undecidable';
      if (found !== 'mismatch') return found;
      result = 'mismatch';
    }
    return result;
  }
}

function limit(): NameConstraintVerdict {
  return { kind: 'limit', detail: 'too many comparisons of names with name constraints' };
}

function violated(name: GeneralName, how: string): NameConstraintVerdict {
  return { kind: 'violated', detail: `${generalNameToText(name)} is ${how}, or cannot be compared with them` };
}
