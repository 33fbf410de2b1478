import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PeerError } from '../../../core/errors/muster-error.ts';
import { encodePem } from '../../../core/x509/pem.ts';
import { parseSerialNumber } from '../../../core/x509/serial-number.ts';
import { readPaaBundle } from '../../../devices/attestation/matter/paa-bundle.ts';
import {
  readAndroidStatusList,
  readRevocationCrl,
  readRevocationSets,
} from '../../../devices/attestation/matter/revocation-set.ts';
import { makePaa, makePai, matterName } from '../../fakes/matter-authority.ts';
import { TestAuthority } from '../../support/test-pki.ts';

const fixture = (name: string): Uint8Array => readFileSync(new URL(`../../fixtures/matter/${name}`, import.meta.url));

describe('a folder of PAAs', () => {
  it('becomes authorities with their scope, test ones marked, each key once', () => {
    const scoped = makePaa({ subject: matterName('Vendor PAA', '1234') });
    const open = makePaa();
    const { authorities, refused } = readPaaBundle([
      { name: 'a.der', octets: scoped.der },
      { name: 'b.pem', octets: Buffer.from(encodePem('CERTIFICATE', open.der) + encodePem('CERTIFICATE', scoped.der)) },
      { name: 'test.pem', octets: fixture('Chip-Test-PAA-FFF1-Cert.pem') },
      { name: 'test-any.pem', octets: fixture('Chip-Test-PAA-NoVID-Cert.pem') },
    ]);
    expect(refused).toEqual([]);
    expect(authorities.map(({ file, vendorId, settings }) => [file, vendorId, settings.test])).toEqual([
      ['a.der', '1234', false],
      ['b.pem', undefined, false],
      ['test.pem', 'FFF1', true],
      ['test-any.pem', undefined, true],
    ]);
  });

  it('tells of what is no PAA, and keeps the others', () => {
    const paa = makePaa();
    const { authorities, refused } = readPaaBundle([
      { name: 'pai.der', octets: makePai(paa).der },
      { name: 'README', octets: Buffer.from('hello') },
      { name: 'half.der', octets: paa.der.subarray(0, 100) },
      { name: 'cd.pem', octets: fixture('Chip-Test-CD-Signing-Cert.pem') },
      { name: 'paa.der', octets: paa.der },
    ]);
    expect(authorities.map(({ file }) => file)).toEqual(['cd.pem', 'paa.der']);
    expect(refused.map(({ file }) => file)).toEqual(['pai.der', 'README', 'half.der']);
    expect(refused[0]!.reason).toMatch(/^paa-basic-constraints/);
  });
});

describe('revocation', () => {
  it('is read from the sets of the ledger', () => {
    const sets = [
      {
        type: 'revocation_set',
        issuer_subject_key_id: '6AFD22771F511FECBF1641976710DCDC31A1717E',
        revoked_serial_numbers: ['302664392B8A3F2A', '0A'],
      },
    ];
    expect(readRevocationSets(JSON.stringify(sets))).toEqual([
      { issuerKeyId: '6afd22771f511fecbf1641976710dcdc31a1717e', serialNumbers: ['302664392b8a3f2a', '0a'] },
    ]);
  });

  it.each([
    ['no JSON', '['],
    ['no array', '{}'],
    ['no object', '[null]'],
    ['no issuer', '[{"revoked_serial_numbers":[]}]'],
    ['an issuer that is no key identifier', '[{"issuer_subject_key_id":"00","revoked_serial_numbers":[]}]'],
    ['no serial numbers', '[{"issuer_subject_key_id":"6AFD22771F511FECBF1641976710DCDC31A1717E"}]'],
    [
      'a serial number that is none',
      '[{"issuer_subject_key_id":"6AFD22771F511FECBF1641976710DCDC31A1717E","revoked_serial_numbers":["x"]}]',
    ],
  ])('is refused with %s', (_, text) => expect(() => readRevocationSets(text)).toThrow(PeerError));

  it("is read from Google's list", () => {
    const list = {
      entries: {
        '2c8cdddfd5e03bfc': { status: 'REVOKED', reason: 'KEY_COMPROMISE' },
        c8966fcb2fbb0d7a: { status: 'SUSPENDED' },
      },
    };
    expect(readAndroidStatusList(JSON.stringify(list))).toEqual({
      issuerKeyId: 'android',
      serialNumbers: ['2c8cdddfd5e03bfc', 'c8966fcb2fbb0d7a'],
    });
    expect(() => readAndroidStatusList('{}')).toThrow(PeerError);
  });

  it('is read from the CRL of an authority, signed by itself', () => {
    const authority = TestAuthority.root({ name: 'CN=Line 1' });
    const crl = authority.crl({ entries: [{ serialNumber: parseSerialNumber('0a0b'), revocationDate: new Date() }] });
    const { issuerKeyId, serialNumbers } = readRevocationCrl(crl, authority.certificate);
    expect(issuerKeyId).toMatch(/^[0-9a-f]{40}$/);
    expect(serialNumbers).toEqual(['0a0b']);
    const namesake = TestAuthority.root({ name: 'CN=Line 1' });
    expect(() => readRevocationCrl(crl, namesake.certificate)).toThrow('expected a CRL of the issuer named');
    expect(() => readRevocationCrl(crl.subarray(1), authority.certificate)).toThrow(PeerError);
  });
});
