import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import {
  type GeneralName,
  generalNameFromText,
  generalNameKey,
  generalNameToText,
} from '../../core/x509/general-name.ts';
import { ipAddressFromText, ipAddressToText } from '../../core/x509/ip-address.ts';
import { hardwareModuleNameOf, permanentIdentifierOf, userPrincipalNameOf } from '../../core/x509/other-name.ts';
import { X509Error } from '../../core/x509/x509-error.ts';
import { isIP } from 'node:net';
import { TestAuthority } from '../support/test-pki.ts';
import { openssl } from './openssl.ts';

const texts = [
  'dns:router1.example',
  'email:noc@example.net',
  'uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  'uri:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1',
  'ip:192.0.2.1',
  'ip:2001:db8::1',
  'ip:192.0.2.0/255.255.255.0',
  'ip:#010203',
  'dirname:CN=r1,O=Example',
  'rid:1.2.3.4',
  'upn:device@example.net',
  'hwmodule:1.3.6.1.4.1.9.1;464f43',
  'permanentid:FOC;2034;1.2.3',
  'permanentid:FOC;',
  'othername:1.2.3.4;0c0161',
  'x400:a30430023000',
  'edi:a5038001aa',
];

describe('text', () => {
  it.each(texts)('%s survives text and DER', (text) => {
    const name = generalNameFromText(text);
    expect(generalNameToText(name)).toBe(text);
    const [decoded] = EXTENSIONS.subjectAltName.decode(EXTENSIONS.subjectAltName.encode([name]).value);
    expect(generalNameToText(decoded!)).toBe(text);
    expect(decoded!.kind).toBe(name.kind);
  });

  it.each([
    '',
    'router1',
    'foo:bar',
    'ip:1.2.3',
    'ip:01.2.3.4',
    'dns:rüter',
    'rid:x',
    'hwmodule:1.2;zz',
    'hwmodule:zz;00',
    'x400:1',
    '__proto__:x',
  ])('refuses %j', (text) => {
    expect(() => generalNameFromText(text)).toThrow(Asn1Error);
  });

  it('shows an otherName of a known type with a wrong value in its raw form', () => {
    const wrong: GeneralName = {
      kind: 'otherName',
      value: { typeId: '1.3.6.1.4.1.311.20.2.3', value: Uint8Array.of(5, 0) },
    };
    expect(generalNameToText(wrong)).toBe('othername:1.3.6.1.4.1.311.20.2.3;0500');
  });
});

describe('typed otherNames', () => {
  it('decodes each by its type-id', () => {
    const names = ['upn:a@b', 'hwmodule:1.2.3;0102', 'permanentid:x;1.2'].map(generalNameFromText);
    const [upn, module, permanent] = names.map((name) => (name.kind === 'otherName' ? name.value : undefined));
    expect(userPrincipalNameOf(upn!)).toBe('a@b');
    expect(hardwareModuleNameOf(module!)).toEqual({ hwType: '1.2.3', hwSerialNum: Uint8Array.of(1, 2) });
    expect(permanentIdentifierOf(permanent!)).toEqual({ identifierValue: 'x', assigner: '1.2' });
    expect(userPrincipalNameOf(module!)).toBeUndefined();
  });
});

describe('comparison', () => {
  it.each([
    ['dns:Router1.EXAMPLE', 'dns:router1.example', true],
    ['email:Noc@EXAMPLE.net', 'email:Noc@example.net', true],
    ['email:NOC@example.net', 'email:noc@example.net', false],
    ['dirname:CN=A', 'dirname:cn=a', true],
    ['ip:2001:db8::1', 'ip:2001:db8:0:0::1', true],
    ['uri:http://a', 'uri:http://A', false],
    ['dns:a', 'email:a', false],
    ['upn:a@b', 'upn:a@b', true],
    ['upn:a@b', 'upn:A@b', false],
    ['othername:1.2.3;0500', 'othername:1.2.4;0500', false],
    ['x400:a30430023000', 'x400:A30430023000', true],
    ['edi:a5038001aa', 'edi:a5038001ab', false],
    ['rid:1.2.3', 'rid:1.2.3', true],
  ])('%s and %s: %s', (a, b, equal) => {
    expect(generalNameKey(generalNameFromText(a)) === generalNameKey(generalNameFromText(b))).toBe(equal);
  });
});

it('openssl reads what is written', () => {
  const san = [
    'dns:a.example',
    'ip:2001:db8::1',
    'email:a@b.example',
    'uri:http://c.example/',
    'rid:1.2.3.4',
    'upn:u@d',
  ];
  const { der } = TestAuthority.root().leaf({ san });
  const printed = openssl(['x509', '-inform', 'DER', '-noout', '-ext', 'subjectAltName'], der).toString();
  expect(printed).toContain(
    'DNS:a.example, IP Address:2001:DB8:0:0:0:0:0:1, email:a@b.example, URI:http://c.example/, Registered ID:1.2.3.4, othername: UPN::u@d',
  );
});

describe('IP addresses', () => {
  it.each([0, 3, 5, 8, 17])('%i octets are none', (length) => {
    expect(() => ipAddressToText(new Uint8Array(length))).toThrow(
      expect.objectContaining({ path: 'iPAddress', expected: '4 or 16 octets', found: `${length} octets` }),
    );
  });

  it.each([
    ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ])('%s is canonically %s (RFC 5952)', (text, canonical) => {
    expect(ipAddressToText(ipAddressFromText(text))).toBe(canonical);
  });

  it.each([
    '1.2.3.256',
    '1.2.3.4.5',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1%eth0',
    '1.2.3.4::',
    '::1.2.3',
    '',
  ])('refuses %j', (text) => {
    expect(() => ipAddressFromText(text)).toThrow(X509Error);
  });

  it('accepts what node:net accepts, and gives every address back', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        expect(isIP(text)).not.toBe(0);
        const canonical = ipAddressToText(ipAddressFromText(text));
        expect(ipAddressToText(ipAddressFromText(canonical))).toBe(canonical);
        expect(canonical).toBe(text.includes(':') ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : text);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('0', '1', 'f', ':', '.', 'g') }), (text) => {
        const accepted = ((): boolean => {
          try {
            return ipAddressFromText(text).length > 0;
          } catch {
            return false;
          }
        })();
        expect(accepted).toBe(isIP(text) !== 0);
      }),
    );
  });
});
