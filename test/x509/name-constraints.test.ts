import { describe, expect, it } from 'vitest';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { type GeneralName, generalNameFromText } from '../../core/x509/general-name.ts';
import { matchConstraint } from '../../core/x509/name-constraint-match.ts';
import { NameConstraintState } from '../../core/x509/name-constraints.ts';
import { validatePath } from '../../core/x509/path-validation.ts';
import { TestAuthority } from '../support/test-pki.ts';

function subtrees(names: readonly string[]): { base: GeneralName; minimum: number }[] {
  return names.map((text) => ({ base: nameOf(text), minimum: 0 }));
}

/** A constraint may hold what a name may not: an empty host, an address with mask. */
function nameOf(text: string): GeneralName {
  return generalNameFromText(text);
}

function verdict(names: readonly string[], permitted: readonly string[], excluded: readonly string[] = []): string {
  const state = new NameConstraintState(1000);
  state.add({
    permittedSubtrees: permitted.length === 0 ? undefined : subtrees(permitted),
    excludedSubtrees: excluded.length === 0 ? undefined : subtrees(excluded),
  });
  return state.check(names.map(nameOf)).kind;
}

describe('permitted subtrees (RFC 5280 §4.2.1.10)', () => {
  it.each<[string, string, 'within' | 'violated']>([
    // dNSName: the name itself, or labels added to the left.
    ['dns:example.com', 'dns:example.com', 'within'],
    ['dns:A.B.EXAMPLE.com', 'dns:example.COM', 'within'],
    ['dns:badexample.com', 'dns:example.com', 'violated'],
    ['dns:example.com', 'dns:.example.com', 'violated'],
    ['dns:a.example.com', 'dns:.example.com', 'within'],
    ['dns:anything.org', 'dns:', 'within'],
    ['dns:*.example.com', 'dns:example.com', 'within'],
    ['dns:*.example.com', 'dns:a.example.com', 'violated'],
    ['dns:example.com.', 'dns:example.com', 'violated'],
    ['dns:a..example.com', 'dns:example.com', 'violated'],
    ['dns:-a.example.com', 'dns:example.com', 'violated'],
    ['dns:a b.example.com', 'dns:example.com', 'violated'],
    // rfc822Name: a mailbox, a host, or a domain.
    ['email:a@example.com', 'email:a@example.com', 'within'],
    ['email:A@example.com', 'email:a@example.com', 'violated'],
    ['email:a@EXAMPLE.com', 'email:example.com', 'within'],
    ['email:a@b.example.com', 'email:example.com', 'violated'],
    ['email:a@b.example.com', 'email:.example.com', 'within'],
    ['email:a@example.com', 'email:.example.com', 'violated'],
    ['email:"x@other.org"@example.com', 'email:example.com', 'within'],
    ['email:example.com', 'email:example.com', 'violated'],
    ['email:a@example.com', 'email:', 'within'],
    ['email:a@example.com', 'email:example..com', 'violated'],
    // uniformResourceIdentifier: a host, or a domain.
    ['uri:https://example.com/', 'uri:', 'within'],
    ['uri:https://example.com/x', 'uri:example.com', 'within'],
    ['uri:https://EXAMPLE.com:8443', 'uri:example.com', 'within'],
    ['uri:https://a.example.com/', 'uri:example.com', 'violated'],
    ['uri:https://a.example.com/', 'uri:.example.com', 'within'],
    ['uri:https://example.com@evil.org/', 'uri:example.com', 'violated'],
    ['uri:https://evil.org/@example.com', 'uri:example.com', 'violated'],
    ['uri:https://evil.org?@example.com/', 'uri:example.com', 'violated'],
    ['uri:https://192.0.2.1/', 'uri:example.com', 'violated'],
    ['uri:https://[::1]/', 'uri:example.com', 'violated'],
    ['uri:urn:uuid:1', 'uri:example.com', 'violated'],
    // iPAddress: address and mask.
    ['ip:10.1.2.3', 'ip:10.0.0.0/255.0.0.0', 'within'],
    ['ip:11.1.2.3', 'ip:10.0.0.0/255.0.0.0', 'violated'],
    ['ip:10.1.2.3', 'ip:10.9.9.9/255.0.0.0', 'within'],
    ['ip:2001:db8:1::1', 'ip:2001:db8::/ffff:ffff::', 'within'],
    ['ip:2001:db9::1', 'ip:2001:db8::/ffff:ffff::', 'violated'],
    ['ip:10.1.2.3', 'ip:2001:db8::/ffff:ffff::', 'violated'],
    ['ip:10.1.2.3', 'ip:10.0.0.0/255.0.255.0', 'violated'],
    ['ip:10.1.2.3', 'ip:10.1.2.3', 'violated'],
    ['ip:#0a', 'ip:10.0.0.0/255.0.0.0', 'violated'],
    // directoryName: the first RDNs.
    ['dirname:CN=a,O=Example', 'dirname:O=example', 'within'],
    ['dirname:CN=a,O=Other', 'dirname:O=Example', 'violated'],
    ['dirname:O=Example', 'dirname:CN=a,O=Example', 'violated'],
    // Kinds without a comparison: refused once they are constrained.
    ['upn:a@b', 'upn:a@b', 'violated'],
    ['rid:1.2.3', 'rid:1.2.3', 'violated'],
    ['x400:a30430023000', 'x400:a30430023000', 'violated'],
    ['edi:a5038001aa', 'edi:a5038001aa', 'violated'],
    // Other kinds are not constrained.
    ['dns:evil.org', 'email:example.com', 'within'],
    ['upn:a@b', 'dns:example.com', 'within'],
  ])('%s within %s: %s', (name, base, expected) => {
    expect(verdict([name], [base])).toBe(expected);
  });
});

describe('excluded subtrees', () => {
  it.each<[string, string, 'within' | 'violated']>([
    ['dns:a.example.com', 'dns:example.com', 'violated'],
    ['dns:example.org', 'dns:example.com', 'within'],
    // A wildcard covers the excluded name.
    ['dns:*.example.com', 'dns:a.example.com', 'violated'],
    ['dns:*.example.com', 'dns:a.b.example.com', 'within'],
    ['dns:a..b', 'dns:example.com', 'violated'],
    ['ip:10.1.2.3', 'ip:10.0.0.0/255.0.0.0', 'violated'],
    ['ip:::1', 'ip:0.0.0.0/0.0.0.0', 'within'],
    ['dirname:CN=a,O=Example', 'dirname:O=Example', 'violated'],
    ['email:a@example.com', 'email:example.com', 'violated'],
    ['uri:http://example.com/', 'uri:example.com', 'violated'],
    ['rid:1.2', 'rid:1.3', 'violated'],
    ['dns:a', 'upn:a@b', 'within'],
  ])('%s outside %s: %s', (name, base, expected) => {
    expect(verdict([name], [], [base])).toBe(expected);
  });
});

it.each(['dns:a.example', 'email:a@b', 'uri:https://a/', 'ip:10.0.0.1', 'dirname:CN=a'])(
  'a name such as %s matches no constraint of another kind',
  (text) => {
    expect(matchConstraint(nameOf(text), nameOf('rid:1.2.3'), 'permitted')).toBe('mismatch');
  },
);

describe('combination', () => {
  it('one permitted subtree of several is enough; excluded wins', () => {
    expect(verdict(['dns:b.example'], ['dns:a.example', 'dns:b.example'])).toBe('within');
    expect(verdict(['dns:x.b.example'], ['dns:b.example'], ['dns:x.b.example'])).toBe('violated');
    expect(verdict(['dns:a.example', 'dns:c.example'], ['dns:a.example'])).toBe('violated');
  });

  it('every authority restricts further', () => {
    const state = new NameConstraintState(100);
    state.add({ permittedSubtrees: subtrees(['dns:example']) });
    state.add({ permittedSubtrees: subtrees(['dns:a.example', 'dns:other.org']) });
    const check = (text: string): string => state.check([nameOf(text)]).kind;
    expect([check('dns:x.a.example'), check('dns:b.example'), check('dns:other.org')]).toEqual([
      'within',
      'violated',
      'violated',
    ]);
  });

  it('minimum and maximum have no meaning, so they refuse', () => {
    const state = new NameConstraintState(100);
    state.add({ permittedSubtrees: [{ base: nameOf('dns:example'), minimum: 1 }] });
    expect(state.check([nameOf('dns:a.example')]).kind).toBe('violated');
  });

  it('work is bounded', () => {
    const state = new NameConstraintState(10);
    state.add({ permittedSubtrees: subtrees(['dns:example']) });
    expect(state.check(Array.from({ length: 11 }, () => nameOf('dns:a.example'))).kind).toBe('limit');
    const excluding = new NameConstraintState(2);
    excluding.add({ excludedSubtrees: subtrees(['dns:x.example', 'dns:y.example', 'dns:a.example']) });
    expect(excluding.check([nameOf('dns:a.example')]).kind).toBe('limit');
  });
});

describe('in a path (§6.1.3 (b), (c))', () => {
  const permit = (...names: string[]): Extension =>
    EXTENSIONS.nameConstraints.encode({ permittedSubtrees: subtrees(names) });
  const at = new Date();

  function accepts(constraints: Extension, leaf: Parameters<TestAuthority['leaf']>[0], caName = 'O=Example'): boolean {
    const root = TestAuthority.root();
    const ca = root.intermediate({ name: caName, extensions: [constraints] });
    return validatePath({
      leaf: ca.leaf(leaf).certificate,
      intermediates: [ca.certificate],
      anchors: [root.certificate],
      at,
    }).ok;
  }

  it('the subject is a directoryName', () => {
    expect(accepts(permit('dirname:O=Example'), { subject: 'CN=a,O=Example' })).toBe(true);
    expect(accepts(permit('dirname:O=Example'), { subject: 'CN=a,O=Other' })).toBe(false);
    expect(accepts(permit('dirname:O=Example'), { subject: '', san: ['dns:a'] })).toBe(true);
  });

  it("the subject's emailAddress is an rfc822Name", () => {
    expect(accepts(permit('email:example.net'), { subject: 'emailAddress=a@example.net' })).toBe(true);
    expect(accepts(permit('email:example.net'), { subject: 'emailAddress=a@evil.org' })).toBe(false);
  });

  it('constraints of the anchor bind', () => {
    const root = TestAuthority.root({ extensions: [permit('dns:example.net')] });
    const leaf = (san: string): boolean =>
      validatePath({ leaf: root.leaf({ san: [san] }).certificate, intermediates: [], anchors: [root.certificate], at })
        .ok;
    expect([leaf('dns:a.example.net'), leaf('dns:evil.org')]).toEqual([true, false]);
  });

  it('self-issued authorities are exempt, a self-issued leaf is not', () => {
    const root = TestAuthority.root({ name: 'O=Root', extensions: [permit('dirname:O=Example')] });
    const rollover = root.intermediate({ name: 'O=Root' });
    const check = (subject: string): boolean =>
      validatePath({
        leaf: rollover.leaf({ subject }).certificate,
        intermediates: [rollover.certificate],
        anchors: [root.certificate],
        at,
      }).ok;
    expect([check('CN=a,O=Example'), check('O=Root')]).toEqual([true, false]);
  });
});
