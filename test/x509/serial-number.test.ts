import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseSerialNumber, serialNumberFromOctets, serialNumberOctets } from '../../core/x509/serial-number.ts';
import { X509Error } from '../../core/x509/x509-error.ts';

it.each([
  ['a', '0a'],
  ['00FF', 'ff'],
  ['5A:25:8e', '5a258e'],
])('reads %s as %s', (text, serial) => {
  expect(parseSerialNumber(text)).toBe(serial);
});

it.each(['', '0', '00', '-1', 'xyz', '1'.repeat(41)])('refuses %j', (text) => {
  expect(() => parseSerialNumber(text)).toThrow(X509Error);
});

it.each([
  [[0x00, 0xff], 'ff'],
  [[0x7f], '7f'],
  [[0x00], '00'],
  // A negative serial number, as Cisco IOS writes into its temporary certificates: magnitude with a sign.
  [[0xff], '-01'],
  [[0x80], '-80'],
  [[0xff, 0x7f], '-81'],
])('octets %j are %s, and back', (octets, serial) => {
  expect(serialNumberFromOctets(Uint8Array.from(octets))).toBe(serial);
  expect([...serialNumberOctets(serialNumberFromOctets(Uint8Array.from(octets)))]).toEqual(octets);
});

it('keeps any integer', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 159n), max: 2n ** 159n }), (value) => {
      const text = value.toString(16).replace('-', '');
      const even = text.length % 2 === 0 ? text : `0${text}`;
      const serial = serialNumberFromOctets(serialNumberOctets((value < 0n ? `-${even}` : even) as never));
      expect(serial).toBe(value < 0n ? `-${even}` : even);
    }),
  );
});

it('bounds what it reads', () => {
  expect(() => serialNumberFromOctets(new Uint8Array(65).fill(1))).toThrow(X509Error);
});
