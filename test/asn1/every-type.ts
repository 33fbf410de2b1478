import {
  any,
  bitString,
  bitStringOf,
  bmpString,
  boolean,
  choice,
  defaulted,
  enumerated,
  explicit,
  generalizedTime,
  ia5String,
  implicit,
  integer,
  lazily,
  namedBits,
  nullValue,
  numericString,
  octetString,
  octetStringOf,
  oid,
  optional,
  printableString,
  sequence,
  sequenceOf,
  serialInteger,
  set,
  setOf,
  smallInteger,
  t61String,
  time,
  universalString,
  utcTime,
  utf8String,
  visibleString,
  withDer,
} from '../../core/asn1/schema.ts';
import type { Infer, Schema } from '../../core/asn1/schema.ts';

/** A type in terms of itself, as GeneralName is. */
export type Tree =
  | { readonly kind: 'leaf'; readonly value: number }
  | { readonly kind: 'branch'; readonly value: readonly Tree[] };

/** Recursion through a CHOICE. */
export const TreeSchema: Schema<Tree> = choice('Tree', {
  leaf: smallInteger,
  branch: implicit(0, sequenceOf(lazily((): Schema<Tree> => TreeSchema))),
});

/** One component of every constructor. */
export const EveryType = sequence('EveryType', {
  boolean,
  integer,
  smallInteger,
  serialInteger,
  enumerated,
  bitString,
  namedBits: namedBits({ digitalSignature: 0, keyCertSign: 5, decipherOnly: 8 }),
  octetString,
  octetStringOf: octetStringOf(sequence('Inner', { inner: integer })),
  bitStringOf: bitStringOf(sequence('Inner', { inner: integer })),
  nullValue,
  oid,
  texts: sequence('Texts', {
    utf8String,
    printableString,
    ia5String,
    t61String,
    bmpString,
    visibleString,
    numericString,
    universalString,
  }),
  times: sequence('Times', { utcTime, generalizedTime, time }),
  any,
  optional: optional(explicit(0, utf8String)),
  implicit: optional(implicit(1, octetString)),
  highTag: optional(explicit(701, integer)),
  defaulted: defaulted(implicit(2, smallInteger), 7),
  set: set('Set', { number: integer, flag: optional(boolean), tagged: implicit(3, oid) }),
  setOf: setOf(integer, { max: 100 }),
  sequenceOf: sequenceOf(boolean, { min: 1, max: 100 }),
  withDer: withDer(sequence('Signed', { version: smallInteger })),
  tree: implicit(9, TreeSchema),
});

/** A value with every component. */
export function everyTypeExample(): Infer<typeof EveryType> {
  return {
    boolean: true,
    integer: -(2n ** 200n),
    smallInteger: -129,
    serialInteger: Uint8Array.of(0, 0x8f, 1),
    enumerated: 3,
    bitString: { unusedBits: 3, bytes: Uint8Array.of(0xff, 0xf8) },
    namedBits: new Set(['digitalSignature', 'decipherOnly'] as const),
    octetString: Uint8Array.of(1, 2, 3),
    octetStringOf: { inner: 1n },
    bitStringOf: { inner: 128n },
    nullValue: null,
    oid: '2.25.329800735698586629295641978511506172918',
    texts: {
      utf8String: 'Zürich 💡',
      printableString: 'Router 1',
      ia5String: 'a@b',
      t61String: 'é',
      bmpString: 'Привет',
      visibleString: '~',
      numericString: '0 1',
      universalString: '💡',
    },
    times: {
      utcTime: new Date('1999-12-31T23:59:59Z'),
      generalizedTime: new Date('0099-02-28T00:00:00Z'),
      time: new Date('9999-12-31T23:59:59Z'),
    },
    any: Uint8Array.of(0x05, 0x00),
    optional: 'here',
    implicit: new Uint8Array(200),
    highTag: 1n,
    defaulted: 8,
    set: { number: 1n, flag: false, tagged: '1.2.3' },
    setOf: [1n, 2n, 256n],
    sequenceOf: [true, false],
    withDer: { value: { version: 1 }, der: Uint8Array.of(0x30, 3, 2, 1, 1) },
    tree: {
      kind: 'branch',
      value: [
        { kind: 'leaf', value: 1 },
        { kind: 'branch', value: [] },
      ],
    },
  };
}
