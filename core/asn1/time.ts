import { Asn1Error } from './asn1-error.ts';
import { UNIVERSAL } from './identifier.ts';
import type { Reader } from './reader.ts';
import { accepts, tagged } from './schema-type.ts';
import type { Contents, Schema } from './schema-type.ts';
import { explicit } from './tagging.ts';
import type { Writer } from './writer.ts';

/**
 * UTCTime as `YYMMDDHHMMSSZ`, nothing else (RFC 5280 §4.1.2.5.1): years 1950 to 2049. Encoding drops milliseconds.
 */
export const utcTime: Schema<Date> = tagged(UNIVERSAL.utcTime, timeContents('UTCTime', 2));

/**
 * GeneralizedTime as `YYYYMMDDHHMMSSZ`, nothing else (RFC 5280 §4.1.2.5.2): no fractions. Encoding drops milliseconds.
 */
export const generalizedTime: Schema<Date> = tagged(UNIVERSAL.generalizedTime, timeContents('GeneralizedTime', 4));

/** `Time`: UTCTime through 2049, GeneralizedTime from 2050 on, each refused where the other is due (RFC 5280 §4.1.2.5). */
export const time: Schema<Date> = {
  typeName: 'Time',
  identifiers: () => TIME_IDENTIFIERS,
  read(reader, limit) {
    const start = reader.offset;
    const identifier = reader.peek(limit);
    if (identifier === UNIVERSAL.utcTime) return utcTime.read(reader, limit);
    if (!accepts(TIME_IDENTIFIERS, identifier)) throw reader.mismatch('UTCTime or GeneralizedTime', identifier);
    const date = generalizedTime.read(reader, limit);
    if (date.getTime() < START_OF_2050 && date.getTime() >= START_OF_1950) {
      throw reader.fault('UTCTime through 2049', 'GeneralizedTime', start);
    }
    return date;
  },
  write(writer, value) {
    const milliseconds = value.getTime();
    const schema = milliseconds >= START_OF_1950 && milliseconds < START_OF_2050 ? utcTime : generalizedTime;
    schema.write(writer, value);
  },
  retag: (tagNumber) => explicit(tagNumber, time),
};

const TIME_IDENTIFIERS: readonly number[] = [UNIVERSAL.utcTime, UNIVERSAL.generalizedTime];
const START_OF_1950 = Date.UTC(1950, 0);
const START_OF_2050 = Date.UTC(2050, 0);
const DAYS_IN_MONTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const Z = 0x5a;

function timeContents(typeName: string, yearDigits: 2 | 4): Contents<Date> {
  const length = yearDigits + 11;
  return {
    typeName,
    constructed: false,
    read(reader, end) {
      if (end - reader.offset !== length || reader.bytes[end - 1] !== Z) {
        throw reader.fault(`${typeName} of ${length} characters ending in Z`, 'another form');
      }
      const short = digits(reader, yearDigits);
      const year = yearDigits === 4 ? short : short < 50 ? 2000 + short : 1900 + short;
      const date = readRest(reader, year);
      reader.offset = end;
      return date;
    },
    write(writer, value) {
      const year = value.getUTCFullYear();
      const fits = yearDigits === 4 ? year >= 0 && year <= 9999 : year >= 1950 && year <= 2049;
      if (!fits) throw new Asn1Error(`a year that ${typeName} can express`, String(year), -1);
      writer.octet(Z);
      writePair(writer, value.getUTCSeconds());
      writePair(writer, value.getUTCMinutes());
      writePair(writer, value.getUTCHours());
      writePair(writer, value.getUTCDate());
      writePair(writer, value.getUTCMonth() + 1);
      writePair(writer, year % 100);
      if (yearDigits === 4) writePair(writer, Math.floor(year / 100));
    },
  };
}

function readRest(reader: Reader, year: number): Date {
  const start = reader.offset;
  const month = digits(reader, 2);
  const day = digits(reader, 2);
  const hour = digits(reader, 2);
  const minute = digits(reader, 2);
  const second = digits(reader, 2);
  const isDate = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
  // A leap second (60) has no Date; RFC 5280 gives it no meaning.
  if (!isDate || hour > 23 || minute > 59 || second > 59) throw reader.fault('a calendar time', 'none such', start);
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (year < 100) date.setUTCFullYear(year, month - 1, day); // Date.UTC takes 0 to 99 for 1900 to 1999
  return date;
}

function daysIn(year: number, month: number): number {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && !isLeap ? 28 : DAYS_IN_MONTH[month - 1]!;
}

function digits(reader: Reader, count: number): number {
  let value = 0;
  for (let i = 0; i < count; i++) {
    const digit = reader.bytes[reader.offset]! - 0x30;
    if (digit < 0 || digit > 9) throw reader.fault('a digit', 'another character');
    value = value * 10 + digit;
    reader.offset++;
  }
  return value;
}

function writePair(writer: Writer, value: number): void {
  writer.octet(0x30 + (value % 10));
  writer.octet(0x30 + Math.floor(value / 10));
}
