import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { certTemplate, parseCertTemplate, publicKeyOf } from '../../protocols/cmp/cert-template.ts';
import { type BodyKind, type PkiBody, pkiBody } from '../../protocols/cmp/pki-body.ts';
import {
  encodePkiMessage,
  encodeUnprotected,
  MAX_MESSAGE_OCTETS,
  parsePkiBody,
  parsePkiMessage,
} from '../../protocols/cmp/pki-message.ts';
import { makeKey, publicKeyOf as spkiOf } from '../support/test-pki.ts';
import { type Conversation, OpensslConversations } from './openssl-messages.ts';

/** What openssl is told to do, and how many messages each side then sends. */
const COMMANDS = [
  ['ir under a MAC', 'mac', ['-cmd', 'ir', '-subject', '/CN=router1', '-sans', 'router1.example'], 2],
  ['ir with a signature', 'signature', ['-cmd', 'ir', '-subject', '/CN=router1', '-days', '30'], 2],
  [
    'cr, confirmed implicitly',
    'signature',
    ['-cmd', 'cr', '-subject', '/CN=router1', '-implicit_confirm', '-grant_implicitconf'],
    1,
  ],
  ['kur', 'signature', ['-cmd', 'kur', '-oldcert', 'DEVICE'], 2],
  ['rr', 'signature', ['-cmd', 'rr', '-oldcert', 'DEVICE', '-revreason', '4'], 1],
  ['genm', 'mac', ['-cmd', 'genm', '-infotype', 'signKeyPairTypes', '-geninfo', '1.2.3:int:5'], 1],
  ['ir that waits', 'mac', ['-cmd', 'ir', '-subject', '/CN=router1', '-poll_count', '2', '-check_after', '0'], 4],
  ['ir for an encryption key', 'mac', ['-cmd', 'ir', '-subject', '/CN=router1', '-popo', '2'], 1],
  ['ir that is vouched for', 'mac', ['-cmd', 'ir', '-subject', '/CN=router1', '-popo', '0'], 1],
  ['an error', 'mac', ['-cmd', 'ir', '-subject', '/CN=router1', '-send_error'], 1],
  [
    'a rejection',
    'mac',
    ['-cmd', 'ir', '-subject', '/CN=router1', '-pkistatus', '2', '-failure', '9', '-statusstring', 'no'],
    1,
  ],
] as const;

let messages: readonly { readonly name: string; readonly conversation: Conversation }[] = [];
const openssl = new OpensslConversations();
beforeAll(async () => {
  messages = await Promise.all(
    COMMANDS.map(async ([name, protection, args, count]) => ({
      name,
      conversation: await openssl.run(protection, args, count),
    })),
  );
});
afterAll(() => openssl[Symbol.dispose]());

/** Decodes a message down to its body and writes it again. */
function rewritten(der: Uint8Array): Uint8Array {
  const { header, bodyDer, protection, extraCerts } = parsePkiMessage(der);
  return encodePkiMessage(encodeUnprotected(header, parsePkiBody(bodyDer)), protection, extraCerts);
}

describe('the messages of openssl', () => {
  it.each(COMMANDS.map(([name]) => name))('%s: read and written again octet by octet', (name) => {
    const { requests, responses, output } = messages.find((entry) => entry.name === name)!.conversation;
    expect(requests.length, output).toBeGreaterThan(0);
    for (const der of [...requests, ...responses]) expect(Buffer.from(rewritten(der)).equals(der)).toBe(true);
  });

  it('are of the kinds they should be', () => {
    const kinds = messages.flatMap(({ conversation: { requests, responses } }) =>
      [...requests, ...responses].map((der) => parsePkiBody(parsePkiMessage(der).bodyDer).kind),
    );
    const expected: readonly BodyKind[] = [
      ...(['ir', 'ip', 'cr', 'cp', 'kur', 'kup', 'rr', 'rp', 'genm', 'genp'] as const),
      ...(['certConf', 'pkiconf', 'pollReq', 'pollRep', 'error'] as const),
    ];
    expect(new Set(kinds)).toEqual(new Set(expected));
  });

  it('with an octet changed anywhere: refused with an Asn1Error, or written again as it came', () => {
    const all = messages.flatMap(({ conversation }) => [...conversation.requests, ...conversation.responses]);
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.nat(), fc.integer({ min: 1, max: 255 }), (der, at, change) => {
        const changed = Buffer.from(der);
        changed[at % changed.length]! ^= change;
        try {
          return Buffer.from(rewritten(changed)).equals(changed);
        } catch (error) {
          return error instanceof Asn1Error;
        }
      }),
      { numRuns: 4_000 },
    );
  });
});

describe('any octets', () => {
  it('are refused with an Asn1Error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
        expect(() => parsePkiMessage(octets)).toThrow(Asn1Error);
        expect(() => parsePkiBody(octets)).toThrow(Asn1Error);
      }),
    );
  });

  it('are not looked at beyond the size of a message', () => {
    expect(() => parsePkiMessage(new Uint8Array(MAX_MESSAGE_OCTETS + 1))).toThrow(/at most 262144 octets/);
  });

  it('that do not fill the last octet of a protection are refused', () => {
    const [first] = messages[0]!.conversation.requests;
    const { protection } = parsePkiMessage(first!);
    const der = Buffer.from(first!);
    const at = der.indexOf(protection!) - 1;
    der[at] = 1;
    der[at + protection!.length]! &= 0xfe;
    expect(() => parsePkiMessage(der)).toThrow(/whole octets/);
  });
});

describe('decode(encode(x)) is x', () => {
  const octets = fc.uint8Array({ maxLength: 40 });
  const tlv = octets.map((bytes) => Uint8Array.of(0x04, bytes.length, ...bytes));
  const text = fc.string({ unit: 'grapheme', maxLength: 20 });
  const freeText = fc.array(text, { minLength: 1, maxLength: 3 });
  const id = fc.integer({ min: -1, max: 1000 });
  const status = fc.record(
    {
      status: fc.integer({ min: 0, max: 6 }),
      statusString: freeText,
      failInfo: fc
        .uniqueArray(fc.constantFrom('badAlg', 'badPOP', 'duplicateCertReq', 'systemFailure'), { minLength: 1 })
        .map((bits) => new Set(bits)),
    },
    { requiredKeys: ['status'] },
  );
  const algorithm = fc.record(
    { algorithm: fc.constantFrom('1.2.3', '2.16.840.1.101.3.4.2.1'), parameters: tlv },
    { requiredKeys: ['algorithm'] },
  );
  const info = fc.record(
    { infoType: fc.constantFrom('1.2.3', '1.3.6.1.5.5.7.4.17'), infoValue: tlv },
    { requiredKeys: ['infoType'] },
  );
  const name = fc.constantFrom('CN=router1', 'O=Muster,CN=a+serialNumber=b', '').map((dn) => nameFromText(dn));
  const generalName = fc.oneof(
    name.map((value) => ({ kind: 'directoryName', value }) as const),
    fc.constantFrom('a@example', '').map((value) => ({ kind: 'rfc822Name', value }) as const),
  );
  const bits = octets.map((bytes) => ({ unusedBits: 0, bytes }));
  const encrypted = fc.oneof(
    fc
      .record({ symmAlg: algorithm, encSymmKey: bits, keyAlg: algorithm, encValue: bits })
      .map((value) => ({ kind: 'encryptedValue', value }) as const),
    octets.map((bytes) => ({ kind: 'envelopedData', value: Uint8Array.of(0xa0, bytes.length, ...bytes) }) as const),
  );
  const certRepMessage = fc.record(
    {
      caPubs: fc.array(tlv, { minLength: 1, maxLength: 2 }),
      response: fc.array(
        fc.record(
          {
            certReqId: id,
            status,
            certifiedKeyPair: fc.record(
              {
                certOrEncCert: fc.oneof(
                  tlv.map((value) => ({ kind: 'certificate', value }) as const),
                  encrypted.map((value) => ({ kind: 'encryptedCert', value }) as const),
                ),
                privateKey: encrypted,
              },
              { requiredKeys: ['certOrEncCert'] },
            ),
          },
          { requiredKeys: ['certReqId', 'status'] },
        ),
        { maxLength: 2 },
      ),
    },
    { requiredKeys: ['response'] },
  );
  const serialNumber = fc.constantFrom(Uint8Array.of(1), Uint8Array.of(0, 0x80), Uint8Array.of(0x7f, 1, 2));
  const template = fc.record(
    {
      version: fc.constant(2),
      serialNumber,
      signingAlg: algorithm,
      issuer: name,
      validity: fc.record(
        { notBefore: fc.constant(new Date(0)), notAfter: fc.constant(new Date(4e12)) },
        { requiredKeys: [] },
      ),
      subject: name,
      publicKey: fc.record({ algorithm, subjectPublicKey: bits }),
      issuerUID: bits,
      extensions: fc.constant([
        EXTENSIONS.reasonCode.encode(1),
        EXTENSIONS.keyUsage.encode(new Set(['digitalSignature'] as const)),
      ]),
    },
    { requiredKeys: [] },
  );
  const bodies: Partial<Record<BodyKind, fc.Arbitrary<unknown>>> = {
    ip: certRepMessage,
    p10cr: tlv,
    rr: fc.array(
      fc.record(
        { certDetails: template, crlEntryDetails: fc.constant([EXTENSIONS.reasonCode.encode(4)]) },
        { requiredKeys: ['certDetails'] },
      ),
      { maxLength: 2 },
    ),
    rp: fc.record(
      {
        status: fc.array(status, { minLength: 1, maxLength: 2 }),
        revCerts: fc.array(fc.record({ issuer: generalName, serialNumber }), { minLength: 1, maxLength: 2 }),
        crls: fc.array(tlv, { minLength: 1, maxLength: 1 }),
      },
      { requiredKeys: ['status'] },
    ),
    pkiconf: fc.constant(null),
    nested: fc.array(tlv, { minLength: 1, maxLength: 3 }),
    genm: fc.array(info, { maxLength: 3 }),
    error: fc.record(
      { pKIStatusInfo: status, errorCode: fc.integer(), errorDetails: freeText },
      { requiredKeys: ['pKIStatusInfo'] },
    ),
    certConf: fc.array(
      fc.record(
        { certHash: octets, certReqId: id, statusInfo: status, hashAlg: algorithm },
        { requiredKeys: ['certHash', 'certReqId'] },
      ),
      { maxLength: 2 },
    ),
    pollReq: fc.array(fc.record({ certReqId: id }), { maxLength: 2 }),
    pollRep: fc.array(
      fc.record(
        { certReqId: id, checkAfter: fc.nat(), reason: freeText },
        { requiredKeys: ['certReqId', 'checkAfter'] },
      ),
      { maxLength: 2 },
    ),
  };

  it.each(Object.keys(bodies) as BodyKind[])('%s', (kind) => {
    fc.assert(
      fc.property(bodies[kind]!, (value) => {
        const body = { kind, value } as PkiBody;
        expect(decode(pkiBody, encode(pkiBody, body))).toEqual(body);
      }),
      { numRuns: 60 },
    );
  });

  it('PKIHeader and the message around it', () => {
    const header = fc.record(
      {
        pvno: fc.integer({ min: 1, max: 3 }),
        sender: generalName,
        recipient: generalName,
        messageTime: fc.constant(new Date(1_700_000_000_000)),
        senderKID: octets,
        recipKID: octets,
        transactionID: octets,
        senderNonce: octets,
        recipNonce: octets,
        freeText,
        generalInfo: fc.array(info, { minLength: 1, maxLength: 3 }),
      },
      { requiredKeys: ['pvno', 'sender', 'recipient'] },
    );
    const extraCerts = fc.array(tlv, { maxLength: 3 });
    fc.assert(
      fc.property(header, fc.option(octets), extraCerts, (value, protection, certificates) => {
        const unprotected = encodeUnprotected(value, { kind: 'pkiconf', value: null });
        const der = encodePkiMessage(unprotected, protection ?? undefined, certificates);
        const read = parsePkiMessage(der);
        expect(read.header).toEqual(value);
        expect(read.protection).toEqual(protection ?? undefined);
        expect(read.extraCerts).toEqual(certificates);
        expect(Buffer.from(read.protectedPart).equals(unprotected.protectedPart)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the key of a template', () => {
  it('is the SubjectPublicKeyInfo that came under an implicit tag', () => {
    const spki = spkiOf(makeKey('ec-p256'));
    const wire = { algorithm: { algorithm: '1.2.840.10045.2.1', parameters: spki.der.subarray(13, 23) } };
    const der = encode(certTemplate, {
      publicKey: { ...wire, subjectPublicKey: { unusedBits: 0, bytes: spki.keyBytes } },
    });
    expect(publicKeyOf(parseCertTemplate(der))?.der).toEqual(new Uint8Array(spki.der));
  });

  it('is to be made where its BIT STRING is empty, or where there is none', () => {
    const algorithm = { algorithm: '1.2.840.113549.1.1.1' };
    const subjectPublicKey = { unusedBits: 0, bytes: new Uint8Array() };
    expect(publicKeyOf({ publicKey: { algorithm, subjectPublicKey } })).toBeUndefined();
    expect(publicKeyOf({})).toBeUndefined();
  });

  it('is refused where it is none', () => {
    const publicKey = {
      algorithm: { algorithm: '1.2.3' },
      subjectPublicKey: { unusedBits: 0, bytes: Uint8Array.of(1) },
    };
    expect(() => publicKeyOf({ publicKey })).toThrow(Asn1Error);
  });
});
