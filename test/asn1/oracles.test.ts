import { execFileSync } from 'node:child_process';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { describe, expect, it } from 'vitest';
import { decode, encode } from '../../core/asn1/codec.ts';
import * as s from '../../core/asn1/schema.ts';
import { seedFile } from '../fuzz/seed-files.ts';
import { EveryType, everyTypeExample } from './every-type.ts';
import { Certificate, CertificationRequest } from './pkix.ts';

const bytesOf = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer);

describe('asn1js reads and writes the same', () => {
  it('INTEGER', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 200n), 2n ** 200n), (value) => {
        expect(bytesOf(asn1js.Integer.fromBigInt(value).toBER())).toEqual(encode(s.integer, value));
      }),
    );
  });

  it('OBJECT IDENTIFIER', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 31 - 1), { minLength: 1, maxLength: 8 }), (arcs) => {
        const value = ['1', '3', ...arcs].join('.');
        expect(bytesOf(new asn1js.ObjectIdentifier({ value }).toBER())).toEqual(encode(s.oid, value));
      }),
    );
  });

  it('text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        expect(bytesOf(new asn1js.Utf8String({ value }).toBER())).toEqual(encode(s.utf8String, value));
      }),
    );
  });

  it('a value with every component', () => {
    const der = encode(EveryType, everyTypeExample());
    const read = asn1js.fromBER(der);
    expect(read.offset).toBe(der.length);
    expect(bytesOf(read.result.toBER())).toEqual(der);
  });
});

describe('pkijs reads the same', () => {
  it('request', () => {
    const der = seedFile('certification-request-rsa');
    const ours = decode(CertificationRequest, der);
    const theirs = pkijs.CertificationRequest.fromBER(der);
    const names = ours.certificationRequestInfo.value.subject.flat();
    expect(names.map(({ type, value }) => [type, value.value])).toEqual(
      theirs.subject.typesAndValues.map(({ type, value }) => [type, value.valueBlock.value]),
    );
    expect(ours.signature.bytes).toEqual(theirs.signatureValue.valueBlock.valueHexView);
    expect(ours.certificationRequestInfo.der).toEqual(new Uint8Array(theirs.tbsView));
  });

  it('certificate', () => {
    const der = seedFile('certificate-p256');
    const { tbsCertificate: ours } = decode(Certificate, der);
    const theirs = pkijs.Certificate.fromBER(der);
    expect(ours.serialNumber).toEqual(theirs.serialNumber.valueBlock.valueHexView);
    expect(ours.validity).toEqual({ notBefore: theirs.notBefore.value, notAfter: theirs.notAfter.value });
    expect(ours.extensions?.map(({ extnID, critical, extnValue }) => [extnID, critical, extnValue])).toEqual(
      theirs.extensions?.map(({ extnID, critical, extnValue }) => [
        extnID,
        critical,
        extnValue.valueBlock.valueHexView,
      ]),
    );
  });
});

it('openssl reads what we write', () => {
  const listing = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], {
    input: encode(EveryType, everyTypeExample()),
    encoding: 'utf8',
  });
  for (const line of ['cons: SEQUENCE', 'BOOLEAN           :255', 'INTEGER           :8F01', 'cons: cont [ 9 ]']) {
    expect(listing).toContain(line);
  }
});
