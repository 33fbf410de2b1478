import type { CertificatePolicies, PolicyMappings } from './certificate-policies.ts';
import { ANY_POLICY } from './oids.ts';

interface PolicyNode {
  readonly policy: string;
  /** expected_policy_set: which policies of the next certificate this node stands for. */
  readonly expected: ReadonlySet<string>;
  readonly parents: readonly PolicyNode[];
}

/**
 * The valid_policy_graph of RFC 9618 §5: RFC 5280's tree with one node for each policy at each depth, so that mappings
 * cannot multiply it. Only the deepest level is ever looked at; ancestors that lost their descendants are simply never
 * reached from it, so nothing has to be pruned.
 */
export class PolicyGraph {
  #level: ReadonlyMap<string, PolicyNode> = new Map([
    [ANY_POLICY, { policy: ANY_POLICY, expected: new Set([ANY_POLICY]), parents: [] }],
  ]);

  /** Whether the graph is NULL: no policy is valid for the path so far. */
  get isNull(): boolean {
    return this.#level.size === 0;
  }

  /** RFC 9618 §5.3 (d) and (e): goes one certificate down; `mayUseAny` is the condition of (d)(2). */
  descend(policies: CertificatePolicies | undefined, mayUseAny: boolean): void {
    const next = new Map<string, PolicyNode>();
    const byExpected = this.#byExpected();
    const asserted = new Set((policies ?? []).map(({ policyIdentifier }) => policyIdentifier));
    for (const policy of asserted) {
      if (policy === ANY_POLICY) continue;
      // (d)(1)(i), else (ii): the node of anyPolicy is what expects anyPolicy.
      const parents = byExpected.get(policy) ?? byExpected.get(ANY_POLICY);
      if (parents !== undefined) next.set(policy, { policy, expected: new Set([policy]), parents });
    }
    if (asserted.has(ANY_POLICY) && mayUseAny) {
      for (const [policy, parents] of byExpected) {
        if (!next.has(policy)) next.set(policy, { policy, expected: new Set([policy]), parents });
      }
    }
    this.#level = next;
  }

  /** RFC 9618 §5.4 (b): applies mappings, or, where mapping is inhibited, drops the policies that would be mapped. */
  map(mappings: PolicyMappings, isInhibited: boolean): void {
    const subjects = new Map<string, Set<string>>();
    for (const { issuerDomainPolicy, subjectDomainPolicy } of mappings) {
      const set = subjects.get(issuerDomainPolicy) ?? new Set();
      subjects.set(issuerDomainPolicy, set.add(subjectDomainPolicy));
    }
    const next = new Map(this.#level);
    const any = this.#level.get(ANY_POLICY);
    for (const [policy, expected] of subjects) {
      const node = this.#level.get(policy);
      if (isInhibited) next.delete(policy);
      else if (node !== undefined) next.set(policy, { ...node, expected });
      else if (any !== undefined) next.set(policy, { policy, expected, parents: any.parents });
    }
    this.#level = next;
  }

  /** RFC 9618 §5.5 (g): whether the path is valid for one of these policies, or for any at all. */
  allowsOneOf(acceptable: readonly string[] | undefined): boolean {
    if (acceptable === undefined || acceptable.includes(ANY_POLICY)) return !this.isNull;
    const authority = this.#authorityConstrained();
    return authority.has(ANY_POLICY) ? acceptable.length > 0 : acceptable.some((policy) => authority.has(policy));
  }

  /** The policies in the terms of the trust anchor: nodes below an anyPolicy node that lead to the deepest level. */
  #authorityConstrained(): ReadonlySet<string> {
    const policies = new Set<string>();
    if (this.#level.has(ANY_POLICY)) policies.add(ANY_POLICY);
    const seen = new Set<PolicyNode>();
    const pending = [...this.#level.values()];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      if (seen.has(node)) continue;
      seen.add(node);
      if (node.policy !== ANY_POLICY && node.parents.some(({ policy }) => policy === ANY_POLICY))
        policies.add(node.policy);
      pending.push(...node.parents);
    }
    return policies;
  }

  #byExpected(): ReadonlyMap<string, readonly PolicyNode[]> {
    const byExpected = new Map<string, PolicyNode[]>();
    for (const node of this.#level.values()) {
      for (const policy of node.expected) {
        const nodes = byExpected.get(policy);
        if (nodes === undefined) byExpected.set(policy, [node]);
        else nodes.push(node);
      }
    }
    return byExpected;
  }
}
