import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeAttestationBundle } from '../../../core/x509/attestation-bundle.ts';
import type { AttestationPolicy, EvidenceType } from '../../../core/enrollment/attestation-policy.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import { publicKeysEqual } from '../../../core/x509/public-key.ts';
import { appraiseTpmStatement, type TpmAttestationStatement } from '../../../devices/attestation/tpm/acme-statement.ts';
import { tpmVerifier } from '../../../devices/attestation/tpm/tpm-verifier.ts';
import type { AppraisalContext, ReferenceValues } from '../../../devices/attestation/verifier.ts';
import { appraisalContext, testAnchor } from '../../fakes/appraisal-context.ts';
import { publicAreaOf, quoteAttest, SoftwareAttestationKey } from '../../fakes/software-tpm.ts';
import { joined } from '../../fakes/tpm-marshal.ts';
import { type TpmEvidenceParts, tpmBundle } from '../../fakes/tpm-evidence.ts';
import { named, TpmManufacturer } from '../../fakes/tpm-manufacturer.ts';
import { pcrs } from '../../fakes/tpm-templates.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { ekUri } from '../../../devices/attestation/tpm/ek-uri.ts';
import { codeOf, FIXTURE_TIME, FIXTURES, hex } from './tpm-fixtures.ts';

const maker = new TpmManufacturer();
const ak = new SoftwareAttestationKey();
const key = makeKey();
const area = publicAreaOf({ key });
const nonce = new Uint8Array(32).fill(9);
const EK_SHA256 = '22'.repeat(32);
const akCertificate = maker.akCertificate(ak.publicKey, { names: [named(`uri:${ekUri(EK_SHA256)}`)] });
const certificates: readonly Certificate[] = [akCertificate];
const VALUES = [new Uint8Array(32).fill(1)];
const certify = { publicArea: area, ...ak.certify(area, { extraData: nonce }) };
const REFERENCE: ReferenceValues = {
  id: 'ref-1',
  model: 'EdgeRouter',
  firmware: '1.0',
  pcrs: { sha256: { 7: ['01'.repeat(32)] } },
  claims: {},
};

function quote(extraData = nonce, by = ak) {
  const attest = quoteAttest(pcrs([7]), hash('sha256', VALUES[0]!, 'buffer'), { extraData });
  return { ...by.signed(attest), pcrValues: VALUES };
}

interface Setting {
  readonly type?: EvidenceType;
  readonly nonce?: Uint8Array | undefined;
  readonly issued?: readonly Uint8Array[];
  readonly policy?: Partial<AttestationPolicy>;
}

function context({ type = 'tpm-certify', issued = [], policy = {}, ...rest }: Setting = {}): AppraisalContext {
  const expected = 'nonce' in rest ? rest.nonce : nonce;
  const anchors = [testAnchor('attestation-ca', maker.attestationRoot.certificate)];
  return {
    ...appraisalContext({ type, issued, policy, anchors, now: new Date(), references: [REFERENCE] }),
    nonce: expected,
    expectedModel: async (_kind, sha256) => (sha256 === EK_SHA256 ? 'EdgeRouter' : undefined),
  };
}

function appraised(parts: TpmEvidenceParts, setting: Setting = {}) {
  return tpmVerifier().appraise(encodeAttestationBundle(tpmBundle(parts)), context(setting));
}

describe('tpm-certify', () => {
  test('attests the certified key', async () => {
    const verified = await appraised({ certify, certificates });
    expect(publicKeysEqual(verified.attestedPublicKey!, publicKeyOf(key))).toBe(true);
    expect(verified.identifiers).toEqual({ 'ek-sha256': EK_SHA256 });
    expect(verified.claims).toMatchObject({ 'tpm-model': 'ST33', 'key-user-with-auth': true });
    expect(verified.findings).toEqual([]);
  });

  test('with a quote beside it, held against the model of the manifest', async () => {
    const verified = await appraised(
      { certify, quote: quote(), certificates },
      { policy: { referenceValues: 'required' } },
    );
    expect(publicKeysEqual(verified.attestedPublicKey!, publicKeyOf(key))).toBe(true);
    expect(verified.claims).toMatchObject({ firmware: '1.0', pcrs: 'sha256:7' });
    expect(await codeOf(() => appraised({ certify, certificates }, { policy: { referenceValues: 'required' } }))).toBe(
      'quote-missing',
    );
  });

  test('freshness: the nonce expected, or one of ours, once', async () => {
    expect(await codeOf(() => appraised({ certify, certificates }, { nonce: new Uint8Array(32) }))).toBe(
      'nonce-mismatch',
    );
    expect(await codeOf(() => appraised({ certify, certificates }, { nonce: new Uint8Array(31) }))).toBe(
      'nonce-mismatch',
    );
    expect(await codeOf(() => appraised({ certify, certificates }, { nonce: undefined }))).toBe('nonce-not-ours');
    const ours = context({ nonce: undefined, issued: [nonce] });
    const bytes = encodeAttestationBundle(tpmBundle({ certify, certificates }));
    expect(await codeOf(() => tpmVerifier().appraise(bytes, ours))).toBe('accepted');
    expect(await codeOf(() => tpmVerifier().appraise(bytes, ours))).toBe('nonce-not-ours');
    const without = { publicArea: area, ...ak.certify(area, { extraData: new Uint8Array() }) };
    expect(await codeOf(() => appraised({ certify: without, certificates }, { nonce: undefined }))).toBe(
      'nonce-missing',
    );
  });

  test('what is refused does not use up a nonce', async () => {
    const ours = context({ nonce: undefined, issued: [nonce] });
    const odd = publicAreaOf({ key, attributes: 0 });
    const bad = tpmBundle({ certify: { publicArea: odd, ...ak.certify(odd, { extraData: nonce }) }, certificates });
    expect(await codeOf(() => tpmVerifier().appraise(encodeAttestationBundle(bad), ours))).toBe('key-exportable');
    expect(await ours.takeNonce(nonce)).toBe(true);
  });

  test('statements that do not belong together', async () => {
    expect(await codeOf(() => appraised({ certify, quote: quote(new Uint8Array(32)), certificates }))).toBe(
      'nonce-mismatch',
    );
    const attest = quoteAttest(pcrs([7]), new Uint8Array(32), {
      extraData: nonce,
      qualifiedSigner: new Uint8Array(33),
    });
    expect(await codeOf(() => appraised({ certify, quote: ak.signed(attest), certificates }))).toBe('tpm-bundle');
    const other = new SoftwareAttestationKey();
    expect(await codeOf(() => appraised({ certify, quote: quote(nonce, other), certificates }))).toBe('tpm-signature');
  });

  test('bundles that are none', async () => {
    const verifier = tpmVerifier();
    const { publicArea: _none, ...bare } = certify;
    expect(await codeOf(() => verifier.appraise(hex('3000'), context()))).toBe('tpm-bundle');
    expect(await codeOf(() => verifier.appraise(new Uint8Array(), context()))).toBe('tpm-bundle');
    expect(await codeOf(() => appraised({ certify: bare, certificates }))).toBe('tpm-public-missing');
    expect(await codeOf(() => appraised({ quote: quote(), certificates }))).toBe('tpm-bundle');
    const { statements } = tpmBundle({ certify, certificates });
    const twice = encodeAttestationBundle({ statements: [...statements, ...statements], certificates: [] });
    expect(await codeOf(() => verifier.appraise(twice, context()))).toBe('tpm-bundle');
    const foreign = encodeAttestationBundle({
      statements: [...statements, { type: '1.2.3', statement: hex('0500') }],
      certificates: [],
    });
    expect(await codeOf(() => verifier.appraise(foreign, context()))).toBe('tpm-bundle');
  });

  test('every octet counts', async () => {
    const bytes = encodeAttestationBundle(tpmBundle({ certify, certificates }));
    const verifier = tpmVerifier();
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = bytes.map((octet, index) => (index === at ? octet ^ 0x01 : octet));
      expect(await codeOf(() => verifier.appraise(changed, context())), `octet ${at}`).not.toBe('accepted');
    }
  });
});

describe('tpm-quote', () => {
  test('attests no key but the attestation key', async () => {
    const verified = await appraised({ quote: quote(), certificates }, { type: 'tpm-quote' });
    expect(publicKeysEqual(verified.attestedPublicKey!, ak.publicKey)).toBe(true);
    expect(verified.claims).toMatchObject({ firmware: '1.0' });
  });

  test('of a bundle without any statement of a TPM', async () => {
    const bytes = encodeAttestationBundle({
      statements: [{ type: '1.2.3', statement: hex('0500') }],
      certificates: [],
    });
    expect(await codeOf(() => tpmVerifier().appraise(bytes, context({ type: 'tpm-quote' })))).toBe('tpm-bundle');
  });
});

describe('tpm-activation', () => {
  test('attests the key whose secret it is', async () => {
    const secret = new Uint8Array(32).fill(3);
    const known = {
      publicKey: ak.publicKey,
      identifiers: { 'ek-sha256': EK_SHA256 },
      claims: { 'tpm-model': 'ST33' },
      revocable: [],
    };
    const at = {
      ...context({ type: 'tpm-activation' }),
      activatedKey: async (octets: Uint8Array) => (Buffer.from(octets).equals(secret) ? known : undefined),
    };
    expect(await tpmVerifier().appraise(secret, at)).toMatchObject({
      attestedPublicKey: ak.publicKey,
      identifiers: known.identifiers,
      claims: known.claims,
    });
    expect(await codeOf(() => tpmVerifier().appraise(new Uint8Array(32), at))).toBe('ak-activation-unknown');
  });
});

describe('acme-tpm', () => {
  const { acme } = FIXTURES;
  const root = parseCertificate(hex(acme.attestationCaRoot));
  const at = appraisalContext({ type: 'acme-tpm', now: FIXTURE_TIME, anchors: [testAnchor('attestation-ca', root)] });
  const statement: TpmAttestationStatement = {
    version: '2.0',
    algorithm: -7,
    certificates: [parseCertificate(hex(acme.akCert))],
    signature: hex(acme.sigTPMT),
    certInfo: hex(acme.certInfo),
    publicArea: hex(acme.appPubArea),
  };
  const qualifyingData = hash('sha256', acme.keyAuthorization, 'buffer');

  test('the statement of the fixtures', async () => {
    const verified = await appraiseTpmStatement(statement, qualifyingData, at);
    expect(verified.identifiers['permanent-identifier']).toBe('DEV-0001');
    expect(verified.attestedPublicKey?.algorithm).toEqual({ kind: 'ec', curve: 'P-256' });
  });

  test.each<readonly [string, Partial<TpmAttestationStatement>, string]>([
    ['another version', { version: '1.2' }, 'tpm-version'],
    ['RS1', { algorithm: -65_535 }, 'tpm-sha1'],
    ['an unknown algorithm', { algorithm: -8 }, 'tpm-signature'],
    ['no certificate', { certificates: [] }, 'ak-unknown'],
    ['TPM2B_PUBLIC', { publicArea: joined(Uint8Array.of(0, 88), hex(acme.appPubArea)) }, 'tpm-malformed'],
    ['the AK itself', { publicArea: hex(FIXTURES.akPubArea) }, 'tpm-name-mismatch'],
    ['a quote', { certInfo: hex(FIXTURES.quote.attest) }, 'tpm-attest-type'],
  ])('%s is refused', async (_name, change, code) => {
    expect(await codeOf(() => appraiseTpmStatement({ ...statement, ...change }, qualifyingData, at))).toBe(code);
  });

  test('another key authorization, and SHA-1 of the right one', async () => {
    const other = hash('sha256', 'other', 'buffer');
    const sha1 = hash('sha1', acme.keyAuthorization, 'buffer');
    for (const data of [other, sha1]) {
      expect(await codeOf(() => appraiseTpmStatement(statement, data, at))).toBe('nonce-mismatch');
    }
  });
});
