import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../../core/x509/octets.ts';
import { isPointOnCurve } from '../../../core/x509/ec-curve.ts';
import { parseAttest } from '../../../devices/attestation/tpm/attest.ts';
import { parseCreationData } from '../../../devices/attestation/tpm/creation-data.ts';
import { objectName, qualifiedName } from '../../../devices/attestation/tpm/names.ts';
import { encodePcrSelection, selectionText } from '../../../devices/attestation/tpm/pcr-selection.ts';
import { parsePublicArea } from '../../../devices/attestation/tpm/public-area.ts';
import { TpmStructureError } from '../../../devices/attestation/tpm/structure-error.ts';
import { tpmPublicKey } from '../../../devices/attestation/tpm/tpm-public-key.ts';
import { parseTpmtSignature } from '../../../devices/attestation/tpm/tpmt-signature.ts';
import { akAreaOf, certifyAttest, nameOf, publicAreaOf, quoteAttest, signAttest } from '../../fakes/software-tpm.ts';
import { joined, sized, u16 } from '../../fakes/tpm-marshal.ts';
import { OBJECT } from '../../fakes/tpm-templates.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';
import { FIXTURES, hex, pemCertificate } from './tpm-fixtures.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';

const { acme } = FIXTURES;

/** Every structure of the fixtures with its decoder. */
const STRUCTURES: readonly (readonly [string, string, (octets: Uint8Array) => unknown])[] = [
  ['EK, RSA-2048', FIXTURES.ekPubArea, parsePublicArea],
  ['EK, P-384', FIXTURES.ekPubAreaP384, parsePublicArea],
  ['AK', FIXTURES.akPubArea, parsePublicArea],
  ['application key', acme.appPubArea, parsePublicArea],
  ['certify', acme.certInfo, parseAttest],
  ['creation', FIXTURES.akSelfCertifyCreation.attest, parseAttest],
  ['quote', FIXTURES.quote.attest, parseAttest],
  ['creation data', FIXTURES.akCreationData, parseCreationData],
  ['signature', acme.sigTPMT, parseTpmtSignature],
];

describe('what a TPM made', () => {
  test.each([
    ['RSA EK', FIXTURES.ekPubArea, FIXTURES.ekName],
    ['AK', FIXTURES.akPubArea, FIXTURES.akName],
    ['application key', acme.appPubArea, acme.appName],
  ])('Name of %s', (_name, area, name) => {
    expect(toHex(objectName(parsePublicArea(hex(area))))).toBe(name);
  });

  test('public key of an area is the one of its certificate', () => {
    const keys: readonly (readonly [string, Uint8Array])[] = [
      [FIXTURES.ekPubArea, parseCertificate(hex(FIXTURES.ekCertRsa2048)).publicKey.der],
      [FIXTURES.ekPubAreaP384, parseCertificate(hex(FIXTURES.ekCertP384)).publicKey.der],
      [FIXTURES.akPubArea, parseCertificate(hex(acme.akCert)).publicKey.der],
    ];
    for (const [area, der] of keys) expect(toHex(tpmPublicKey(parsePublicArea(hex(area))).der)).toBe(toHex(der));
    expect(pemCertificate(FIXTURES.ekRoot).version).toBe(3);
  });

  test('Qualified Name chains hierarchy, EK and AK', () => {
    const ek = qualifiedName(hex('4000000b'), parsePublicArea(hex(FIXTURES.ekPubArea)));
    const creation = parseCreationData(hex(FIXTURES.akCreationData));
    expect(toHex(creation.parentQualifiedName)).toBe(toHex(ek));
    expect(toHex(creation.parentName)).toBe(FIXTURES.ekName);
    const attest = parseAttest(hex(FIXTURES.akSelfCertifyCreation.attest));
    expect(attest.type).toBe('creation');
  });

  test('fields of certify', () => {
    const attest = parseAttest(hex(acme.certInfo));
    expect(attest).toMatchObject({ type: 'certify', clockInfo: { resetCount: 11, restartCount: 0, safe: true } });
    expect(toHex(attest.extraData)).toBe(acme.extraData);
    expect(attest.type === 'certify' && toHex(attest.name)).toBe(acme.appName);
  });

  test('selection of a quote', () => {
    const attest = parseAttest(hex(FIXTURES.quote.attest));
    if (attest.type !== 'quote') throw new TypeError('not a quote');
    expect(selectionText(attest.pcrSelect)).toBe('sha256:0,1,2,3,4,5,6,7');
    expect(toHex(encodePcrSelection(attest.pcrSelect))).toBe(FIXTURES.quote.pcrSelection);
  });
});

describe.each(STRUCTURES)('%s', (_name, octets, parse) => {
  test('decodes whole, and with nothing missing or behind it', () => {
    expect(() => parse(hex(octets))).not.toThrow();
    for (let length = 0; length < octets.length / 2; length++) {
      expect(() => parse(hex(octets).subarray(0, length))).toThrow(TpmStructureError);
    }
    expect(() => parse(hex(`${octets}00`))).toThrow(/expected the end, found 1 more octets/);
  });

  test('any octets are accepted or refused with the path', () => {
    fc.assert(
      fc.property(fc.nat(octets.length / 2 - 1), fc.nat(255), (at, value) => {
        const changed = hex(octets);
        changed[at] = value;
        try {
          parse(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(TpmStructureError);
          expect((error as TpmStructureError).path).toMatch(/^TPM[ST]_[A-Z_]+/);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('TPMT_PUBLIC', () => {
  const area = (options: Parameters<typeof publicAreaOf>[0] = {}) => parsePublicArea(publicAreaOf(options));

  test('a TPM2B_PUBLIC, two octets longer, is refused and named (pitfall 1)', () => {
    expect(() => parsePublicArea(sized(hex(FIXTURES.akPubArea)))).toThrow(/found the size of a TPM2B_PUBLIC/);
  });

  test('coordinates without leading zeros are padded to the field (pitfall 2)', () => {
    const keys = Array.from({ length: 600 }, () => makeKey());
    const short = keys.filter((key) => Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url')[0] === 0);
    expect(short.length).toBeGreaterThan(0);
    for (const key of short) {
      const parsed = area({ key, short: true });
      expect(toHex(tpmPublicKey(parsed).der)).toBe(toHex(publicKeyOf(key).der));
      expect(isPointOnCurve('P-256', publicKeyOf(key).keyBytes)).toBe(true);
    }
  });

  test.each([
    ['reserved attribute bit', () => publicAreaOf({ attributes: OBJECT.sign | 1 }), 'objectAttributes'],
    ['SHA-1 as nameAlg', () => publicAreaOf({ nameAlg: 0x0004 }), 'nameAlg'],
    ['policy of another length', () => publicAreaOf({ authPolicy: new Uint8Array(31) }), 'authPolicy'],
    ['policy longer than any', () => publicAreaOf({ authPolicy: new Uint8Array(65) }), 'authPolicy.size'],
    ['keyed hash', () => joined(u16(8), akAreaOf().subarray(2)), 'type'],
    ['curve BN-256', () => hex(FIXTURES.akPubArea.replace('0003001000', '0010001000')), 'parameters.curveID'],
    ['a coordinate longer than the field', () => longCoordinate(), 'unique.x.size'],
    ['exponent 3', () => hex(FIXTURES.ekPubArea.replace('080000000000', '080000000003')), 'parameters.exponent'],
    ['even modulus', () => hex(`${FIXTURES.ekPubArea.slice(0, -2)}88`), 'unique'],
    ['modulus shorter than keyBits', () => hex(FIXTURES.ekPubArea.replace('0100d77e', '0100577e')), 'unique'],
    [
      'AES in CBC mode',
      () => hex(FIXTURES.ekPubArea.replace('000600800043', '000600800042')),
      'parameters.symmetric.mode',
    ],
  ])('%s is refused', (_name, octets, path) => {
    expect(() => parsePublicArea(octets())).toThrow(expect.objectContaining({ path: `TPMT_PUBLIC.${path}` }));
  });

  test.each([
    ['RSAES', '0015', { algorithm: 'rsaes' }],
    ['OAEP', '0017000b', { algorithm: 'oaep', hash: 'sha256' }],
    ['RSAPSS', '0016000c', { algorithm: 'rsapss', hash: 'sha384' }],
    ['RSASSA', '0014000b', { algorithm: 'rsassa', hash: 'sha256' }],
  ])('scheme %s', (_name, scheme, expected) => {
    const octets = FIXTURES.ekPubArea.replace('0043001008000000', `0043${scheme}08000000`);
    expect(parsePublicArea(hex(octets)).scheme).toEqual(expected);
  });

  test('scheme ECDH, and a KDF with its hash', () => {
    const octets = FIXTURES.akPubArea.replace('00100018000b00030010', '00100019000b00030020000b');
    expect(parsePublicArea(hex(octets)).scheme).toEqual({ algorithm: 'ecdh', hash: 'sha256' });
  });

  test.each([
    ['ECDAA', FIXTURES.akPubArea.replace('00100018000b', '0010001a000b')],
    ['HMAC for RSA', FIXTURES.ekPubArea.replace('0043001008', '0043000508')],
  ])('scheme %s is refused', (_name, octets) => {
    expect(() => parsePublicArea(hex(octets))).toThrow(
      expect.objectContaining({ path: 'TPMT_PUBLIC.parameters.scheme' }),
    );
  });

  test('more than 1024 octets are not looked at', () => {
    expect(() => parsePublicArea(new Uint8Array(1025))).toThrow(/at most 1024 octets/);
  });

  function longCoordinate(): Uint8Array {
    const head = hex(FIXTURES.akPubArea).subarray(0, -68);
    return joined(head, sized(new Uint8Array(33).fill(1)), sized(new Uint8Array(32).fill(1)));
  }
});

describe('TPMS_ATTEST', () => {
  const name = nameOf(publicAreaOf());

  test.each([
    ['another magic', certifyAttest(name, { magic: 0xff544348 }), 'magic'],
    ['a type that is not read', certifyAttest(name, { type: 0x8019 }), 'type'],
    ['extraData longer than TPM2B_DATA', certifyAttest(name, { extraData: new Uint8Array(67) }), 'extraData.size'],
    ['safe that is neither yes nor no', certifyAttest(name, { safe: 2 }), 'clockInfo.safe'],
    ['more octets', certifyAttest(name, { tail: new Uint8Array(1) }), ''],
    [
      'a bank twice',
      quoteAttest(
        [
          { hash: 'sha256', pcrs: [1] },
          { hash: 'sha256', pcrs: [2] },
        ],
        new Uint8Array(32),
      ),
      'attested.pcrSelect.pcrSelections[1].hash',
    ],
  ])('%s is refused', (_name, octets, path) => {
    expect(() => parseAttest(octets)).toThrow(
      expect.objectContaining({ path: path === '' ? 'TPMS_ATTEST' : `TPMS_ATTEST.${path}` }),
    );
  });

  test('a selection that claims 2³² banks costs nothing', () => {
    const selection = joined(new Uint8Array(4).fill(0xff), sized(new Uint8Array(32)));
    const head = quoteAttest([], new Uint8Array(32)).subarray(0, -(4 + 34));
    expect(() => parseAttest(joined(head, selection))).toThrow(/pcrSelect.count: expected at most 4/);
  });

  test('what is said comes back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 66 }),
        fc.uint8Array({ maxLength: 66 }),
        fc.uniqueArray(fc.nat(23), { maxLength: 24 }),
        (extraData, qualifiedSigner, pcrs) => {
          const sorted = pcrs.toSorted((a, b) => a - b);
          const octets = quoteAttest([{ hash: 'sha384', pcrs: sorted }], new Uint8Array(48), {
            extraData,
            qualifiedSigner,
          });
          const attest = parseAttest(octets);
          expect(attest).toMatchObject({ type: 'quote', pcrSelect: [{ hash: 'sha384', pcrs: sorted }] });
          expect(toHex(attest.extraData)).toBe(toHex(extraData));
          expect(toHex(attest.qualifiedSigner)).toBe(toHex(qualifiedSigner));
        },
      ),
    );
  });
});

describe('TPMT_SIGNATURE', () => {
  const key = makeKey();
  const attest = certifyAttest(new Uint8Array(34));

  test.each([
    ['HMAC', signAttest(attest, key, { algorithm: 0x0005 }), 'sigAlg'],
    [
      'an r of 67 octets',
      joined(u16(0x18), u16(0xb), sized(new Uint8Array(67)), sized(new Uint8Array(32))),
      'signature.signatureR.size',
    ],
    ['no r at all', joined(u16(0x18), u16(0xb), u16(0), sized(new Uint8Array(32))), 'signature.signatureR.size'],
    ['SM3', joined(u16(0x18), u16(0x12), sized(new Uint8Array(32)), sized(new Uint8Array(32))), 'signature.hash'],
  ])('%s is refused', (_name, octets, path) => {
    expect(() => parseTpmtSignature(octets)).toThrow(expect.objectContaining({ path: `TPMT_SIGNATURE.${path}` }));
  });
});
