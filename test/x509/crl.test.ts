import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { encode } from '../../core/asn1/codec.ts';
import {
  any,
  explicit,
  optional,
  sequence,
  sequenceOf,
  serialInteger,
  smallInteger,
  time,
} from '../../core/asn1/schema.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { assembleSigned } from '../../core/x509/certificate.ts';
import {
  CRL_REASON,
  type CrlEntry,
  type CrlReason,
  encodeTbsCertList,
  parseCertificateList,
} from '../../core/x509/crl.ts';
import { type Extension, EXTENSIONS, extensionsSchema } from '../../core/x509/extensions.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { algorithmIdentifier, verifySignature } from '../../core/x509/signature-algorithm.ts';
import { TestAuthority } from '../support/test-pki.ts';
import { openssl, Scratch, tryOpenssl } from './openssl.ts';

const root = TestAuthority.root();
const date = new Date('2026-11-01T12:00:00Z');
const reasons = Object.keys(CRL_REASON) as CrlReason[];

function entry(serial: string, reason?: CrlReason): CrlEntry {
  return { serialNumber: parseSerialNumber(serial), revocationDate: date, ...(reason && { reason }) };
}

describe('what Muster writes', () => {
  it('openssl verifies it and shows every entry', () => {
    using scratch = new Scratch();
    const ca = scratch.file('ca.pem', encodePem('CERTIFICATE', root.der));
    const entries = reasons.map((reason, i) => entry((i + 1).toString(16), reason));
    const der = root.crl({
      entries: [...entries, { ...entry('ff'), invalidityDate: new Date('2025-01-01T00:00:00Z') }],
      number: 2n ** 100n,
    });
    const { ok, output } = tryOpenssl(['crl', '-inform', 'DER', '-noout', '-text', '-CAfile', ca], der);
    expect(ok).toBe(true);
    expect(output).toContain('verify OK');
    expect(output.match(/Serial Number:/g)).toHaveLength(reasons.length + 1);
    expect(output).toMatch(/CRL Number:\s+(0x10000000000000000000000000|1267650600228229401496703205376)/);
    expect(output).toMatch(/Serial Number: 02[\s\S]*?Key Compromise/);
    expect(output).toMatch(/Invalidity Date:\s+Jan {2}1 00:00:00 2025 GMT/);
    // RFC 5280 §5.3.1: `unspecified` is expressed by leaving the reason out.
    expect(output).not.toContain('Unspecified');
  });

  it('has no list where nothing is revoked', () => {
    const der = root.crl();
    expect(openssl(['crl', '-inform', 'DER', '-noout', '-text'], der).toString()).toContain('No Revoked Certificates');
    expect(parseCertificateList(der).entries).toEqual([]);
  });

  it('names shards and deltas as openssl understands them', () => {
    const der = root.crl({
      extensions: [
        EXTENSIONS.issuingDistributionPoint.encode({
          distributionPoint: { kind: 'fullName', value: [{ kind: 'uri', value: 'http://c.example/3.crl' }] },
          onlyContainsUserCerts: true,
          onlyContainsCACerts: false,
          indirectCRL: false,
          onlyContainsAttributeCerts: false,
        }),
        EXTENSIONS.deltaCRLIndicator.encode(7n),
      ],
    });
    const text = openssl(['crl', '-inform', 'DER', '-noout', '-text'], der).toString();
    expect(text).toMatch(
      /Issuing Distribution Point: critical\s+Full Name:\s+URI:http:\/\/c\.example\/3\.crl\s+Only User Certificates/,
    );
    expect(text).toMatch(/Delta CRL Indicator: critical\s+(0x0)?7/);
  });

  it('comes back, and verifies', () => {
    const entries = [entry('01', 'keyCompromise'), entry('f0f1'), { ...entry('02'), invalidityDate: date }];
    const list = parseCertificateList(root.crl({ entries, number: 5n, thisUpdate: date }));
    expect(list.entries).toEqual(entries);
    expect(list.thisUpdate).toEqual(date);
    expect(EXTENSIONS.crlNumber.find(list.extensions)).toBe(5n);
    expect(verifySignature(root.certificate.publicKey, list.signatureAlgorithm, list.tbsDer, list.signature)).toBe(
      true,
    );
  });

  it('has no extensions where none are given: openssl reads it', () => {
    const tbs = encodeTbsCertList({
      signatureAlgorithm: 'ecdsa-with-SHA256',
      issuer: root.certificate.subject,
      thisUpdate: date,
      nextUpdate: new Date(date.getTime() + 1000),
      entries: [],
      extensions: [],
    });
    const der = assembleSigned(tbs, 'ecdsa-with-SHA256', new Uint8Array(70));
    expect(openssl(['crl', '-inform', 'DER', '-noout', '-text'], der).toString()).not.toContain('CRL extensions');
    expect(parseCertificateList(der).extensions).toEqual([]);
  });

  it('holds a whole shard', () => {
    const entries = Array.from({ length: 20_000 }, (_, i) =>
      entry(`5a${i.toString(16).padStart(30, '0')}`, 'superseded'),
    );
    const der = root.crl({ entries });
    expect(parseCertificateList(der).entries).toHaveLength(20_000);
  });
});

it('reads CRLs of openssl, octet by octet', () => {
  using scratch = new Scratch();
  const ca = scratch.file('ca.pem', encodePem('CERTIFICATE', root.der));
  const key = scratch.file('key.pem', root.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const index = scratch.file(
    'index.txt',
    'R\t301231235959Z\t261101120000Z,keyCompromise\t0A\tunknown\t/CN=a\nR\t301231235959Z\t261101120000Z\t0B\tunknown\t/CN=b\n',
  );
  const number = scratch.file('number', '0F\n');
  const file = scratch.file(
    'ca.cnf',
    `[ca]\ndefault_ca=x\n[x]\ndatabase=${index}\ncrlnumber=${number}\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
  );
  const pem = openssl(['ca', '-gencrl', '-config', file, '-cert', ca, '-keyfile', key]);
  const der = openssl(['crl', '-outform', 'DER'], pem);
  const list = parseCertificateList(der);
  expect(list.entries).toEqual([entry('0a', 'keyCompromise'), entry('0b')]);
  const tbs = encodeTbsCertList({ ...list, nextUpdate: list.nextUpdate! });
  expect(Buffer.from(tbs).equals(Buffer.from(list.tbsDer))).toBe(true);
});

describe('refusals', () => {
  it('two signature algorithms, and octets that are no CRL', () => {
    const list = parseCertificateList(root.crl());
    expect(() => parseCertificateList(assembleSigned(list.tbsDer, 'ecdsa-with-SHA512', list.signature))).toThrow(
      /signatureAlgorithm/,
    );
    expect(() => parseCertificateList(root.der)).toThrow(Asn1Error);
  });

  const rawEntry = sequence('Entry', { serial: serialInteger, date: time, extensions: extensionsSchema });
  const rawList = sequence('List', {
    version: smallInteger,
    algorithm: any,
    issuer: any,
    thisUpdate: time,
    entries: sequenceOf(rawEntry),
  });

  function listWith(...extensions: Extension[]): Uint8Array {
    const algorithm = algorithmIdentifier('ecdsa-with-SHA256');
    const entries = [{ serial: Uint8Array.of(1), date, extensions }];
    const tbs = encode(rawList, {
      version: 1,
      algorithm,
      issuer: root.certificate.subject.der,
      thisUpdate: date,
      entries,
    });
    return assembleSigned(tbs, 'ecdsa-with-SHA256', new Uint8Array(70));
  }

  const versioned = sequence('List', {
    version: optional(smallInteger),
    algorithm: any,
    issuer: any,
    thisUpdate: time,
    extensions: optional(explicit(0, extensionsSchema)),
  });

  function listOf(version: number | undefined, extensions?: Extension[]): Uint8Array {
    const algorithm = algorithmIdentifier('ecdsa-with-SHA256');
    const issuer = root.certificate.subject.der;
    const tbs = encode(versioned, { version, algorithm, issuer, thisUpdate: date, extensions });
    return assembleSigned(tbs, 'ecdsa-with-SHA256', new Uint8Array(70));
  }

  it('a version that does not go with its fields (RFC 5280 §5.1.2.1)', () => {
    const extensions = [EXTENSIONS.crlNumber.encode(1n)];
    expect(parseCertificateList(listOf(undefined))).toMatchObject({ entries: [], extensions: [] });
    expect(parseCertificateList(listOf(1))).toMatchObject({ entries: [], extensions: [] });
    expect(parseCertificateList(listOf(1, extensions)).extensions).toEqual(extensions);
    for (const [der, found] of [
      [listOf(undefined, extensions), 'v1 with extensions'],
      [listOf(0), 'v1'],
      [listOf(0, extensions), 'v1'],
      [listOf(2), 'v3'],
    ] as const) {
      expect(() => parseCertificateList(der)).toThrow(
        expect.objectContaining({ path: 'TBSCertList.version', expected: 'v2', found }),
      );
    }
  });

  it('an entry of an indirect CRL, which belongs to another issuer (RFC 5280 §5.3.3)', () => {
    const foreign = EXTENSIONS.certificateIssuer.encode([{ kind: 'directoryName', value: root.certificate.subject }]);
    expect(() => parseCertificateList(listWith(foreign))).toThrow(/known critical extensions/);
    expect(parseCertificateList(listWith({ ...foreign, critical: false })).entries).toEqual([entry('01')]);
  });

  it('a reason outside RFC 5280 §5.3.1', () => {
    expect(() => parseCertificateList(listWith(EXTENSIONS.reasonCode.encode(7)))).toThrow(/CRLReason/);
  });

  it('on any octets, returns or throws a typed error', () => {
    const der = root.crl({ entries: [entry('01', 'superseded'), entry('02')] });
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, octet) => {
        try {
          parseCertificateList(der.with(at, octet));
        } catch (error) {
          expect(error).toBeInstanceOf(Asn1Error);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
