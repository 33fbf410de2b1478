import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameFromText } from '../../core/x509/general-name.ts';
import { EXTENSION, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { validatePath } from '../../core/x509/path-validation.ts';
import { makeKey, TestAuthority } from '../support/test-pki.ts';
import { Scratch, tryOpenssl } from './openssl.ts';

const key = makeKey();
const caKeys = [makeKey(), makeKey()];
const root = TestAuthority.root();
const past = new Date('2020-01-01T00:00:00Z');

const authority = fc.record({
  pathLength: fc.constantFrom(undefined, undefined, 0, 1),
  keyUsage: fc.constantFrom(['keyCertSign'] as const, ['keyCertSign'] as const, ['cRLSign'] as const),
  isCa: fc.constantFrom(true, true, true, false),
  isExpired: fc.constantFrom(false, false, false, true),
  eku: fc.constantFrom(undefined, undefined, [KEY_PURPOSE.clientAuth], [KEY_PURPOSE.serverAuth]),
  permitted: fc.constantFrom(
    undefined,
    undefined,
    'dns:example.net',
    'ip:10.0.0.0/255.0.0.0',
    'dirname:O=Example',
    'email:example.net',
  ),
  excluded: fc.constantFrom(undefined, undefined, undefined, 'dns:a.example.net', 'dirname:CN=a,O=Example'),
  hasUnknown: fc.constantFrom(false, false, false, false, true),
});
const leaf = fc.record({
  subject: fc.constantFrom('CN=a,O=Example', 'CN=b,O=Example', 'CN=c,O=Other'),
  san: fc.constantFrom(
    undefined,
    ['dns:a.example.net'],
    ['dns:b.example.net'],
    ['ip:10.1.1.1'],
    ['ip:11.1.1.1'],
    ['email:a@example.net'],
    ['dns:evil.org'],
  ),
  eku: fc.constantFrom(undefined, [KEY_PURPOSE.clientAuth], [KEY_PURPOSE.serverAuth]),
  isExpired: fc.constantFrom(false, false, false, false, true),
});

it('decides as `openssl verify -x509_strict` does', () => {
  using scratch = new Scratch();
  const caFile = scratch.file('root.pem', encodePem('CERTIFICATE', root.der));
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(authority, { maxLength: 2 }), leaf, (authorities, end) => {
      let issuer = root;
      const chain = authorities.map((one, i) => {
        const subtree = (text: string | undefined) =>
          text === undefined ? undefined : [{ base: generalNameFromText(text), minimum: 0 }];
        const constraints = EXTENSIONS.nameConstraints.encode({
          permittedSubtrees: subtree(one.permitted),
          excludedSubtrees: subtree(one.excluded),
        });
        issuer = issuer.intermediate({
          name: `CN=CA ${i},O=Example`,
          key: caKeys[i]!,
          ...(one.isCa && one.pathLength !== undefined ? { pathLength: one.pathLength } : {}),
          keyUsage: one.keyUsage,
          ...(one.eku && { eku: one.eku }),
          ...(one.isExpired && { notBefore: past, notAfter: past }),
          extensions: [
            ...(one.isCa ? [] : [EXTENSIONS.basicConstraints.encode({ cA: false })]),
            ...((one.permitted ?? one.excluded) ? [constraints] : []),
            ...(one.hasUnknown ? [{ oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }] : []),
          ],
        });
        return issuer;
      });
      const { der, certificate } = issuer.leaf({
        key,
        subject: end.subject,
        omit: [EXTENSION.basicConstraints],
        ...(end.san && { san: end.san }),
        ...(end.eku && { eku: end.eku }),
        ...(end.isExpired && { notBefore: past, notAfter: past }),
      });
      const ours = validatePath({
        leaf: certificate,
        intermediates: chain.map((one) => one.certificate),
        anchors: [root.certificate],
        at: new Date(),
        purpose: { extendedKeyUsage: [KEY_PURPOSE.clientAuth] },
      });
      const bundle = chain.map((one) => encodePem('CERTIFICATE', one.der)).join('');
      const untrusted = chain.length === 0 ? [] : ['-untrusted', scratch.file('chain.pem', bundle)];
      const file = scratch.file('leaf.pem', encodePem('CERTIFICATE', der));
      const theirs = tryOpenssl([
        'verify',
        '-x509_strict',
        '-purpose',
        'sslclient',
        '-CAfile',
        caFile,
        ...untrusted,
        file,
      ]);
      expect({ ok: ours.ok, detail: ours.ok ? '' : ours.detail }, theirs.output).toMatchObject({ ok: theirs.ok });
      if (ours.ok) accepted++;
    }),
    { numRuns: 80 },
  );
  expect(accepted).toBeGreaterThan(5);
});
