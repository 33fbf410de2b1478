import { describe, expect, it } from 'vitest';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { encode } from '../../core/asn1/codec.ts';
import { any, generalizedTime, nullValue, sequenceOf, utf8String } from '../../core/asn1/schema.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { confirmWaitTime, IMPLICIT_CONFIRM, readGeneralInfo } from '../../protocols/cmp/general-info.ts';
import { checkFirst, checkHeader, checkMacSender, checkNonces } from '../../protocols/cmp/header-rules.ts';
import { INFO_TYPE } from '../../protocols/cmp/oids.ts';
import { parseAlias, parseWellKnownPath } from '../../protocols/cmp/path.ts';
import type { PkiHeader } from '../../protocols/cmp/pki-header.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const directoryName = (dn: string): PkiHeader['sender'] => ({ kind: 'directoryName', value: nameFromText(dn) });
const octets = (length: number, fill = 1): Uint8Array => Buffer.alloc(length, fill);

/** A header that RFC 9483 finds nothing to say about. */
const GOOD: PkiHeader = {
  pvno: 2,
  sender: directoryName('CN=ref-1'),
  recipient: directoryName(''),
  messageTime: new Date(NOW),
  senderKID: Buffer.from('ref-1'),
  transactionID: octets(16),
  senderNonce: octets(16),
};
const STRICT = { conformance: 'lightweight', clockSkewSeconds: 300 } as const;
const TOLERANT = { conformance: 'tolerant', clockSkewSeconds: 0 } as const;

function failInfo(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { failInfo?: string }).failInfo;
  }
}

describe('a header', () => {
  it('without a fault passes', () => {
    expect(failInfo(() => checkHeader(GOOD, STRICT, NOW))).toBeUndefined();
    expect(failInfo(() => checkHeader({ ...GOOD, pvno: 3 }, STRICT, NOW))).toBeUndefined();
  });

  it.each([
    ['version 1', { pvno: 1 }, 'unsupportedVersion', 'unsupportedVersion'],
    ['version 4', { pvno: 4 }, 'unsupportedVersion', 'unsupportedVersion'],
    ['no transactionID', { transactionID: undefined }, 'badDataFormat', 'badDataFormat'],
    ['an empty transactionID', { transactionID: octets(0) }, 'badDataFormat', 'badDataFormat'],
    ['a transactionID of 8 octets', { transactionID: octets(8) }, 'badDataFormat', undefined],
    ['a transactionID of 65 octets', { transactionID: octets(65) }, 'badDataFormat', 'badDataFormat'],
    ['no senderNonce', { senderNonce: undefined }, 'badSenderNonce', 'badSenderNonce'],
    ['a senderNonce of 8 octets', { senderNonce: octets(8) }, 'badSenderNonce', undefined],
    ['no messageTime', { messageTime: undefined }, 'badTime', undefined],
    ['a messageTime ten minutes ago', { messageTime: new Date(NOW - 600_000) }, 'badTime', undefined],
    ['a messageTime in ten minutes', { messageTime: new Date(NOW + 600_000) }, 'badTime', undefined],
  ] as const)('with %s', (_name, change, strictly, tolerantly) => {
    const header = { ...GOOD, ...change };
    expect(failInfo(() => checkHeader(header, STRICT, NOW))).toBe(strictly);
    expect(failInfo(() => checkHeader(header, TOLERANT, NOW))).toBe(tolerantly);
  });

  it('of the first message echoes no nonce, strictly', () => {
    const header = { ...GOOD, recipNonce: octets(16) };
    expect(failInfo(() => checkFirst(header, STRICT))).toBe('badRecipientNonce');
    expect(failInfo(() => checkFirst(header, TOLERANT))).toBeUndefined();
    expect(failInfo(() => checkFirst(GOOD, STRICT))).toBeUndefined();
  });

  it('of a later message echoes ours and brings a new one', () => {
    const ours = octets(16, 7);
    const before = octets(16, 8);
    expect(failInfo(() => checkNonces({ ...GOOD, recipNonce: ours }, ours, before))).toBeUndefined();
    expect(failInfo(() => checkNonces(GOOD, ours, before))).toBe('badRecipientNonce');
    expect(failInfo(() => checkNonces({ ...GOOD, recipNonce: before }, ours, before))).toBe('badRecipientNonce');
    const repeated = { ...GOOD, recipNonce: ours, senderNonce: before };
    expect(failInfo(() => checkNonces(repeated, ours, before))).toBe('badSenderNonce');
  });

  it('with a MAC names its reference as sender', () => {
    expect(failInfo(() => checkMacSender(GOOD))).toBeUndefined();
    for (const change of [
      { sender: directoryName('CN=ref-2') },
      { sender: directoryName('O=ref-1') },
      { sender: directoryName('CN=ref-1,CN=ref-1') },
      { sender: { kind: 'rfc822Name', value: 'ref-1' } },
      { senderKID: undefined },
    ] as const) {
      expect(failInfo(() => checkMacSender({ ...GOOD, ...change }))).toBe('badMessageCheck');
    }
  });
});

describe('generalInfo', () => {
  const withInfo = (...generalInfo: NonNullable<PkiHeader['generalInfo']>): PkiHeader => ({ ...GOOD, generalInfo });
  const certProfile = (names: readonly string[]): { infoType: string; infoValue: Uint8Array } => ({
    infoType: INFO_TYPE.certProfile,
    infoValue: encode(sequenceOf(utf8String), names),
  });

  it('may be absent, and may hold what nobody knows', () => {
    const nothing = { implicitConfirm: false, certProfiles: [], originalMessages: [] };
    expect(readGeneralInfo(GOOD)).toEqual(nothing);
    expect(
      readGeneralInfo(withInfo({ infoType: '1.2.3' }, { infoType: '1.2.3', infoValue: Uint8Array.of(5, 0) })),
    ).toEqual(nothing);
  });

  it('asks for implicit confirmation, names profiles, brings original messages', () => {
    const original = encode(sequenceOf(any), [encode(nullValue, null)]);
    const { implicitConfirm, certProfiles, originalMessages } = readGeneralInfo(
      withInfo(IMPLICIT_CONFIRM, certProfile(['device']), { infoType: INFO_TYPE.origPKIMessage, infoValue: original }),
    );
    expect({ implicitConfirm, certProfiles }).toEqual({ implicitConfirm: true, certProfiles: ['device'] });
    expect(originalMessages).toHaveLength(1);
  });

  it('does not contradict itself', () => {
    expect(failInfo(() => readGeneralInfo(withInfo(IMPLICIT_CONFIRM, confirmWaitTime(NOW))))).toBe('badRequest');
    expect(failInfo(() => readGeneralInfo(withInfo(IMPLICIT_CONFIRM, IMPLICIT_CONFIRM)))).toBe('badRequest');
  });

  it('has values of their types', () => {
    const implicitConfirm = { infoType: INFO_TYPE.implicitConfirm };
    expect(failInfo(() => readGeneralInfo(withInfo(implicitConfirm)))).toBe('badDataFormat');
    const wrong = encode(generalizedTime, new Date(NOW));
    expect(() => readGeneralInfo(withInfo({ ...implicitConfirm, infoValue: wrong }))).toThrow(Asn1Error);
    expect(() => readGeneralInfo(withInfo(certProfile([])))).toThrow(Asn1Error);
  });

  it('tells the time of confirmation in whole seconds', () => {
    expect(confirmWaitTime(NOW + 999).infoValue).toEqual(encode(generalizedTime, new Date(NOW)));
  });
});

describe('a path below /.well-known/cmp', () => {
  it.each([
    ['', { label: undefined, operation: undefined }],
    ['initialization', { label: undefined, operation: 'initialization' }],
    ['p/site-1', { label: 'site-1', operation: undefined }],
    ['p/site-1/', { label: 'site-1', operation: undefined }],
    ['p/site-1/getcrls', { label: 'site-1', operation: 'getcrls' }],
    ['p/nested', { label: 'nested', operation: undefined }],
  ])('%s', (path, route) => {
    expect(parseWellKnownPath(path)).toEqual(route);
  });

  it.each(['p', 'p/', 'p//nested', 'x', 'p/Site', 'p/a/b', 'p/a/nested/x', 'initialization/x', 'p/a/toString', '//'])(
    'is none: %s',
    (path) => {
      expect(parseWellKnownPath(path)).toBeUndefined();
    },
  );

  it('of another CA is a label', () => {
    expect(parseAlias('site-1')).toEqual({ label: 'site-1', operation: undefined });
    expect(parseAlias('site-1/')).toEqual({ label: 'site-1', operation: undefined });
    expect(parseAlias('a/b')).toBeUndefined();
  });
});
