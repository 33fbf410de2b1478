import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { berToDer } from '../../core/asn1/ber.ts';
import { seedFile } from '../fuzz/seed-files.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const EMPTY_SEQUENCE = '3000';

const REWRITTEN: readonly (readonly [what: string, ber: string, der: string])[] = [
  ['an indefinite length', '30 80 02 01 01 00 00', '30 03 02 01 01'],
  ['indefinite lengths in each other', '30 80 a0 80 30 80 00 00 00 00 00 00', '30 04 a0 02 30 00'],
  ['a non-minimal length', '04 82 00 01 ff', '04 01 ff'],
  ['a length of 9 octets', '04 88 00 00 00 00 00 00 00 01 ff', '04 01 ff'],
  ['a constructed OCTET STRING', '24 08 04 02 01 02 04 02 03 04', '04 04 01 02 03 04'],
  ['one without segments', '24 80 00 00', '04 00'],
  ['one in itself', '24 80 24 80 04 01 01 00 00 04 01 02 00 00', '04 02 01 02'],
  ['a constructed BIT STRING', '23 80 03 02 00 0a 03 02 04 f0 00 00', '03 03 04 0a f0'],
  ['a BIT STRING without segments', '23 00', '03 01 00'],
  ['a constructed UTF8String of OCTET STRINGs', '2c 06 04 01 61 04 01 62', '0c 02 61 62'],
  ['a constructed IA5String of its own kind', '36 06 16 01 61 16 01 62', '16 02 61 62'],
  ['a BOOLEAN of 01', '01 01 01', '01 01 ff'],
  ['unused bits that are one', '03 02 04 ff', '03 02 04 f0'],
  [
    'constructed encrypted content',
    `30 80 06 01 2a ${EMPTY_SEQUENCE} a0 80 04 01 01 04 01 02 00 00 00 00`,
    `30 09 06 01 2a ${EMPTY_SEQUENCE} 80 02 01 02`,
  ],
  ['explicit content', '30 80 06 01 2a a0 80 24 80 04 01 01 00 00 00 00 00 00', '30 08 06 01 2a a0 03 04 01 01'],
  [
    'what stands where encrypted content would, and is none',
    `30 80 06 01 2a ${EMPTY_SEQUENCE} a0 80 02 01 01 00 00 00 00`,
    `30 0a 06 01 2a ${EMPTY_SEQUENCE} a0 03 02 01 01`,
  ],
  ['an unsorted SET (its order is kept)', '31 80 02 01 02 02 01 01 00 00', '31 06 02 01 02 02 01 01'],
];

const REFUSED: readonly (readonly [what: string, ber: string, expected: string])[] = [
  ['nothing', '', 'an encoding'],
  ['an indefinite length without an end', '30 80 02 01 01', 'an encoding'],
  ['half an end', '30 80 00', 'end-of-contents'],
  ['an end with a length', '30 80 00 01 00', 'end-of-contents'],
  ['an end outside an indefinite length', '30 02 00 00', 'an encoding'],
  ['an indefinite primitive', '04 80 01 00 00', 'a definite length'],
  ['trailing octets', '05 00 00', 'the end of the input'],
  ['a segment of another type', '24 03 02 01 01', 'a segment of a string'],
  ['an OCTET STRING in a BIT STRING', '23 03 04 01 01', 'a segment of a string'],
  ['unused bits before the last segment', '23 08 03 02 04 f0 03 02 00 00', 'whole octets'],
  ['a BIT STRING without its count', '03 00', 'a BIT STRING'],
  ['a length past the end', '04 84 ff ff ff ff', 'a length of at most'],
  ['a length of 126 octets', `04 fe ${'ff'.repeat(126)}`, 'a length of at most'],
];

describe('berToDer', () => {
  it.each(REWRITTEN)('rewrites %s', (_, ber, der) => {
    expect(Buffer.from(berToDer(hex(ber))).toString('hex')).toBe(Buffer.from(hex(der)).toString('hex'));
    expect(berToDer(hex(der))).toEqual(hex(der));
  });

  it.each(REFUSED)('refuses %s', (_, ber, expected) => {
    const run = (): unknown => berToDer(hex(ber));
    expect(run).toThrow(Asn1Error);
    expect(run).toThrow(expected);
  });

  it('returns DER as it is', () => {
    const der = seedFile('signed-data');
    expect(berToDer(der)).toBe(der);
  });

  it.each(['signed-data-ber', 'enveloped-data-rsa-ber'])('gives the octets that openssl gives for %s', (name) => {
    const ber = seedFile(name);
    const oracle = execFileSync('openssl', ['cms', '-cmsout', '-inform', 'DER', '-outform', 'DER'], { input: ber });
    expect(Buffer.from(berToDer(ber)).equals(oracle)).toBe(true);
  });

  it('takes the places of implicit strings from its caller', () => {
    const rule = { after: [0x02], tagNumber: 1 };
    const ber = hex('30 80 02 01 01 a1 80 04 01 07 00 00 00 00');
    expect(berToDer(ber, {}, [rule])).toEqual(hex('30 06 02 01 01 81 01 07'));
    expect(berToDer(ber)).toEqual(hex('30 08 02 01 01 a1 03 04 01 07'));
  });

  it('bounds depth, size and number', () => {
    const deep = hex('3080'.repeat(10_000));
    expect(() => berToDer(deep)).toThrow('at most 32 levels');
    expect(() => berToDer(deep, { maxDepth: 1e9 })).toThrow('at most 128 levels');
    expect(() => berToDer(hex('04 01 00'), { maxBytes: 2 })).toThrow('at most 2 octets');
    expect(() => berToDer(hex(`30 80 ${'0500'.repeat(9000)} 00 00`))).toThrow('at most 8192 items');
  });

  it('answers or refuses any octets, and its answer is DER', () => {
    const telling = fc.constantFrom(0x30, 0x80, 0x24, 0x04, 0x03, 0x23, 0x00, 0x01, 0x02, 0xa0, 0x06, 0xff, 0x81);
    fc.assert(
      fc.property(fc.array(fc.oneof(telling, fc.nat(255)), { maxLength: 60 }), (octets) => {
        const der = orUndefined(() => berToDer(Uint8Array.from(octets)));
        if (der !== undefined) expect(berToDer(der)).toEqual(der);
      }),
      { numRuns: 5000 },
    );
  });
});

function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(Asn1Error);
    return undefined;
  }
}
