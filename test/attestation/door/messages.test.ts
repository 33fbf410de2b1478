import { decode } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { PeerError } from '../../../core/errors/muster-error.ts';
import { certificationRequestIn, encodeMatterEvidence } from '../../../protocols/attestation/matter-elements.ts';
import {
  decodeMatterRequest,
  decodeNonceRequest,
  decodeRegistration,
  decodeSecret,
  decodeTicketRequest,
} from '../../../protocols/attestation/messages.ts';
import { attestationKeyNames } from '../../../protocols/attestation/attestation-key-names.ts';
import { parsePath } from '../../../protocols/attestation/path.ts';
import { generalNameToText } from '../../../core/x509/general-name.ts';
import { makeKey, publicKeyOf } from '../../support/test-pki.ts';

const body = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const ONE = 'AQ==';
const spki = Buffer.from(publicKeyOf(makeKey()).der).toString('base64');
const decoders = [decodeNonceRequest, decodeRegistration, decodeSecret, decodeTicketRequest, decodeMatterRequest];

describe('messages of the front door', () => {
  it('are read as clients of smallstep write them', () => {
    const params = {
      public: ONE,
      useTCSDActivationFormat: false,
      createData: ONE,
      createAttestation: ONE,
      createSignature: ONE,
    };
    const octet = Uint8Array.of(1);
    expect(decodeRegistration(body({ tpmInfo: {}, ek: null, ekCerts: [ONE], akCert: null, params }))).toEqual({
      endorsementKey: undefined,
      endorsementCertificates: [octet],
      endorsementPublicArea: undefined,
      publicArea: octet,
      creationData: octet,
      creationAttest: octet,
      creationSignature: octet,
    });
    expect(decodeSecret(body({ secret: ONE }))).toEqual(octet);
  });

  it('say what a ticket shall open', () => {
    const evidence = { type: 'tpm-certify', bytes: ONE };
    expect(decodeTicketRequest(body({ evidence, publicKey: spki }))).toMatchObject({
      evidence: { type: 'tpm-certify', bytes: Uint8Array.of(1) },
      device: undefined,
      protocol: 'scep',
    });
    expect(decodeTicketRequest(body({ evidence, publicKey: spki, device: 'r1', protocol: 'cmp' }))).toMatchObject({
      device: 'r1',
      protocol: 'cmp',
    });
  });

  it.each([
    ['evidence of an exchange of its own', { evidence: { type: 'tpm-activation', bytes: ONE }, publicKey: spki }],
    ['evidence of ACME', { evidence: { type: 'acme-tpm', bytes: ONE }, publicKey: spki }],
    ['a key that is none', { evidence: { type: 'eat', bytes: ONE }, publicKey: ONE }],
    ['a name with a line break', { evidence: { type: 'eat', bytes: ONE }, publicKey: spki, device: 'a\nb' }],
    ['a name too long', { evidence: { type: 'eat', bytes: ONE }, publicKey: spki, device: 'a'.repeat(65) }],
    ['a protocol without tickets', { evidence: { type: 'eat', bytes: ONE }, publicKey: spki, protocol: 'acme' }],
    ['base64 with other characters', { evidence: { type: 'eat', bytes: 'A Q==' }, publicKey: spki }],
    ['no evidence', { publicKey: spki }],
  ])('refuse %s', (_what, request) => {
    expect(() => decodeTicketRequest(body(request))).toThrow(PeerError);
  });

  it('take either alphabet of base64, padded or not', () => {
    for (const secret of ['-_8=', '-_8', '+/8=', '+/8']) {
      expect(decodeSecret(body({ secret }))).toEqual(Uint8Array.of(0xfb, 0xff));
    }
  });

  it('are bounded in number', () => {
    const request = { ekCerts: Array.from({ length: 9 }, () => ONE), params: { public: ONE } };
    expect(() => decodeRegistration(body(request))).toThrow(/at most 8/);
  });

  it('are read or refused, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.jsonValue().map((value) => JSON.stringify({ params: value, evidence: value })),
        ),
        (text) => {
          for (const decoder of decoders) {
            try {
              decoder(Buffer.from(text));
            } catch (error) {
              expect(error).toBeInstanceOf(PeerError);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('paths', () => {
  it('are a label and an operation', () => {
    expect(parsePath('factory/attest')).toEqual({ label: 'factory', operation: 'attest' });
    for (const path of ['', 'attest', 'factory/', 'factory/attest/', 'Factory/attest', 'factory/toString', 'a/b/c']) {
      expect(parsePath(path)).toBeUndefined();
    }
  });
});

describe('NOCSR elements', () => {
  const elements = (control: number, length: readonly number[], csr: Uint8Array): Uint8Array =>
    Uint8Array.from([0x15, control, 0x01, ...length, ...csr, 0x30, 0x02, 0x01, 0xff, 0x18]);

  it('begin with the request, its length in one octet or two', () => {
    const short = new Uint8Array(200).fill(7);
    expect(certificationRequestIn(elements(0x30, [200], short))).toEqual(short);
    const long = new Uint8Array(300).fill(7);
    expect(certificationRequestIn(elements(0x31, [0x2c, 0x01], long))).toEqual(long);
  });

  it('yield octets of the elements or a fault, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
        const bytes = Uint8Array.from([0x15, ...octets]);
        try {
          expect(certificationRequestIn(bytes).length).toBeLessThan(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(PeerError);
        }
      }),
    );
  });

  it('go to the gate as one CBOR map', () => {
    const parts = {
      dac: Uint8Array.of(1),
      pai: Uint8Array.of(2),
      challenge: Uint8Array.of(3),
      nocsr: Uint8Array.of(4),
      nocsrSignature: Uint8Array.of(5),
    };
    expect(decode(encodeMatterEvidence(parts))).toEqual(parts);
  });
});

describe("an attestation key's names", () => {
  it('are those of its TPM', () => {
    const claims = { 'tpm-manufacturer': '53544D20', 'tpm-model': 'ST33', 'tpm-version': '00010101' };
    const identifiers = { 'permanent-identifier': 'urn:ek:sha256:AAAA' };
    const names = attestationKeyNames({ identifiers, claims });
    expect(names.map(({ kind }) => kind)).toEqual(['directoryName', 'otherName', 'uri']);
    expect(names.slice(1).map(generalNameToText)).toEqual([
      'permanentid:urn:ek:sha256:AAAA;',
      'uri:urn:ek:sha256:AAAA',
    ]);
    expect(attestationKeyNames({ identifiers: {}, claims: {} })).toEqual([]);
  });
});
