import { describe, expect, it } from 'vitest';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { ANY_POLICY } from '../../core/x509/oids.ts';
import type { PathPolicies } from '../../core/x509/path-processing.ts';
import { validatePath } from '../../core/x509/path-validation.ts';
import { PolicyGraph } from '../../core/x509/policy-graph.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { Scratch, tryOpenssl } from './openssl.ts';

const A = '1.2.3.1';
const B = '1.2.3.2';
const C = '1.2.3.3';
const ANY = ANY_POLICY;

/** The policy extensions of one certificate. */
interface Policies {
  readonly policies?: readonly string[];
  readonly mappings?: readonly (readonly [string, string])[];
  readonly requireExplicitPolicy?: number;
  readonly inhibitPolicyMapping?: number;
  readonly inhibitAnyPolicy?: number;
  readonly selfIssued?: boolean;
}

function extensionsOf({
  policies,
  mappings,
  requireExplicitPolicy,
  inhibitPolicyMapping,
  inhibitAnyPolicy,
}: Policies): Extension[] {
  const hasConstraints = requireExplicitPolicy !== undefined || inhibitPolicyMapping !== undefined;
  return [
    ...(policies
      ? [EXTENSIONS.certificatePolicies.encode(policies.map((policyIdentifier) => ({ policyIdentifier })))]
      : []),
    ...(mappings
      ? [
          EXTENSIONS.policyMappings.encode(
            mappings.map(([issuerDomainPolicy, subjectDomainPolicy]) => ({ issuerDomainPolicy, subjectDomainPolicy })),
          ),
        ]
      : []),
    ...(hasConstraints ? [EXTENSIONS.policyConstraints.encode({ requireExplicitPolicy, inhibitPolicyMapping })] : []),
    ...(inhibitAnyPolicy === undefined ? [] : [EXTENSIONS.inhibitAnyPolicy.encode(inhibitAnyPolicy)]),
  ];
}

/** openssl's options for the inputs of §6.1.1. */
function opensslOptions({
  acceptable,
  requireExplicitPolicy,
  inhibitPolicyMapping,
  inhibitAnyPolicy,
}: PathPolicies): string[] {
  return [
    '-policy_check',
    ...(acceptable ?? [ANY]).flatMap((policy) => ['-policy', policy]),
    ...(requireExplicitPolicy === true ? ['-explicit_policy'] : []),
    ...(inhibitPolicyMapping === true ? ['-inhibit_map'] : []),
    ...(inhibitAnyPolicy === true ? ['-inhibit_any'] : []),
  ];
}

function verdicts(certificates: readonly Policies[], policies: PathPolicies): { ours: boolean; openssl: boolean } {
  using scratch = new Scratch();
  const root = TestAuthority.root({ name: 'CN=Root' });
  let issuer = root;
  let name = 'CN=Root';
  const authorities = certificates.slice(0, -1).map((options, i) => {
    name = options.selfIssued === true ? name : `CN=CA ${i}`;
    issuer = issuer.intermediate({ name, extensions: extensionsOf(options) });
    return issuer;
  });
  const leaf = issuer.leaf({ extensions: extensionsOf(certificates.at(-1)!) });
  const ours = validatePath({
    leaf: leaf.certificate,
    intermediates: authorities.map(({ certificate }) => certificate),
    anchors: [root.certificate],
    at: new Date(),
    policies,
  });
  const file = (id: string, ders: readonly Uint8Array[]): string =>
    scratch.file(id, ders.map((der) => encodePem('CERTIFICATE', der)).join(''));
  const args = [
    'verify',
    '-CAfile',
    file('ca', [root.der]),
    '-untrusted',
    file(
      'chain',
      authorities.map(({ der }) => der),
    ),
  ];
  const { ok } = tryOpenssl([...args, ...opensslOptions(policies), file('leaf', [leaf.der])]);
  return { ours: ours.ok, openssl: ok };
}

const explicit: PathPolicies = { requireExplicitPolicy: true };

describe('certificate policies (RFC 5280 §6.1, RFC 9618), as openssl decides', () => {
  it.each<[string, boolean, Policies[], PathPolicies]>([
    ['no policies, none required', true, [{}, {}], {}],
    ['no policies, one required', false, [{}, {}], explicit],
    ['the same policy throughout', true, [{ policies: [A] }, { policies: [A] }], explicit],
    ['different policies', false, [{ policies: [A] }, { policies: [B] }], explicit],
    ['different policies, none required', true, [{ policies: [A] }, { policies: [B] }], {}],
    ['an authority without policies', false, [{}, { policies: [A] }], explicit],
    ['anyPolicy above', true, [{ policies: [ANY] }, { policies: [A] }], explicit],
    ['anyPolicy below', true, [{ policies: [A] }, { policies: [ANY] }], explicit],
    ['a policy again, beside anyPolicy', true, [{ policies: [A] }, { policies: [A, ANY] }], explicit],
    [
      'a mapping of a policy that is not asserted',
      false,
      [{ policies: [A], mappings: [[C, B]] }, { policies: [B] }],
      explicit,
    ],
    [
      'a policy beside a mapping of another',
      true,
      [{ policies: [A], mappings: [[C, B]] }, { policies: [A] }],
      explicit,
    ],
    ['an acceptable policy', true, [{ policies: [A, B] }, { policies: [A, B] }], { ...explicit, acceptable: [B] }],
    ['no acceptable policy', false, [{ policies: [A, B] }, { policies: [A, B] }], { ...explicit, acceptable: [C] }],
    [
      'anyPolicy throughout stands for the acceptable one',
      true,
      [{ policies: [ANY] }, { policies: [ANY] }],
      { ...explicit, acceptable: [C] },
    ],
    [
      'anyPolicy inhibited from the start',
      false,
      [{ policies: [ANY] }, { policies: [A] }],
      { ...explicit, inhibitAnyPolicy: true },
    ],
    ['anyPolicy inhibited at once', false, [{ policies: [A], inhibitAnyPolicy: 0 }, { policies: [ANY] }], explicit],
    [
      'anyPolicy inhibited after one more',
      true,
      [{ policies: [A], inhibitAnyPolicy: 1 }, { policies: [ANY] }],
      explicit,
    ],
    [
      'anyPolicy inhibited, one more has passed',
      false,
      [{ policies: [A], inhibitAnyPolicy: 1 }, { policies: [A] }, { policies: [ANY] }],
      explicit,
    ],
    [
      'anyPolicy inhibited, in a self-issued authority',
      true,
      [{ policies: [A], inhibitAnyPolicy: 0 }, { policies: [ANY], selfIssued: true }, { policies: [A] }],
      explicit,
    ],
    ['requireExplicitPolicy 0', false, [{ policies: [A], requireExplicitPolicy: 0 }, { policies: [B] }], {}],
    ['requireExplicitPolicy 0, fulfilled', true, [{ policies: [A], requireExplicitPolicy: 0 }, { policies: [A] }], {}],
    [
      'requireExplicitPolicy of the leaf itself',
      false,
      [{ policies: [A] }, { policies: [B], requireExplicitPolicy: 0 }],
      {},
    ],
    ['requireExplicitPolicy too far away', true, [{ policies: [A], requireExplicitPolicy: 5 }, { policies: [B] }], {}],
    ['a mapping', true, [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }], explicit],
    [
      "a mapping, and the acceptable policy is the issuer's",
      true,
      [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }],
      { ...explicit, acceptable: [A] },
    ],
    [
      "a mapping, and the acceptable policy is the subject's",
      false,
      [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }],
      { ...explicit, acceptable: [B] },
    ],
    [
      'a mapped policy does not stand for itself',
      false,
      [{ policies: [A], mappings: [[A, B]] }, { policies: [A] }],
      explicit,
    ],
    [
      'a mapping to two',
      true,
      [
        {
          policies: [A],
          mappings: [
            [A, B],
            [A, C],
          ],
        },
        { policies: [C] },
      ],
      explicit,
    ],
    [
      'two mappings in a row',
      true,
      [{ policies: [A], mappings: [[A, B]] }, { policies: [B], mappings: [[B, C]] }, { policies: [C] }],
      { ...explicit, acceptable: [A] },
    ],
    [
      'a mapping below anyPolicy',
      true,
      [{ policies: [ANY], mappings: [[A, B]] }, { policies: [B] }],
      { ...explicit, acceptable: [A] },
    ],
    [
      'a mapping inhibited from the start',
      false,
      [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }],
      { ...explicit, inhibitPolicyMapping: true },
    ],
    [
      'a mapping inhibited above',
      false,
      [{ policies: [A], inhibitPolicyMapping: 0 }, { policies: [A], mappings: [[A, B]] }, { policies: [B] }],
      explicit,
    ],
    [
      'a mapping inhibited later',
      true,
      [{ policies: [A], inhibitPolicyMapping: 1 }, { policies: [A], mappings: [[A, B]] }, { policies: [B] }],
      explicit,
    ],
    ['a mapping of anyPolicy', false, [{ policies: [ANY], mappings: [[ANY, A]] }, { policies: [A] }], {}],
    ['a mapping to anyPolicy', false, [{ policies: [A], mappings: [[A, ANY]] }, { policies: [A] }], {}],
  ])('%s: %s', (_name, expected, certificates, policies) => {
    expect(verdicts(certificates, policies)).toEqual({ ours: expected, openssl: expected });
  });
});

it('the graph grows with the policies, not with their products', () => {
  const policies = Array.from({ length: 500 }, (_, i) => ({ policyIdentifier: `1.2.${i}` }));
  const mappings = policies.flatMap(({ policyIdentifier: issuerDomainPolicy }, i) =>
    [0, 1, 2].map((j) => ({ issuerDomainPolicy, subjectDomainPolicy: `1.2.${(i + j) % 500}` })),
  );
  const graph = new PolicyGraph();
  const start = performance.now();
  for (let depth = 0; depth < 6; depth++) {
    graph.descend(policies, true);
    graph.map(mappings, false);
  }
  expect(graph.allowsOneOf(['1.2.7'])).toBe(true);
  expect(graph.allowsOneOf(['1.2.500'])).toBe(false);
  expect(performance.now() - start).toBeLessThan(500);
});
