import { Asn1Error } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import { tagged } from './schema-type.ts';
import type { Contents, Schema } from './schema-type.ts';
import type { Writer } from './writer.ts';

/** PrintableString: letters, digits, space and `'()+,-./:=?` (X.680 §41.4). */
export const printableString: Schema<string> = tagged(
  UNIVERSAL.printableString,
  octetPerCharacter('PrintableString', (octet) => /[A-Za-z0-9 '()+,\-./:=?]/.test(String.fromCharCode(octet))),
);

/** IA5String: the 128 characters of ASCII, controls included. */
export const ia5String: Schema<string> = tagged(
  UNIVERSAL.ia5String,
  octetPerCharacter('IA5String', (octet) => octet < 0x80),
);

/** VisibleString: ASCII without controls. */
export const visibleString: Schema<string> = tagged(
  UNIVERSAL.visibleString,
  octetPerCharacter('VisibleString', (octet) => octet >= 0x20 && octet < 0x7f),
);

/** NumericString: digits and space. */
export const numericString: Schema<string> = tagged(
  UNIVERSAL.numericString,
  octetPerCharacter('NumericString', (octet) => octet === 0x20 || (octet >= 0x30 && octet <= 0x39)),
);

/** TeletexString, read and written as ISO 8859-1: what every certificate that still has one means by it. */
export const t61String: Schema<string> = tagged(
  UNIVERSAL.t61String,
  octetPerCharacter('T61String', () => true),
);

/** UTF8String: well-formed, shortest form, no surrogates. */
export const utf8String: Schema<string> = tagged(UNIVERSAL.utf8String, {
  typeName: 'UTF8String',
  constructed: false,
  read(reader, end) {
    const { bytes, offset } = reader;
    reader.offset = end;
    let at = offset;
    while (at < end && bytes[at]! < 0x80) at++;
    if (at === end) return reader.latin1(offset, end);
    try {
      return strictUtf8.decode(bytes.subarray(offset, end));
    } catch {
      throw reader.fault('UTF-8', 'other octets', offset);
    }
  },
  write(writer, value) {
    if (!value.isWellFormed()) throw new Asn1Error('Unicode text', 'a lone surrogate', -1);
    if (!writeAscii(writer, value)) writer.octets(utf8Encoder.encode(value));
  },
});

/** BMPString: two octets a character, no surrogates (X.690 §8.23.8). */
export const bmpString: Schema<string> = tagged(UNIVERSAL.bmpString, fixedWidth('BMPString', 2, 0xffff));

/** UniversalString: four octets a character. */
export const universalString: Schema<string> = tagged(
  UNIVERSAL.universalString,
  fixedWidth('UniversalString', 4, 0x10ffff),
);

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

function octetPerCharacter(typeName: string, allows: (octet: number) => boolean): Contents<string> {
  const allowed = Uint8Array.from({ length: 256 }, (_, octet) => (allows(octet) ? 1 : 0));
  return {
    typeName,
    constructed: false,
    read(reader, end) {
      const { bytes, offset } = reader;
      for (let at = offset; at < end; at++) {
        if (allowed[bytes[at]!] !== 1) throw reader.fault(typeName, `octet ${hex(bytes[at]!)}`, at);
      }
      reader.offset = end;
      return reader.latin1(offset, end);
    },
    write(writer, value) {
      const { bytes, start } = writer.reserve(value.length);
      for (let i = 0; i < value.length; i++) {
        const code = value.charCodeAt(i);
        if (allowed[code] !== 1) throw new Asn1Error(typeName, `character ${hex(code)}`, -1);
        bytes[start + i] = code;
      }
    },
  };
}

function fixedWidth(typeName: string, width: number, highest: number): Contents<string> {
  const isCharacter = (code: number): boolean => code <= highest && (code < 0xd800 || code > 0xdfff);
  return {
    typeName,
    constructed: false,
    read(reader, end) {
      const { bytes, offset } = reader;
      if ((end - offset) % width !== 0) throw reader.fault(`${width} octets a character`, `${end - offset} octets`);
      const characters: string[] = [];
      for (let at = offset; at < end; at += width) {
        let code = 0;
        for (let i = 0; i < width; i++) code = code * 256 + bytes[at + i]!;
        if (!isCharacter(code)) throw reader.fault(typeName, `character ${hex(code)}`, at);
        characters.push(String.fromCodePoint(code));
      }
      reader.offset = end;
      return characters.join('');
    },
    write(writer, value) {
      for (const character of Array.from(value).toReversed()) {
        const code = character.codePointAt(0)!;
        if (!isCharacter(code)) throw new Asn1Error(typeName, `character ${hex(code)}`, -1);
        for (let i = 0; i < width; i++) writer.octet((code >>> (8 * i)) & 0xff);
      }
    },
  };
}

// Writes text that is all ASCII; else nothing.
function writeAscii(writer: Writer, value: string): boolean {
  const mark = writer.written;
  const { bytes, start } = writer.reserve(value.length);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code >= 0x80) {
      writer.rewind(mark);
      return false;
    }
    bytes[start + i] = code;
  }
  return true;
}

function hex(code: number): string {
  return code.toString(16).padStart(2, '0');
}
