import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { encode } from '../../core/asn1/codec.ts';
import { any, ia5String, octetString, oid, sequence, sequenceOf, setOf, utf8String } from '../../core/asn1/schema.ts';
import {
  ATTESTATION_STATEMENT,
  attestationAttribute,
  attestationBundlesOf,
  attestationExtension,
  decodeAttestationBundle,
  decodeTpmCertifyStatement,
  decodeTpmQuoteStatement,
  encodeAttestationBundle,
  encodeTpmCertifyStatement,
  encodeTpmQuoteStatement,
} from '../../core/x509/attestation-bundle.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { EXTENSION, REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';

const octets = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const certify = encodeTpmCertifyStatement({
  attest: octets('ff544347'),
  signature: octets('0018'),
  publicArea: octets('0023'),
});
const certificate = TestAuthority.root({ name: 'CN=attestation' }).der;
const bundle = {
  statements: [{ type: ATTESTATION_STATEMENT.tpmCertify, statement: certify }],
  certificates: [certificate],
};

/** A bundle as earlier drafts had it. */
function withHint(hint: Uint8Array): Uint8Array {
  const statement = encode(sequence('EvidenceStatement', { type: oid, stmt: any, hint: any }), {
    type: ATTESTATION_STATEMENT.tpmCertify,
    stmt: certify,
    hint,
  });
  return encode(sequenceOf(sequenceOf(any)), [[statement]]);
}

describe('an attestation bundle', () => {
  it('is read back as it was written', () => {
    expect(decodeAttestationBundle(encodeAttestationBundle(bundle))).toEqual(bundle);
    const bare = { ...bundle, certificates: [] };
    expect(decodeAttestationBundle(encodeAttestationBundle(bare))).toEqual(bare);
  });

  it('is written octet by octet as the draft has it', () => {
    const small = { statements: [{ type: '1.2.3', statement: octets('0500') }], certificates: [] };
    //        SEQUENCE  SEQUENCE OF  AttestationStatement  OID 1.2.3  NULL
    const expected = '300a' + '3008' + '3006' + '06022a03' + '0500';
    expect(Buffer.from(encodeAttestationBundle(small)).toString('hex')).toBe(expected);
  });

  it.each([
    ['UTF8String', encode(utf8String, 'verifier.example')],
    ['IA5String', encode(ia5String, 'verifier.example')],
  ])('may have the hint of earlier drafts (%s)', (_type, hint) => {
    expect(decodeAttestationBundle(withHint(hint)).statements).toEqual(bundle.statements);
  });

  it('refuses another field in the place of the hint', () => {
    expect(() => decodeAttestationBundle(withHint(encode(octetString, octets('00'))))).toThrow(Asn1Error);
  });

  it('leaves out certificates of other formats', () => {
    // [3] { otherCertFormat 1.2, otherCert NULL }
    const foreign = octets('a305' + '06012a' + '0500');
    const der = encode(sequenceOf(any), [
      encode(sequenceOf(any), [
        encode(sequence('S', { type: oid, stmt: any }), { type: '1.2.3', stmt: octets('0500') }),
      ]),
      encode(sequenceOf(any), [foreign, certificate]),
    ]);
    expect(decodeAttestationBundle(der).certificates).toEqual([certificate]);
  });

  it.each([
    ['nine statements', { statements: Array.from({ length: 9 }, () => bundle.statements[0]!), certificates: [] }],
    ['seventeen certificates', { ...bundle, certificates: Array.from({ length: 17 }, () => certificate) }],
    ['no statement', { statements: [], certificates: [] }],
  ])('is bounded: %s', (_what, value) => {
    const der = unbounded(value.statements, value.certificates);
    expect(() => decodeAttestationBundle(der)).toThrow(Asn1Error);
  });

  it('decodes to a value or an Asn1Error, whatever comes', () => {
    const valid = encodeAttestationBundle(bundle);
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, octet) => {
        const mutated = valid.with(at, octet);
        for (const decode of [decodeAttestationBundle, decodeTpmCertifyStatement, decodeTpmQuoteStatement]) {
          try {
            decode(mutated);
          } catch (error) {
            expect(error).toBeInstanceOf(Asn1Error);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a TPM statement', () => {
  it('holds what the TPM signed, the signature and the key', () => {
    expect(decodeTpmCertifyStatement(certify)).toEqual({
      attest: octets('ff544347'),
      signature: octets('0018'),
      publicArea: octets('0023'),
    });
    const quote = { attest: octets('ff54'), signature: octets('00'), pcrValues: undefined };
    expect(decodeTpmQuoteStatement(encodeTpmQuoteStatement(quote))).toEqual(quote);
  });

  it('has nothing after it', () => {
    expect(() => decodeTpmQuoteStatement(Buffer.concat([certify, octets('00')]))).toThrow(Asn1Error);
  });
});

describe('a request with a bundle', () => {
  it('carries it as an attribute', () => {
    const { der } = makeCsr({ attributes: [attestationAttribute(bundle)] });
    const { attributes, requestedExtensions } = parseCertificationRequest(der);
    expect(attestationBundlesOf(attributes, requestedExtensions).map(decodeAttestationBundle)).toEqual([bundle]);
  });

  it('carries it as an extension, or twice', () => {
    const extension = attestationExtension(bundle);
    expect(extension).toMatchObject({ oid: EXTENSION.attestation, critical: false });
    expect(attestationBundlesOf([], [extension])).toHaveLength(1);
    expect(attestationBundlesOf([attestationAttribute(bundle)], [extension])).toHaveLength(2);
    const twice = { type: REQUEST_ATTRIBUTE.attestation, values: [octets('0500'), octets('0500')] };
    expect(attestationBundlesOf([twice], [])).toHaveLength(2);
    expect(attestationBundlesOf([{ type: '1.2.3', values: [encode(setOf(any), [])] }], [])).toEqual([]);
  });
});

function unbounded(
  statements: readonly { readonly type: string; readonly statement: Uint8Array }[],
  certificates: readonly Uint8Array[],
): Uint8Array {
  const schema = sequence('AttestationStatement', { type: oid, stmt: any });
  const attestations = statements.map(({ type, statement: stmt }) => encode(schema, { type, stmt }));
  return encode(sequenceOf(any), [
    encode(sequenceOf(any), attestations),
    ...(certificates.length > 0 ? [encode(sequenceOf(any), certificates)] : []),
  ]);
}
