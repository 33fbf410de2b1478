import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../../core/asn1/codec.ts';
import { octetString } from '../../../core/asn1/schema.ts';
import { type Extension, EXTENSIONS, type KeyUsageBit } from '../../../core/x509/extensions.ts';
import { EXTENSION } from '../../../core/x509/oids.ts';
import { EvidenceFault, type FindingCode } from '../../../devices/attestation/findings.ts';
import { matterVerifier } from '../../../devices/attestation/matter/verifier.ts';
import type { VerifiedEvidence } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, type ContextOptions, testAnchor } from '../../fakes/appraisal-context.ts';
import {
  makeDac,
  makePaa,
  makePai,
  type MatterCertificateOptions,
  type MatterIdentity,
  matterName,
} from '../../fakes/matter-authority.ts';
import { DeclarationAuthority } from '../../fakes/matter-declaration.ts';
import { MatterDevice } from '../../fakes/matter-device.ts';

/**
 * One certificate for each rule of the Matter Core Specification §6.2.2 and each rule between the three: everything else about it is
 * right, so what refuses it is the rule.
 */
const declarations = new DeclarationAuthority();

interface Hierarchy {
  readonly paa?: MatterCertificateOptions;
  readonly pai?: MatterCertificateOptions;
  readonly dac?: MatterCertificateOptions;
}

interface Broken extends Hierarchy {
  readonly rule: string;
  readonly code: FindingCode;
  readonly detail?: RegExp;
  readonly context?: ContextOptions;
}

const usage = (bits: readonly KeyUsageBit[], critical = true): Extension =>
  EXTENSIONS.keyUsage.encode(new Set(bits), critical);
const constraints = (cA: boolean, pathLenConstraint?: number, critical = true): Extension =>
  EXTENSIONS.basicConstraints.encode({ cA, pathLenConstraint }, critical);
const subjectKeyId = (octets: number, critical = false): Extension =>
  EXTENSIONS.subjectKeyIdentifier.encode(new Uint8Array(randomBytes(octets)), critical);
const authorityKeyId = (octets: number, critical = false): Extension =>
  EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: new Uint8Array(randomBytes(octets)) }, critical);
const extensions = (...list: readonly Extension[]): MatterCertificateOptions => ({ extensions: list });
const name = (...parts: readonly string[]): MatterCertificateOptions => ({ subject: parts.join(',') });
const VENDOR = '1.3.6.1.4.1.37244.2.1';
const PRODUCT = '1.3.6.1.4.1.37244.2.2';

const DAC_RULES: readonly Broken[] = [
  { rule: 'version 3', code: 'dac-version', dac: { alter: asVersion2 } },
  { rule: 'P-256', code: 'dac-key', dac: { key: 'ec-p384' } },
  { rule: 'no RSA', code: 'dac-key', dac: { key: 'rsa-2048' } },
  { rule: 'no Ed25519', code: 'dac-key', dac: { key: 'ed25519' } },
  { rule: 'ECDSA with SHA-256', code: 'dac-signature-algorithm', dac: { signatureAlgorithm: 'ecdsa-with-SHA384' } },
  { rule: 'no SHA-1', code: 'dac-signature-algorithm', dac: { signatureAlgorithm: 'ecdsa-with-SHA1' } },
  {
    rule: 'at most 600 octets',
    code: 'dac-malformed',
    detail: /at most 600/,
    dac: extensions(EXTENSIONS.subjectAltName.encode([{ kind: 'dnsName', value: 'x'.repeat(250) }])),
  },
  { rule: 'basicConstraints', code: 'dac-basic-constraints', dac: { omit: [EXTENSION.basicConstraints] } },
  {
    rule: 'basicConstraints critical',
    code: 'dac-basic-constraints',
    dac: extensions(constraints(false, undefined, false)),
  },
  { rule: 'no CA', code: 'dac-basic-constraints', dac: extensions(constraints(true)) },
  { rule: 'no path length', code: 'dac-basic-constraints', dac: extensions(constraints(false, 0)) },
  { rule: 'keyUsage', code: 'dac-key-usage', dac: { omit: [EXTENSION.keyUsage] } },
  { rule: 'keyUsage critical', code: 'dac-key-usage', dac: extensions(usage(['digitalSignature'], false)) },
  { rule: 'digitalSignature', code: 'dac-key-usage', dac: extensions(usage(['keyAgreement'])) },
  {
    rule: 'nothing but digitalSignature',
    code: 'dac-key-usage',
    dac: extensions(usage(['digitalSignature', 'keyAgreement'])),
  },
  { rule: 'subjectKeyIdentifier', code: 'dac-key-identifiers', dac: { omit: [EXTENSION.subjectKeyIdentifier] } },
  { rule: 'subjectKeyIdentifier not critical', code: 'dac-key-identifiers', dac: extensions(subjectKeyId(20, true)) },
  { rule: 'subjectKeyIdentifier of 20 octets', code: 'dac-key-identifiers', dac: extensions(subjectKeyId(19)) },
  {
    rule: 'subjectKeyIdentifier well-formed',
    code: 'dac-malformed',
    dac: extensions({ ...subjectKeyId(20), value: new Uint8Array([4, 20]) }),
  },
  { rule: 'authorityKeyIdentifier', code: 'dac-key-identifiers', dac: { omit: [EXTENSION.authorityKeyIdentifier] } },
  { rule: 'authorityKeyIdentifier of 20 octets', code: 'dac-key-identifiers', dac: extensions(authorityKeyId(32)) },
  {
    rule: 'authorityKeyIdentifier not critical',
    code: 'dac-key-identifiers',
    dac: extensions(authorityKeyId(20, true)),
  },
  {
    rule: 'authorityKeyIdentifier with a keyIdentifier',
    code: 'dac-key-identifiers',
    dac: extensions(EXTENSIONS.authorityKeyIdentifier.encode({})),
  },
  {
    rule: 'authorityKeyIdentifier of the PAI',
    code: 'dac-signature-invalid',
    detail: /expected the PAI/,
    dac: extensions(authorityKeyId(20)),
  },
  {
    rule: 'a known critical extension',
    code: 'dac-path-invalid',
    detail: /unknown-critical/,
    dac: extensions({ oid: '1.3.6.1.4.1.99999.1', critical: true, value: encode(octetString, new Uint8Array(2)) }),
  },
  { rule: 'VID', code: 'dac-vendor-product', dac: name(`${PRODUCT}=8000`, 'CN=x') },
  { rule: 'PID', code: 'dac-vendor-product', dac: name(`${VENDOR}=FFF1`, 'CN=x') },
  { rule: 'upper-case hex', code: 'dac-vendor-product', dac: name(`${VENDOR}=fff1`, `${PRODUCT}=8000`) },
  { rule: 'four digits', code: 'dac-vendor-product', dac: name(`${VENDOR}=FFF1`, `${PRODUCT}=08000`) },
  {
    rule: 'one VID',
    code: 'dac-vendor-product',
    detail: /once, found 2/,
    dac: name(`${VENDOR}=FFF1`, `${VENDOR}=FFF1`, `${PRODUCT}=8000`),
  },
  {
    rule: 'one PID',
    code: 'dac-vendor-product',
    detail: /once, found 2/,
    dac: name(`${VENDOR}=FFF1`, `${PRODUCT}=8000`, `${PRODUCT}=8001`),
  },
  { rule: 'a VID as text', code: 'dac-vendor-product', dac: name(`${VENDOR}=#040446464631`, `${PRODUCT}=8000`) },
  { rule: 'no CN beside attributes', code: 'dac-vendor-product', dac: name(`${VENDOR}=FFF1`, 'CN=Mpid:8000') },
  { rule: 'the VID of the PAI', code: 'dac-vendor-mismatch', dac: { subject: matterName('x', 'FFF2', '8000') } },
  { rule: 'the PID of the PAI', code: 'dac-product-mismatch', pai: { subject: matterName('x', 'FFF1', '8001') } },
  { rule: 'begun', code: 'dac-not-yet-valid', dac: { notBefore: new Date('2030-01-01T00:00:00Z') } },
  { rule: 'not over', code: 'dac-expired', dac: { notAfter: new Date('2026-11-22T11:59:58Z') } },
];

const PAI_RULES: readonly Broken[] = [
  { rule: 'version 3', code: 'pai-version', pai: { alter: asVersion2 } },
  { rule: 'P-256', code: 'pai-key', pai: { key: 'ec-p521' } },
  { rule: 'ECDSA with SHA-256', code: 'pai-signature-algorithm', pai: { signatureAlgorithm: 'ecdsa-with-SHA512' } },
  { rule: 'a CA', code: 'pai-basic-constraints', pai: extensions(constraints(false)) },
  { rule: 'path length', code: 'pai-basic-constraints', pai: extensions(constraints(true)) },
  { rule: 'path length 0', code: 'pai-basic-constraints', pai: extensions(constraints(true, 1)) },
  { rule: 'basicConstraints critical', code: 'pai-basic-constraints', pai: extensions(constraints(true, 0, false)) },
  { rule: 'keyCertSign', code: 'pai-key-usage', pai: extensions(usage(['cRLSign'])) },
  { rule: 'cRLSign', code: 'pai-key-usage', pai: extensions(usage(['keyCertSign'])) },
  {
    rule: 'nothing but signatures',
    code: 'pai-key-usage',
    pai: extensions(usage(['keyCertSign', 'cRLSign', 'nonRepudiation'])),
  },
  { rule: 'subjectKeyIdentifier', code: 'pai-key-identifiers', pai: { omit: [EXTENSION.subjectKeyIdentifier] } },
  { rule: 'authorityKeyIdentifier', code: 'pai-key-identifiers', pai: { omit: [EXTENSION.authorityKeyIdentifier] } },
  { rule: 'authorityKeyIdentifier of an anchor', code: 'paa-unknown', pai: extensions(authorityKeyId(20)) },
  { rule: 'VID', code: 'pai-vendor-product', pai: name('CN=x') },
  { rule: 'upper-case hex in the CN', code: 'pai-vendor-product', pai: name('CN=Mvid:fff1') },
  {
    rule: 'valid when the DAC was issued',
    code: 'pai-not-valid-at-issuance',
    pai: { notAfter: new Date('2023-12-31T23:59:59Z') },
  },
  {
    rule: 'begun when the DAC was issued',
    code: 'pai-not-valid-at-issuance',
    pai: { notBefore: new Date('2025-01-01T00:00:00Z') },
  },
];

const PAA_RULES: readonly Broken[] = [
  {
    rule: 'the VID of the PAI',
    code: 'paa-vendor-scope',
    detail: /FFF2, found FFF1/,
    paa: { subject: matterName('x', 'FFF2') },
  },
  { rule: 'no PID', code: 'paa-unknown', paa: { subject: matterName('x', 'FFF1', '8000') } },
  { rule: 'a path length of 1 or none', code: 'paa-unknown', paa: extensions(constraints(true, 2)) },
  { rule: 'a CA', code: 'paa-unknown', paa: extensions(constraints(false)) },
  {
    rule: 'valid when the DAC was issued',
    code: 'paa-not-valid-at-issuance',
    paa: { notAfter: new Date('2023-06-30T00:00:00Z') },
  },
];

describe('the profile', () => {
  describe('of a DAC asks for', () => {
    it.each(DAC_RULES.map((broken) => [broken.rule, broken] as const))('%s', (_, broken) => expectRefusal(broken));
  });

  describe('of a PAI asks for', () => {
    it.each(PAI_RULES.map((broken) => [broken.rule, broken] as const))('%s', (_, broken) => expectRefusal(broken));
  });

  describe('of a PAA asks for', () => {
    it.each(PAA_RULES.map((broken) => [broken.rule, broken] as const))('%s', (_, broken) => expectRefusal(broken));
  });

  it.each<[string, Hierarchy]>([
    ['nothing that is wrong', {}],
    [
      'a DAC with an extension that is not critical',
      { dac: extensions(EXTENSIONS.extendedKeyUsage.encode(['1.3.6.1.5.5.7.3.2'])) },
    ],
    ['a PAI that signs data as well', { pai: extensions(usage(['digitalSignature', 'keyCertSign', 'cRLSign'])) }],
    ['a PAI of one product', { pai: { subject: matterName('x', 'FFF1', '8000') } }],
    ['a PAA of the vendor', { paa: { subject: matterName('x', 'FFF1') } }],
    ['a PAA without path length', { paa: extensions(constraints(true)) }],
    ['a PAA without authorityKeyIdentifier', { paa: { omit: [EXTENSION.authorityKeyIdentifier] } }],
    ['names in PrintableString', { dac: name(`${VENDOR}=#130446464631`, `${PRODUCT}=#130438303030`, 'CN=x') }],
    ['names in the CN', { dac: name('CN=ACME Mvid:FFF1 Mpid:8000') }],
    [
      'names in the CN without spaces, the leftmost of several',
      { dac: name('CN=Mpid:8Mpid:8000Mvid:FFF1ABMvid:FFF2') },
    ],
    [
      'authorities that ended after the DAC was issued',
      { paa: { notAfter: new Date('2025-01-01T00:00:00Z') }, pai: { notAfter: new Date('2024-06-01T00:00:00Z') } },
    ],
    ['authorities of ML-DSA', { paa: { key: 'ml-dsa-44' }, pai: { key: 'ml-dsa-65' } }],
    ['a DAC in its last second', { dac: { notAfter: new Date('2026-11-22T12:00:00Z') } }],
  ])('allows %s', async (_, hierarchy) => {
    const outcome = await verdictOf(hierarchy);
    expect(outcome).toMatchObject({ identifiers: { 'vendor-id': 'FFF1', 'product-id': '8000' }, findings: [] });
  });
});

describe('trust', () => {
  it('is in the PAA whose key signed, of several with one identifier', async () => {
    const paa = makePaa();
    const impostor = makePaa(
      extensions(
        EXTENSIONS.subjectKeyIdentifier.encode(
          paa.certificate!.extensions.find(({ oid }) => oid === EXTENSION.subjectKeyIdentifier)!.value.subarray(2),
        ),
      ),
    );
    const outcome = await appraised(makeDac(makePai(paa)), makePai(paa), {
      anchors: [testAnchor('paa', impostor.certificate!), testAnchor('paa', paa.certificate!)],
    });
    expect(outcome).toMatchObject({ code: 'dac-signature-invalid' });
    const pai = makePai(paa);
    expect(
      await appraised(makeDac(pai), pai, {
        anchors: [testAnchor('paa', impostor.certificate!), testAnchor('paa', paa.certificate!)],
      }),
    ).not.toBeInstanceOf(EvidenceFault);
    expect(await appraised(makeDac(pai), pai, { anchors: [testAnchor('paa', impostor.certificate!)] })).toMatchObject({
      code: 'pai-signature-invalid',
    });
  });

  it('reaches as far as the anchor says', async () => {
    const paa = makePaa();
    const pai = makePai(paa);
    const dac = makeDac(pai);
    const under = (settings: object): Promise<unknown> =>
      appraised(dac, pai, { anchors: [testAnchor('paa', paa.certificate!, settings)] });
    expect(await under({ vendorIds: ['FFF2', 'FFF3'] })).toMatchObject({
      code: 'paa-vendor-scope',
      detail: 'expected FFF2 or FFF3, found FFF1',
    });
    expect(await under({ vendorIds: ['FFF1'] })).toMatchObject({ findings: [] });
    expect(await under({ test: true })).toMatchObject({ code: 'paa-test' });
  });

  it('does not extend to what was revoked', async () => {
    const paa = makePaa();
    const pai = makePai(paa, { serialNumber: '0a0b' });
    const dac = makeDac(pai, { serialNumber: '0c0d' });
    const anchors = [testAnchor('paa', paa.certificate!)];
    const keyId = (of: MatterIdentity): string =>
      Buffer.from(EXTENSIONS.subjectKeyIdentifier.find(of.certificate!.extensions)!).toString('hex');
    expect(await appraised(dac, pai, { anchors, revoked: [`${keyId(paa)}/0a0b`] })).toMatchObject({
      code: 'pai-revoked',
    });
    expect(await appraised(dac, pai, { anchors, revoked: [`${keyId(pai)}/0c0d`] })).toMatchObject({
      code: 'dac-revoked',
    });
    expect(await appraised(dac, pai, { anchors, revoked: [`${keyId(paa)}/0c0d`] })).toMatchObject({ findings: [] });
  });

  it('needs both signatures', async () => {
    const paa = makePaa();
    const pai = makePai(paa);
    const other = makePai(makePaa());
    const anchors = [testAnchor('paa', paa.certificate!)];
    const keyOfPai = EXTENSIONS.authorityKeyIdentifier.encode({
      keyIdentifier: EXTENSIONS.subjectKeyIdentifier.find(pai.certificate!.extensions)!,
    });
    expect(await appraised(makeDac(other, extensions(keyOfPai)), pai, { anchors })).toMatchObject({
      code: 'dac-signature-invalid',
    });
  });
});

async function expectRefusal(broken: Broken): Promise<void> {
  const outcome = await verdictOf(broken, broken.context);
  expect(outcome).toBeInstanceOf(EvidenceFault);
  const { code, detail } = outcome as EvidenceFault;
  expect(code, detail).toBe(broken.code);
  if (broken.detail !== undefined) expect(detail).toMatch(broken.detail);
}

let usual: { paa: MatterIdentity; pai: MatterIdentity };
beforeAll(() => {
  const paa = makePaa();
  usual = { paa, pai: makePai(paa) };
});

async function verdictOf(
  hierarchy: Hierarchy,
  context: ContextOptions = {},
): Promise<VerifiedEvidence | EvidenceFault> {
  const paa = hierarchy.paa === undefined ? usual.paa : makePaa(hierarchy.paa);
  const pai = hierarchy.paa === undefined && hierarchy.pai === undefined ? usual.pai : makePai(paa, hierarchy.pai);
  const dac = makeDac(pai, hierarchy.dac);
  return appraised(dac, pai, { anchors: [testAnchor('paa', paa.certificate!)], ...context });
}

async function appraised(
  dac: MatterIdentity,
  pai: MatterIdentity,
  options: ContextOptions,
): Promise<VerifiedEvidence | EvidenceFault> {
  const nonce = new Uint8Array(randomBytes(32));
  // Keys that cannot sign elements are refused before anybody looks at those.
  const dacKey = dac.publicKey.algorithm.kind === 'ec' ? dac.privateKey : pai.privateKey;
  const device = new MatterDevice({ dac: dac.der, pai: pai.der, dacKey, declaration: declarations.sign() });
  const anchors = [...(options.anchors ?? []), testAnchor('cd', declarations.certificate)];
  try {
    return await matterVerifier().appraise(
      device.evidence(nonce),
      appraisalContext({ ...options, anchors, issued: [nonce] }),
    );
  } catch (error) {
    if (error instanceof EvidenceFault) return error;
    throw error;
  }
}

/** `[0] { INTEGER 2 }` to `[0] { INTEGER 1 }`, the first member of a TBSCertificate. */
function asVersion2(tbs: Uint8Array): Uint8Array {
  const altered = Buffer.from(tbs);
  altered[altered.indexOf(Buffer.from('a003020102', 'hex')) + 4] = 1;
  return altered;
}
