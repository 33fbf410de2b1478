import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { policyPcrDigest, pcrDigest } from '../../../devices/attestation/tpm/pcr-policy.ts';
import type { PcrSelection } from '../../../devices/attestation/tpm/pcr-selection.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import { judgeQuote, verifiedQuote } from '../../../devices/attestation/tpm/quote.ts';
import { boundReference } from '../../../devices/attestation/tpm/reference-pcrs.ts';
import type { ReferenceValues } from '../../../devices/attestation/verifier.ts';
import { publicAreaOf, quoteAttest, SoftwareAttestationKey } from '../../fakes/software-tpm.ts';
import { joined } from '../../fakes/tpm-marshal.ts';
import { APPLICATION_KEY_ATTRIBUTES, OBJECT, pcrs } from '../../fakes/tpm-templates.ts';
import { makeKey } from '../../support/test-pki.ts';
import { codeOf, FIXTURES, hex } from './tpm-fixtures.ts';

const ak = new SoftwareAttestationKey();
const VALUES = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];

function quoted(
  selection: PcrSelection,
  values: readonly Uint8Array[],
  by = ak,
  signingHash: 'sha256' | 'sha384' = 'sha256',
) {
  const digest = hash(signingHash, joined(...values), 'buffer');
  const signed = by.signed(quoteAttest(selection, digest), { hash: signingHash });
  return { ...signed, pcrValues: joined(...values) };
}

function reference(pcrValues: Record<string, string[]>, firmware = '1.0', bank = 'sha256'): ReferenceValues {
  return { id: `ref-${firmware}`, model: 'EdgeRouter', firmware, pcrs: { [bank]: pcrValues }, claims: {} };
}

const RIGHT = reference({ 0: ['01'.repeat(32)], 7: ['ff'.repeat(32), '02'.repeat(32).toUpperCase()] });

describe('what is signed', () => {
  test('the quote of the fixtures, with its values', () => {
    const { attest, sig, pcrValues } = FIXTURES.quote;
    const key = parseCertificate(hex(FIXTURES.acme.akCert)).publicKey;
    const quote = { attest: hex(attest), signature: hex(sig), pcrValues: joined(...pcrValues.map(hex)) };
    expect(verifiedQuote(quote, key).values?.get('sha256:7')).toBe('00'.repeat(32));
  });

  test('the digest is made with the hash of the signature', async () => {
    const p384 = new SoftwareAttestationKey(makeKey('ec-p384'));
    const quote = quoted(pcrs([0, 7]), VALUES, p384, 'sha384');
    expect(await codeOf(() => verifiedQuote(quote, p384.publicKey))).toBe('accepted');
  });

  test.each<readonly [string, PcrSelection, string]>([
    ['no bank', [], 'quote-no-pcrs'],
    ['a bank without PCRs (pitfall 3)', pcrs([]), 'quote-no-pcrs'],
    ['the SHA-1 bank', [{ hash: 'sha1', pcrs: [0] }], 'quote-sha1'],
    ['the SHA-1 bank beside another', [...pcrs([0]), { hash: 'sha1', pcrs: [0] }], 'quote-sha1'],
  ])('%s is refused', async (_name, selection, code) => {
    expect(await codeOf(() => verifiedQuote(quoted(selection, []), ak.publicKey))).toBe(code);
  });

  test('values that are not those of the digest', async () => {
    const quote = quoted(pcrs([0, 7]), VALUES);
    const swapped = { ...quote, pcrValues: joined(VALUES[1]!, VALUES[0]!) };
    expect(await codeOf(() => verifiedQuote(swapped, ak.publicKey))).toBe('quote-values');
    expect(await codeOf(() => verifiedQuote({ ...quote, pcrValues: VALUES[0]! }, ak.publicKey))).toBe('quote-values');
    const short = { ...ak.signed(quoteAttest(pcrs([0, 7]), new Uint8Array(20))), pcrValues: quote.pcrValues };
    expect(await codeOf(() => verifiedQuote(short, ak.publicKey))).toBe('quote-values');
  });

  test('by another key', async () => {
    const quote = quoted(pcrs([0, 7]), VALUES);
    expect(await codeOf(() => verifiedQuote(quote, new SoftwareAttestationKey().publicKey))).toBe('tpm-signature');
  });
});

describe('against reference values', () => {
  const quote = verifiedQuote(quoted(pcrs([0, 4, 7]), [VALUES[0]!, new Uint8Array(32), VALUES[1]!]), ak.publicKey);
  const judge = (references: readonly ReferenceValues[], required = true) =>
    judgeQuote(quote, { references, required, claims: { 'tpm-model': 'ST33' } });

  test('of the firmware that fits, hex in either case', () => {
    const other = reference({ 0: ['03'.repeat(32)] }, '0.9');
    expect(judge([other, { ...RIGHT, claims: { 'tpm-model': 'ST33' } }])).toEqual({
      claims: { pcrs: 'sha256:0,4,7', firmware: '1.0', 'reference-values': 'ref-1.0' },
      findings: [],
    });
  });

  test.each<readonly [string, readonly ReferenceValues[], string]>([
    ['none that fits', [reference({ 0: ['03'.repeat(32)] })], 'quote-not-reference'],
    ['another selection', [reference({ 0: ['01'.repeat(32)], 5: ['00'.repeat(32)] })], 'quote-selection'],
    ['another bank', [reference({ 0: ['01'.repeat(48)] }, '1.0', 'sha384')], 'quote-selection'],
    ['a claim that is not made', [{ ...RIGHT, claims: { 'tpm-model': 'SLB9670' } }], 'quote-not-reference'],
    ['no reference', [], 'quote-no-reference'],
    ['a reference that names no PCR', [reference({})], 'quote-no-reference'],
  ])('%s is refused', async (_name, references, code) => {
    expect(await codeOf(() => judge(references))).toBe(code);
  });

  test('without a reference it is noted where none is asked for', () => {
    expect(judge([], false)).toEqual({ claims: { pcrs: 'sha256:0,4,7' }, findings: ['quote-not-compared'] });
  });

  test('a quote without values cannot be compared', async () => {
    const { attest, signature } = quoted(pcrs([0, 7]), VALUES);
    const bare = verifiedQuote({ attest, signature, pcrValues: undefined }, ak.publicKey);
    expect(await codeOf(() => judgeQuote(bare, { references: [RIGHT], required: false, claims: {} }))).toBe(
      'quote-values-missing',
    );
  });
});

describe('PolicyPCR', () => {
  test('the digest of the fixtures, as TPM2_PolicyPCR gave it', () => {
    const selection = pcrs([0, 1, 2, 3, 4, 5, 6, 7]);
    const digest = pcrDigest('sha256', FIXTURES.quote.pcrValues.map(hex));
    expect(toHex(policyPcrDigest('sha256', selection, digest))).toBe(FIXTURES.quote.policyPCR);
  });

  const authPolicy = policyPcrDigest('sha256', pcrs([0, 7]), pcrDigest('sha256', VALUES));
  const attributes = APPLICATION_KEY_ATTRIBUTES & ~OBJECT.userWithAuth;
  const bound = (options: Parameters<typeof publicAreaOf>[0]) =>
    boundReference(parsePublicArea(publicAreaOf(options)), [RIGHT]);

  test('a key whose policy is that of reference values is bound to them, if it cannot be used without', () => {
    expect(bound({ authPolicy, attributes })?.id).toBe('ref-1.0');
    expect(bound({ authPolicy })).toBeUndefined();
    expect(bound({ attributes })).toBeUndefined();
    expect(bound({ authPolicy: new Uint8Array(32), attributes })).toBeUndefined();
  });

  test('a list with too many combinations binds nothing', () => {
    const many = Object.fromEntries(
      [0, 1, 2, 3, 4, 5, 6, 7, 8].map((pcr) => [pcr, ['01'.repeat(32), '02'.repeat(32)]]),
    );
    const area = parsePublicArea(publicAreaOf({ authPolicy, attributes }));
    expect(boundReference(area, [reference(many)])).toBeUndefined();
  });
});
