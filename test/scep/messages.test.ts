import { randomBytes } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { encode } from '../../core/asn1/codec.ts';
import { octetString, utf8String } from '../../core/asn1/schema.ts';
import { attribute, singleValue } from '../../core/cms/attribute.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { SCEP_CAPABILITIES, OPEN_SCEP } from '../../core/enrollment/scep-settings.ts';
import { nameFromText, nameToText } from '../../core/x509/name.ts';
import { answerAttributes, readRequestAttributes, readTransaction } from '../../protocols/scep/attributes.ts';
import { parseBasicAuthorization } from '../../protocols/scep/basic-authorization.ts';
import { capabilityLines } from '../../protocols/scep/capabilities.ts';
import { decodeCertificateReference, encodeCertificateReference } from '../../protocols/scep/certificate-reference.ts';
import { decodeRequest, verifyRequest } from '../../protocols/scep/certification-request.ts';
import { readEvenly, verifyEvenly } from '../../protocols/scep/even-work.ts';
import { FaultBudget } from '../../protocols/scep/fault-budget.ts';
import { acceptsLegacy } from '../../protocols/scep/legacy.ts';
import { decodeMessage, MAX_MESSAGE_OCTETS, verifyMessage } from '../../protocols/scep/pki-message.ts';
import { parsePath } from '../../protocols/scep/request-path.ts';
import { decodeGetMessage, decodePostMessage, parseQuery } from '../../protocols/scep/request-query.ts';
import { isSelfMade } from '../../protocols/scep/signer-certificate.ts';
import { makeCsr, makeKey, type TestKeyKind, TestAuthority } from '../support/test-pki.ts';
import { buildMessage, OID, printable, selfSigned } from './device.ts';
import { md5Request } from './md5.ts';

const octets = fc.uint8Array({ minLength: 1, maxLength: 300 });

describe('base64 of a GET', () => {
  const breakings: readonly ((base64: string) => string)[] = [
    (text) => text,
    encodeURIComponent,
    (text) => encodeURIComponent(encodeURIComponent(text)),
    (text) => encodeURIComponent(text.replaceAll(/.{64}/g, '$&\n') + '\n'),
    (text) => text.replaceAll('+', ' '),
    (text) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
  ];

  it('is read back however it is broken', () => {
    fc.assert(
      fc.property(octets, fc.constantFrom(...breakings), (bytes, broken) => {
        const text = broken(Buffer.from(bytes).toString('base64'));
        expect(Buffer.from(decodeGetMessage(text))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('is read or refused, whatever comes', () => {
    fc.assert(fc.property(fc.string(), (text) => onlyPeerErrors(() => decodeGetMessage(text))));
  });
});

describe('the body of a POST', () => {
  it('is binary, or base64 where it begins with M', () => {
    const bytes = Buffer.concat([Buffer.of(0x30, 0x80), randomBytes(100)]);
    expect(Buffer.from(decodePostMessage(bytes))).toEqual(bytes);
    expect(Buffer.from(decodePostMessage(Buffer.from(bytes.toString('base64'))))).toEqual(bytes);
  });

  it('is no larger decoded than plain', () => {
    const body = Buffer.from(Buffer.alloc(MAX_MESSAGE_OCTETS + 3, 0x30).toString('base64'));
    expect(() => decodePostMessage(body)).toThrow(PeerError);
    expect(() => decodeMessage(new Uint8Array(MAX_MESSAGE_OCTETS + 1))).toThrow(/at most/);
  });
});

describe('the query', () => {
  it('is read raw, in any order and case, the first of each name', () => {
    expect(parseQuery('message=a+b%2B&OPERATION=pkioperation&message=c&x')).toEqual({
      operation: 'PKIOperation',
      message: 'a+b%2B',
    });
    expect(parseQuery('operation=GetCACert')).toEqual({ operation: 'GetCACert', message: '' });
    expect(parseQuery('operation=GetCACaps%20').operation).toBe('GetCACaps');
  });

  it('is read or refused, whatever comes', () => {
    fc.assert(fc.property(fc.string(), (text) => onlyPeerErrors(() => parseQuery(text))));
    expect(() => parseQuery(`operation=PKIOperation&message=${'M'.repeat(65_537)}`)).toThrow(/at most/);
  });
});

describe('the path', () => {
  it.each([
    ['default', 'default', false, false],
    ['', undefined, false, false],
    ['pkiclient.exe', undefined, false, false],
    ['cgi-bin/pkiclient.exe', 'cgi-bin', true, false],
    ['certsrv/mscep_admin', 'certsrv', true, true],
    ['routers/certsrv/mscep_admin/', 'routers', false, true],
    ['routers/CertSrv/MSCEP_admin', 'routers', false, true],
    ['routers/my_mscep_admin', 'routers', false, false],
    ['UPPER/x', undefined, false, false],
    ['a'.repeat(64), undefined, false, false],
  ])('%s', (path, label, isUsualSegment, isNdesPage) => {
    expect(parsePath(path)).toEqual({ label, isUsualSegment, isNdesPage });
  });
});

describe('attributes', () => {
  it('of an answer are read back', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9+/=]{1,128}$/), octets, (id, nonce) => {
        const senderNonce = nonce.subarray(0, 64);
        const request = readRequestAttributes([
          printable(OID.transactionID, id),
          printable(OID.messageType, '19'),
          attribute(OID.senderNonce, encode(octetString, senderNonce)),
        ]);
        expect(request).toMatchObject({ transactionId: id, messageType: '19', signingTime: undefined });
        const answer = answerAttributes(request, { kind: 'failure', failInfo: 'badAlg', text: 'né' }, randomBytes(16));
        expect(singleValue(answer, OID.transactionID)).toEqual(request.transactionIdDer);
        expect(singleValue(answer, OID.recipientNonce)).toEqual(encode(octetString, senderNonce));
        expect(singleValue(answer, OID.failInfo)).toEqual(Uint8Array.of(0x13, 1, 0x30));
        expect(singleValue(answer, OID.failInfoText)).toEqual(encode(utf8String, 'né'));
      }),
    );
  });

  it.each([
    ['none', []],
    ['an empty one', [printable(OID.transactionID, '')]],
    ['one of 256 characters', [printable(OID.transactionID, 'x'.repeat(256))]],
    ['one that is an octet string', [attribute(OID.transactionID, encode(octetString, randomBytes(8)))]],
    ['two', [printable(OID.transactionID, 'a'), printable(OID.transactionID, 'b')]],
  ])('name no transaction with %s', (_what, attributes) => {
    expect(() => readTransaction(attributes)).toThrow(PeerError);
  });

  it('hold a signingTime that is a time, or none', () => {
    const attributes = [
      printable(OID.transactionID, 'a'),
      printable(OID.messageType, '19'),
      attribute(OID.senderNonce, encode(octetString, randomBytes(16))),
      attribute('1.2.840.113549.1.9.5', encode(octetString, randomBytes(4))),
    ];
    expect(() => readRequestAttributes(attributes)).toThrow(/signingTime/);
  });
});

describe('a message', () => {
  const signer = selfSigned({ subject: 'CN=r', key: makeKey('ec-p256') });
  const recipient = selfSigned().der;
  const build = (): Promise<Uint8Array> => buildMessage({ signer, recipient, content: randomBytes(50) });

  it('is what was built', async () => {
    const received = decodeMessage(await build());
    const verdict = verifyMessage(received, false);
    if (!verdict.ok) throw new TypeError(verdict.detail);
    expect(verdict.message).toMatchObject({ digest: 'sha256', isSelfMade: true, attributes: { messageType: '19' } });
    expect(verdict.message.certificateChain.map(Buffer.from)).toEqual([Buffer.from(signer.der)]);
  });

  it('is read or refused, whatever became of it', async () => {
    const message = await build();
    fc.assert(
      fc.property(fc.nat(message.length - 1), fc.nat(255), (at, octet) => {
        const copy = Uint8Array.from(message);
        copy[at] = octet;
        onlyPeerErrors(() => verifyMessage(decodeMessage(copy), true));
      }),
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => onlyPeerErrors(() => decodeMessage(bytes))));
  });
});

describe("the signer's certificate", () => {
  it('is self-made where issuer and subject are one name, and else somebody else made it', () => {
    expect(isSelfMade(selfSigned({ key: makeKey('ec-p256') }).der)).toBe(true);
    expect(isSelfMade(TestAuthority.root().leaf().der)).toBe(false);
    expect(isSelfMade(randomBytes(40))).toBe(false);
  });
});

describe('contents', () => {
  it('of GetCert are read back, negative serial numbers included', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 150n), max: 2n ** 150n }), (number) => {
        const bits = BigInt(8 * 20);
        const hex = (number < 0n ? (1n << bits) + number : number).toString(16).padStart(40, '0');
        const minimal = Buffer.from(hex, 'hex');
        let from = 0;
        while (from < 19 && isRedundant(minimal[from]!, minimal[from + 1]!)) from++;
        const der = encodeCertificateReference(nameFromText('CN=CA'), minimal.subarray(from));
        const { issuer, serialNumber } = decodeCertificateReference(der);
        expect(nameToText(issuer)).toBe('CN=CA');
        const magnitude = BigInt(`0x${serialNumber.replace('-', '')}`);
        expect(serialNumber.startsWith('-') ? -magnitude : magnitude).toBe(number);
      }),
    );
  });

  it('of PKCSReq may be signed with MD5 where that is allowed, and verify then', async () => {
    const key = makeKey('rsa-2048');
    const der = md5Request(makeCsr({ key, challengePassword: 'secret' }).der, key);
    expect(() => decodeRequest(der, false)).toThrow(/MD5/);
    const received = decodeRequest(der, true);
    expect(received.request.challengePassword).toBe('secret');
    expect(await verifyRequest(received)).toBe(true);
    const forged = { ...received, md5: { ...received.md5!, signature: randomBytes(256) } };
    expect(await verifyRequest(forged)).toBe(false);
    const ec = decodeRequest(makeCsr().der, true);
    expect(await verifyRequest({ ...ec, md5: received.md5 })).toBe(false);
  });
});

describe('even work', () => {
  it('reads what can be read, and never throws', () => {
    const read = (content: Uint8Array): string => {
      if (content[0] !== 0x30) throw new TypeError('anything');
      return 'read';
    };
    const calls: number[] = [];
    const counting = (content: Uint8Array): string => {
      calls.push(content[0]!);
      return read(content);
    };
    expect(readEvenly(Uint8Array.of(0x30), counting, Uint8Array.of(0x30))).toBe('read');
    expect(readEvenly(Uint8Array.of(0x31), counting, Uint8Array.of(0x30))).toBeUndefined();
    // Once so that it succeeds and once so that it fails, either way.
    expect(calls).toEqual([0x30, 0xff, 0x31, 0x30]);
  });

  const kinds: readonly TestKeyKind[] = ['rsa-2048', 'ec-p256', 'ec-p384', 'ec-p521', 'ed25519', 'ed448', 'ml-dsa-44'];
  it.each(kinds)('finds a request with a key of kind %s signed, forged or not there', async (kind) => {
    const der = makeCsr({ key: makeKey(kind) }).der;
    const received = decodeRequest(der, false);
    const { publicKey, signatureAlgorithm: algorithm, infoDer: data, signature: octets } = received.request;
    const message = { publicKey, algorithm, data, octets };
    expect(await verifyEvenly(received, der, message)).toBe(true);
    const forged = { ...received, request: { ...received.request, infoDer: randomBytes(50) } };
    expect(await verifyEvenly(forged, der, message)).toBe(false);
    expect(await verifyEvenly(undefined, der, message)).toBe(false);
  });
});

describe('switches', () => {
  it('announce all but what is withheld', () => {
    const withheld = { ...OPEN_SCEP, withheldCapabilities: [...SCEP_CAPABILITIES] };
    expect(capabilityLines(withheld, true)).toBe('');
    expect(capabilityLines(OPEN_SCEP, true).trim().split('\n')).toEqual([...SCEP_CAPABILITIES]);
  });

  it('let legacy in until its day', () => {
    const settings = { ...OPEN_SCEP, legacy: { until: '2026-12-01T00:00:00Z' } };
    expect(acceptsLegacy(settings, Date.parse('2026-11-30T23:59:59Z'))).toBe(true);
    expect(acceptsLegacy(settings, Date.parse('2026-12-01T00:00:00Z'))).toBe(false);
    expect(acceptsLegacy({ ...settings, legacy: { until: 'never' } }, 0)).toBe(false);
    expect(acceptsLegacy(OPEN_SCEP, 0)).toBe(false);
  });
});

describe('the budget of faults', () => {
  it('is spent by a source for a minute, and by no other', () => {
    const budget = new FaultBudget();
    for (let i = 0; i < 3; i++) budget.spend('a', 1000);
    expect(() => budget.requireLeft('a', 3, 2000)).toThrow(/too many/);
    expect(() => budget.requireLeft('a', 4, 2000)).not.toThrow();
    expect(() => budget.requireLeft('a', 0, 2000)).not.toThrow();
    expect(() => budget.requireLeft('b', 3, 2000)).not.toThrow();
    expect(() => budget.requireLeft('a', 3, 61_000)).not.toThrow();
  });

  it('forgets the oldest of very many sources', () => {
    const budget = new FaultBudget();
    for (let i = 0; i <= 10_000; i++) budget.spend(`source ${i}`, 0);
    expect(() => budget.requireLeft('source 0', 1, 0)).not.toThrow();
    expect(() => budget.requireLeft('source 1', 1, 0)).toThrow();
  });
});

describe('HTTP Basic', () => {
  const header = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

  it('is a name, a colon and a password that no log shows', () => {
    const found = parseBasicAuthorization(header('admin:a:b'));
    expect(found?.username).toBe('admin');
    expect(found?.password.reveal()).toBe('a:b');
    expect(JSON.stringify(found)).not.toContain('a:b');
  });

  it.each([undefined, '', 'Bearer x', 'Basic', 'Basic %', header('no colon')])('is not %s', (text) => {
    expect(parseBasicAuthorization(text)).toBeUndefined();
  });
});

function isRedundant(first: number, second: number): boolean {
  return (first === 0 && second < 0x80) || (first === 0xff && second >= 0x80);
}

function onlyPeerErrors(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
  }
}
