import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { publicKeysEqual } from '../../../core/x509/public-key.ts';
import { certifiedKey, createdKey, selfAttestedCreation } from '../../../devices/attestation/tpm/key-certification.ts';
import { checkAttestationKey } from '../../../devices/attestation/tpm/key-rules.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import {
  akAreaOf,
  creationAttest,
  nameOf,
  publicAreaOf,
  quoteAttest,
  type AttestOptions,
  type SignOptions,
  SoftwareAttestationKey,
} from '../../fakes/software-tpm.ts';
import { joined, sized, u16 } from '../../fakes/tpm-marshal.ts';
import { APPLICATION_KEY_ATTRIBUTES, ATTESTATION_KEY_ATTRIBUTES, OBJECT } from '../../fakes/tpm-templates.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { codeOf, FIXTURES, hex } from './tpm-fixtures.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';

const ak = new SoftwareAttestationKey();
const rsaAk = new SoftwareAttestationKey(makeKey('rsa-2048'));
const key = makeKey();
const area = publicAreaOf({ key });

describe('TPM2_Certify', () => {
  test('of the fixtures', () => {
    const { akCert, appPubArea, certInfo, sigTPMT } = FIXTURES.acme;
    const certification = { publicArea: hex(appPubArea), attest: hex(certInfo), signature: hex(sigTPMT) };
    const certified = certifiedKey(certification, parseCertificate(hex(akCert)).publicKey);
    expect(Buffer.from(certified.extraData).toString('hex')).toBe(FIXTURES.acme.extraData);
    expect(certified.claims).toEqual({
      'key-user-with-auth': true,
      'key-has-policy': false,
      'key-decrypts': false,
      'key-no-da': true,
    });
  });

  test.each([
    ['P-256', ak],
    ['P-384', new SoftwareAttestationKey(makeKey('ec-p384'))],
    ['RSA', rsaAk],
  ] as const)('by an AK of %s', (_name, by) => {
    const certified = certifiedKey({ publicArea: area, ...by.certify(area) }, by.publicKey);
    expect(publicKeysEqual(certified.publicKey, publicKeyOf(key))).toBe(true);
  });

  test.each<readonly [string, AttestOptions, SignOptions, string]>([
    ['magic of something else', { magic: 0xff544346 }, {}, 'tpm-malformed'],
    ['a quote', { type: 0x8018 }, {}, 'tpm-malformed'],
    ['creation', { type: 0x801a }, {}, 'tpm-attest-type'],
    ['a trailing octet', { tail: new Uint8Array(1) }, {}, 'tpm-malformed'],
    ['SHA-1', {}, { hash: 'sha1' }, 'tpm-sha1'],
    ['a signature that calls itself RSASSA', {}, { algorithm: 0x0014 }, 'tpm-malformed'],
  ])('%s is refused', async (_name, attest, signing, code) => {
    const certification = { publicArea: area, ...ak.certify(area, attest, signing) };
    expect(await codeOf(() => certifiedKey(certification, ak.publicKey))).toBe(code);
  });

  test('a true quote in its place is refused', async () => {
    const signed = ak.signed(quoteAttest([{ hash: 'sha256', pcrs: [0] }], new Uint8Array(32)));
    expect(await codeOf(() => certifiedKey({ publicArea: area, ...signed }, ak.publicKey))).toBe('tpm-attest-type');
  });

  test('signed by another AK, or over other octets, or by another kind of key', async () => {
    const good = { publicArea: area, ...ak.certify(area) };
    expect(await codeOf(() => certifiedKey(good, new SoftwareAttestationKey().publicKey))).toBe('tpm-signature');
    const changed = { ...good, attest: good.attest.map((octet, index) => (index === 60 ? octet ^ 1 : octet)) };
    expect(await codeOf(() => certifiedKey(changed, ak.publicKey))).toBe('tpm-signature');
    expect(await codeOf(() => certifiedKey(good, rsaAk.publicKey))).toBe('tpm-signature');
    expect(await codeOf(() => certifiedKey(good, new SoftwareAttestationKey(makeKey('ec-p384')).publicKey))).toBe(
      'tpm-signature',
    );
  });

  test.each([
    ['r = 0', joined(u16(0x18), u16(0xb), sized(new Uint8Array(32)), sized(new Uint8Array(32).fill(1)))],
    [
      'r and s of the order and more',
      joined(u16(0x18), u16(0xb), sized(new Uint8Array(32).fill(255)), sized(new Uint8Array(32).fill(255))),
    ],
    [
      'r of P-521 length',
      joined(u16(0x18), u16(0xb), sized(new Uint8Array(66).fill(1)), sized(new Uint8Array(32).fill(1))),
    ],
  ])('%s does not verify', async (_name, signature) => {
    const certification = { publicArea: area, attest: ak.certify(area).attest, signature };
    expect(await codeOf(() => certifiedKey(certification, ak.publicKey))).toBe('tpm-signature');
  });

  test('r and s without leading zeros verify (pitfall 2)', () => {
    let shorter = 0;
    for (let round = 0; round < 400; round++) {
      const extraData = Uint8Array.of(round & 0xff, round >> 8);
      const signed = ak.certify(area, { extraData }, { short: true });
      shorter += signed.signature.length < 72 ? 1 : 0;
      certifiedKey({ publicArea: area, ...signed }, ak.publicKey);
    }
    expect(shorter).toBeGreaterThan(0);
  });

  test('bare RSA octets count as RSASSA with SHA-256, of RSA keys alone (pitfall 4)', async () => {
    const raw = { publicArea: area, ...rsaAk.certify(area, {}, { raw: true }) };
    expect(raw.signature).toHaveLength(256);
    expect(await codeOf(() => certifiedKey(raw, rsaAk.publicKey))).toBe('accepted');
    expect(await codeOf(() => certifiedKey({ ...raw, signature: raw.signature.subarray(1) }, rsaAk.publicKey))).toBe(
      'tpm-malformed',
    );
    expect(await codeOf(() => certifiedKey(raw, ak.publicKey))).toBe('tpm-malformed');
    const sha1 = { publicArea: area, ...rsaAk.certify(area, {}, { raw: true, hash: 'sha1' }) };
    expect(await codeOf(() => certifiedKey(sha1, rsaAk.publicKey))).toBe('tpm-signature');
  });

  test('RSAPSS with the longest salt, of RSA keys alone', async () => {
    const pss = { publicArea: area, ...rsaAk.certify(area, {}, { pss: true }) };
    expect(await codeOf(() => certifiedKey(pss, rsaAk.publicKey))).toBe('accepted');
    expect(await codeOf(() => certifiedKey(pss, ak.publicKey))).toBe('tpm-signature');
    const asRsassa = { publicArea: area, ...rsaAk.certify(area, {}, { pss: true, algorithm: 0x0014 }) };
    expect(await codeOf(() => certifiedKey(asRsassa, rsaAk.publicKey))).toBe('tpm-signature');
    const sha1 = { publicArea: area, ...rsaAk.certify(area, {}, { pss: true, hash: 'sha1' }) };
    expect(await codeOf(() => certifiedKey(sha1, rsaAk.publicKey))).toBe('tpm-sha1');
  });

  test('RSA of 1024 bits, as key and as AK', async () => {
    const short = publicAreaOf({ key: generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey });
    expect(await codeOf(() => certifiedKey({ publicArea: short, ...ak.certify(short) }, ak.publicKey))).toBe(
      'key-too-weak',
    );
    const shortAk = akAreaOf({ key: generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey });
    expect(await codeOf(() => checkAttestationKey(parsePublicArea(shortAk)))).toBe('ak-too-weak');
  });

  test('another public area than the one attested', async () => {
    const certification = { publicArea: publicAreaOf({ key: makeKey() }), ...ak.certify(area) };
    expect(await codeOf(() => certifiedKey(certification, ak.publicKey))).toBe('tpm-name-mismatch');
    const sameKey = { publicArea: publicAreaOf({ key, attributes: OBJECT.sign }), ...ak.certify(area) };
    expect(await codeOf(() => certifiedKey(sameKey, ak.publicKey))).toBe('tpm-name-mismatch');
  });

  test.each([
    ['may leave the TPM', OBJECT.fixedTPM, 'key-exportable'],
    ['may be duplicated', OBJECT.fixedParent, 'key-exportable'],
    ['came from outside', OBJECT.sensitiveDataOrigin, 'key-not-generated'],
    ['does not sign', OBJECT.sign, 'key-not-signing'],
    ['is restricted', OBJECT.restricted, 'key-restricted'],
  ])('a key that %s is refused', async (_name, bit, code) => {
    const odd = publicAreaOf({ key, attributes: APPLICATION_KEY_ATTRIBUTES ^ bit });
    expect(await codeOf(() => certifiedKey({ publicArea: odd, ...ak.certify(odd) }, ak.publicKey))).toBe(code);
  });
});

describe('TPM2_CertifyCreation', () => {
  const creationData = hex(FIXTURES.akCreationData);
  const creationHash = createHash('sha256').update(creationData).digest();

  test('an AK of the fixtures attests its own creation', async () => {
    const akArea = parsePublicArea(hex(FIXTURES.akPubArea));
    const { attest, sig } = FIXTURES.akSelfCertifyCreation;
    const signed = { area: akArea, creationData, attest: hex(attest), signature: hex(sig) };
    expect(selfAttestedCreation(signed)).toHaveLength(34);
    const other = { ...signed, creationData: hex(FIXTURES.akCreationData.replace('01000b', '02000b')) };
    expect(await codeOf(() => selfAttestedCreation(other))).toBe('tpm-creation-mismatch');
  });

  test('attests a key', async () => {
    const signed = { publicArea: area, ...ak.signed(creationAttest(nameOf(area), creationHash)) };
    expect(publicKeysEqual(createdKey(signed, ak.publicKey).publicKey, publicKeyOf(key))).toBe(true);
    const other = { ...signed, publicArea: publicAreaOf() };
    expect(await codeOf(() => createdKey(other, ak.publicKey))).toBe('tpm-name-mismatch');
    const certify = { publicArea: area, ...ak.certify(area) };
    expect(await codeOf(() => createdKey(certify, ak.publicKey))).toBe('tpm-attest-type');
  });
});

describe('an attestation key', () => {
  test.each([
    ['is not restricted (pitfall 5)', OBJECT.restricted, 'ak-not-restricted'],
    ['may leave the TPM', OBJECT.fixedTPM, 'ak-exportable'],
    ['may be duplicated', OBJECT.fixedParent, 'ak-exportable'],
    ['came from outside', OBJECT.sensitiveDataOrigin, 'ak-not-generated'],
    ['does not sign', OBJECT.sign, 'ak-not-signing'],
    ['deciphers', OBJECT.decrypt, 'ak-not-signing'],
  ])('that %s is none', async (_name, bit, code) => {
    const odd = parsePublicArea(akAreaOf({ attributes: ATTESTATION_KEY_ATTRIBUTES ^ bit }));
    expect(await codeOf(() => checkAttestationKey(odd))).toBe(code);
  });

  test('of the fixtures', async () => {
    expect(await codeOf(() => checkAttestationKey(parsePublicArea(hex(FIXTURES.akPubArea))))).toBe('accepted');
    const sha1 = FIXTURES.akPubArea.replace('00100018000b', '001000180004');
    expect(await codeOf(() => checkAttestationKey(parsePublicArea(hex(sha1))))).toBe('tpm-sha1');
  });
});
