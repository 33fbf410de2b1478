import { describe, expect, it } from 'vitest';
import type { Certificate } from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS, rawExtension } from '../../core/x509/extensions.ts';
import { EXTENSION, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { type PathInput, validatePath } from '../../core/x509/path-validation.ts';
import type { PathFailureReason } from '../../core/x509/path-result.ts';
import { type AuthorityOptions, type CertificateOptions, makeKey, TestAuthority } from '../support/test-pki.ts';

const at = new Date('2026-06-01T00:00:00Z');
const period = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2027-01-01T00:00:00Z') };
const key = makeKey();

/** A root, issuing authorities below it (most senior first) and a leaf; validated at a time when all are valid unless told. */
function chain(
  authorities: readonly AuthorityOptions[] = [{}],
  leaf: CertificateOptions = {},
  root: AuthorityOptions = {},
): PathInput & { readonly authorities: readonly TestAuthority[] } {
  let issuer = TestAuthority.root({ ...period, ...root });
  const anchors = [issuer.certificate];
  const made = authorities.map((options, i) => {
    issuer = issuer.intermediate({ ...period, name: `CN=CA ${i}`, ...options });
    return issuer;
  });
  const { certificate } = issuer.leaf({ key, ...period, ...leaf });
  return { leaf: certificate, intermediates: made.map((one) => one.certificate), anchors, at, authorities: made };
}

function reasonOf(input: PathInput): PathFailureReason | 'ok' {
  const result = validatePath(input);
  return result.ok ? 'ok' : result.reason;
}

const critical = (oid: string): Extension => rawExtension(oid, Uint8Array.of(5, 0), true);
const caOf = (options: AuthorityOptions): PathInput => chain([options]);

describe('accepts', () => {
  it('a chain, and answers it from the leaf to the anchor', () => {
    const input = chain([{ pathLength: 1 }, { pathLength: 0 }]);
    const result = validatePath(input);
    const [upper, lower] = input.intermediates;
    expect(result).toEqual({ ok: true, chain: [input.leaf, lower, upper, input.anchors[0]] });
  });

  it('a leaf directly below an anchor, intermediates in any order, and strangers among them', () => {
    expect(reasonOf(chain([]))).toBe('ok');
    const input = chain([{}, {}, {}]);
    const strangers = chain([{}, {}]).intermediates;
    expect(reasonOf({ ...input, intermediates: [...strangers, ...input.intermediates.toReversed()] })).toBe('ok');
  });

  it('the root among the intermediates', () => {
    const input = chain();
    expect(reasonOf({ ...input, intermediates: [...input.anchors, ...input.intermediates] })).toBe('ok');
  });

  it('an issuer name that differs in case, white space and string type (§7.1)', () => {
    const root = TestAuthority.root({ ...period, name: 'CN=Root  One' });
    const twin = TestAuthority.root({ ...period, name: 'CN=ROOT ONE', key: root.privateKey });
    const { certificate } = twin.leaf({ ...period });
    expect(reasonOf({ leaf: certificate, intermediates: [], anchors: [root.certificate], at })).toBe('ok');
  });

  it('the one of two authorities of a name whose key signed, whatever the key identifiers say', () => {
    const input = chain([{}], { omit: [EXTENSION.authorityKeyIdentifier] });
    const impostor = TestAuthority.root({ ...period }).intermediate({ ...period, name: 'CN=CA 0' });
    expect(reasonOf({ ...input, intermediates: [impostor.certificate, ...input.intermediates] })).toBe('ok');
    const lying = chain([{}], {
      extensions: [EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: Uint8Array.of(1) })],
    });
    expect(reasonOf(lying)).toBe('ok');
  });

  it('the valid one of two certificates of an authority', () => {
    const root = TestAuthority.root(period);
    const caKey = makeKey();
    const old = root.intermediate({ ...period, key: caKey, notAfter: new Date('2026-02-01T00:00:00Z') });
    const renewed = root.intermediate({ ...period, key: caKey });
    const { certificate } = renewed.leaf(period);
    expect(
      reasonOf({
        leaf: certificate,
        intermediates: [old.certificate, renewed.certificate],
        anchors: [root.certificate],
        at,
      }),
    ).toBe('ok');
  });

  it('self-issued certificates of a key rollover, which do not count for pathLenConstraint (§6.1.4 (l))', () => {
    const old = TestAuthority.root({ ...period, name: 'CN=Root', pathLength: 0 });
    const newWithOld = old.intermediate({ ...period, name: 'CN=Root' });
    const { certificate } = newWithOld.leaf(period);
    expect(
      reasonOf({ leaf: certificate, intermediates: [newWithOld.certificate], anchors: [old.certificate], at }),
    ).toBe('ok');
  });

  it('a version 1 anchor', () => {
    const omit = [
      EXTENSION.basicConstraints,
      EXTENSION.keyUsage,
      EXTENSION.subjectKeyIdentifier,
      EXTENSION.authorityKeyIdentifier,
    ];
    const input = chain([{}], {}, { omit });
    expect(input.anchors[0]!.version).toBe(1);
    expect(reasonOf(input)).toBe('ok');
  });

  it('a leaf without keyUsage and extendedKeyUsage for any purpose', () => {
    const input = chain([{}], { omit: [EXTENSION.keyUsage] });
    const purpose = { keyUsage: ['keyAgreement'], extendedKeyUsage: [KEY_PURPOSE.clientAuth] } as const;
    expect(reasonOf({ ...input, purpose })).toBe('ok');
  });

  it('a critical extension that the caller vouches for', () => {
    const input = chain([{}], { extensions: [critical('1.2.3')] });
    expect(reasonOf(input)).toBe('unknown-critical-extension');
    expect(reasonOf({ ...input, acceptCriticalExtensions: ['1.2.3'] })).toBe('ok');
  });

  it("the critical authorityKeyIdentifier of Windows' SCEP client", () => {
    const identifier = EXTENSIONS.authorityKeyIdentifier.encode({}, true);
    expect(reasonOf(chain([{}], { extensions: [identifier] }))).toBe('ok');
  });
});

describe('validity (§6.1.3 (a)(2))', () => {
  const { notBefore, notAfter } = period;

  it.each<[string, Date, PathFailureReason | 'ok']>([
    ['the first second', notBefore, 'ok'],
    ['the second before', new Date(notBefore.getTime() - 1), 'not-yet-valid'],
    ['the last second', new Date(notAfter.getTime() + 999), 'ok'],
    ['the second after', new Date(notAfter.getTime() + 1000), 'expired'],
  ])('%s', (_name, when, expected) => {
    const wide = { notBefore: new Date('2000-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') };
    expect(reasonOf({ ...chain([wide], {}, wide), at: when })).toBe(expected);
    expect(reasonOf({ ...chain([{}], wide, wide), at: when })).toBe(expected);
    expect(reasonOf({ ...chain([wide], wide), at: when })).toBe(expected);
  });

  it('tolerates an expired leaf where asked to, and nothing else', () => {
    const past = { notAfter: new Date('2026-02-01T00:00:00Z') };
    const tolerate = { leafExpired: true };
    expect(reasonOf({ ...chain([{}], past), tolerate })).toBe('ok');
    expect(reasonOf({ ...chain([past]), tolerate })).toBe('expired');
    expect(reasonOf({ ...chain([{}], { notBefore: new Date('2026-07-01T00:00:00Z') }), tolerate })).toBe(
      'not-yet-valid',
    );
  });
});

describe('refuses', () => {
  const otherRoot = TestAuthority.root(period).certificate;

  it.each<[PathFailureReason, string, () => PathInput]>([
    ['no-path', 'a missing intermediate', () => ({ ...chain(), intermediates: [] })],
    ['no-path', 'no anchors', () => ({ ...chain(), anchors: [] })],
    ['bad-signature', 'an anchor of the same name with another key', () => ({ ...chain(), anchors: [otherRoot] })],
    [
      'bad-signature',
      'a leaf that was changed',
      () => {
        const input = chain();
        return { ...input, leaf: { ...input.leaf, tbsDer: input.leaf.tbsDer.with(20, input.leaf.tbsDer[20]! ^ 1) } };
      },
    ],
    ['weak-signature-algorithm', 'SHA-1 below the anchor', () => caOf({ signatureAlgorithm: 'ecdsa-with-SHA1' })],
    ['weak-signature-algorithm', 'SHA-1 on the leaf', () => chain([{}], { signatureAlgorithm: 'ecdsa-with-SHA1' })],
    ['not-a-ca', 'an issuer without basicConstraints (§6.1.4 (k))', () => caOf({ omit: [EXTENSION.basicConstraints] })],
    [
      'not-a-ca',
      'an issuer with cA false',
      () => caOf({ extensions: [EXTENSIONS.basicConstraints.encode({ cA: false })] }),
    ],
    [
      'not-a-ca',
      'an anchor with cA false',
      () => chain([], {}, { extensions: [EXTENSIONS.basicConstraints.encode({ cA: false })] }),
    ],
    ['path-length', 'one authority too many (§6.1.4 (l), (m))', () => chain([{ pathLength: 0 }, {}])],
    ['path-length', 'one too many below the anchor', () => chain([{}], {}, { pathLength: 0 })],
    [
      'path-length',
      'a longer path granted by one who could not',
      () => chain([{ pathLength: 1 }, { pathLength: 5 }, {}]),
    ],
    ['key-usage', 'an issuer without keyCertSign (§6.1.4 (n))', () => caOf({ keyUsage: ['cRLSign'] })],
    ['key-usage', 'an anchor without keyCertSign', () => chain([], {}, { keyUsage: ['digitalSignature'] })],
    [
      'key-usage',
      'a leaf without the usage asked for',
      () => ({ ...chain(), purpose: { keyUsage: ['digitalSignature', 'keyEncipherment'] } }),
    ],
    [
      'extended-key-usage',
      'a leaf for another purpose',
      () => ({
        ...chain([{}], { eku: [KEY_PURPOSE.serverAuth] }),
        purpose: { extendedKeyUsage: [KEY_PURPOSE.clientAuth] },
      }),
    ],
    [
      'extended-key-usage',
      'an authority for another purpose',
      () => ({ ...caOf({ eku: [KEY_PURPOSE.serverAuth] }), purpose: { extendedKeyUsage: [KEY_PURPOSE.clientAuth] } }),
    ],
    ['unknown-critical-extension', 'in the leaf (§6.1.5 (f))', () => chain([{}], { extensions: [critical('1.2.3')] })],
    ['unknown-critical-extension', 'in an authority (§6.1.4 (o))', () => caOf({ extensions: [critical('1.2.3')] })],
    ['unknown-critical-extension', 'in the anchor', () => chain([], {}, { extensions: [critical('1.2.3')] })],
    [
      'malformed-extension',
      'basicConstraints that are none',
      () => caOf({ extensions: [critical(EXTENSION.basicConstraints)] }),
    ],
    ['malformed-extension', 'keyUsage that is none', () => caOf({ extensions: [critical(EXTENSION.keyUsage)] })],
    [
      'malformed-extension',
      'subjectAltName that is none',
      () => chain([{}], { extensions: [critical(EXTENSION.subjectAltName)] }),
    ],
    [
      'malformed-extension',
      'nameConstraints that are none',
      () => caOf({ extensions: [critical(EXTENSION.nameConstraints)] }),
    ],
  ])('%s: %s', (reason, _name, input) => {
    expect(reasonOf(input())).toBe(reason);
  });

  it('one purpose of several is enough, anyExtendedKeyUsage is any', () => {
    const purpose = { extendedKeyUsage: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.ipsecIKE] };
    expect(reasonOf({ ...chain([{}], { eku: [KEY_PURPOSE.ipsecIKE] }), purpose })).toBe('ok');
    expect(reasonOf({ ...chain([{}], { eku: [KEY_PURPOSE.anyExtendedKeyUsage] }), purpose })).toBe('ok');
  });

  it('SHA-1, unless it is allowed', () => {
    const input = chain([{ signatureAlgorithm: 'ecdsa-with-SHA1' }], { signatureAlgorithm: 'ecdsa-with-SHA1' });
    expect(reasonOf({ ...input, allowSha1: true })).toBe('ok');
  });

  it('an anchor as the leaf, and a self-signed leaf', () => {
    const root = TestAuthority.root(period).certificate;
    expect(reasonOf({ leaf: root, intermediates: [], anchors: [root], at })).toBe('no-path');
    expect(reasonOf({ leaf: root, intermediates: [root], anchors: [], at })).toBe('no-path');
  });

  it('says which certificate and why', () => {
    const result = validatePath(chain([{ pathLength: 0, name: 'CN=Upper' }, { name: 'CN=Lower' }]));
    expect(result).toMatchObject({
      ok: false,
      reason: 'path-length',
      detail: 'an authority above CN=Lower allows no further one',
    });
  });
});

describe('bounds', () => {
  it('six certificates make the longest path', () => {
    expect(reasonOf(chain([{}, {}, {}, {}]))).toBe('ok');
    expect(reasonOf(chain([{}, {}, {}, {}, {}]))).toBe('limit');
    expect(reasonOf({ ...chain([{}, {}, {}, {}, {}]), limits: { maxDepth: 7 } })).toBe('ok');
  });

  it('the number of intermediates', () => {
    const input = chain();
    expect(reasonOf({ ...input, intermediates: Array.from({ length: 17 }, () => input.intermediates[0]!) })).toBe(
      'limit',
    );
  });

  it('the number of signatures: many candidates of one name', () => {
    const names = Array.from({ length: 40 }, () => TestAuthority.root({ ...period, name: 'CN=CA 0' }).certificate);
    const input = chain();
    expect(reasonOf({ ...input, intermediates: [], anchors: names })).toBe('limit');
  });

  it('authorities that certify each other in a circle, every one with every key', () => {
    const keys = [makeKey(), makeKey(), makeKey(), makeKey()];
    const names = ['CN=A', 'CN=B', 'CN=C', 'CN=D'];
    const authorities = names.map((name, i) => TestAuthority.root({ ...period, name, key: keys[i]! }));
    const cross = authorities.flatMap((issuer, i) =>
      names.flatMap((name, j) =>
        i === j ? [] : [issuer.intermediate({ ...period, name, key: keys[j]! }).certificate],
      ),
    );
    const { certificate } = authorities[0]!.leaf(period);
    const start = performance.now();
    const reason = reasonOf({
      leaf: certificate,
      intermediates: cross,
      anchors: [TestAuthority.root(period).certificate],
      at,
    });
    expect(['no-path', 'limit']).toContain(reason);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it('the number of steps', () => {
    const input = chain([{}]);
    expect(reasonOf({ ...input, limits: { maxSteps: 2 } })).toBe('ok');
    expect(validatePath({ ...input, limits: { maxSteps: 1 } })).toMatchObject({
      reason: 'limit',
      detail: 'too many possible paths',
    });
  });

  it('never verifies a signature twice on the way', () => {
    const input = chain([{}, {}, {}]);
    expect(reasonOf({ ...input, limits: { maxSignatures: 4 } })).toBe('ok');
    expect(reasonOf({ ...input, limits: { maxSignatures: 3 } })).toBe('limit');
  });

  it('comparisons with name constraints', () => {
    const subtrees = Array.from({ length: 200 }, (_, i) => ({
      base: { kind: 'dnsName' as const, value: `h${i}.example` },
      minimum: 0,
    }));
    const constraints = EXTENSIONS.nameConstraints.encode({ permittedSubtrees: subtrees });
    const san = Array.from({ length: 100 }, () => 'dns:h199.example');
    const input = chain([{ extensions: [constraints] }], { san });
    const start = performance.now();
    expect(reasonOf(input)).toBe('limit');
    expect(performance.now() - start).toBeLessThan(500);
    expect(reasonOf({ ...input, limits: { maxNameComparisons: 1_000_000 } })).toBe('ok');
  });
});

it('never throws for certificates with any extension values', () => {
  const root = TestAuthority.root(period);
  for (const oid of Object.values(EXTENSION)) {
    for (const value of [Uint8Array.of(5, 0), Uint8Array.of(0x30, 0), Uint8Array.of(4, 1, 0), new Uint8Array()]) {
      const extensions = [{ oid, critical: true, value }];
      const ca = root.intermediate({ ...period, extensions });
      const leaf: Certificate = ca.leaf({ ...period, extensions }).certificate;
      expect(typeof validatePath({ leaf, intermediates: [ca.certificate], anchors: [root.certificate], at }).ok).toBe(
        'boolean',
      );
    }
  }
});
