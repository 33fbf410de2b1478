/**
 * DER by hand, one function a type: what the fake CMP client writes must not come out of the server's encoder, and must
 * be able to be wrong. Parts that are undefined are left out.
 */
type Part = Uint8Array | undefined;

/** An encoding with any identifier octet and a minimal length. */
export function tlv(identifier: number, ...parts: readonly Part[]): Buffer {
  const contents = Buffer.concat(parts.filter((part) => part !== undefined));
  return Buffer.concat([Buffer.from([identifier, ...lengthOctets(contents.length)]), contents]);
}

export const sequence = (...parts: readonly Part[]): Buffer => tlv(0x30, ...parts);

export const set = (...parts: readonly Part[]): Buffer => tlv(0x31, ...parts);

export const octetString = (octets: Uint8Array): Buffer => tlv(0x04, octets);

export const bitString = (octets: Uint8Array, unusedBits = 0): Buffer => tlv(0x03, Buffer.from([unusedBits]), octets);

export const nullValue = (): Buffer => tlv(0x05);

export const boolean = (value: boolean): Buffer => tlv(0x01, Buffer.from([value ? 0xff : 0]));

export const utf8String = (text: string): Buffer => tlv(0x0c, Buffer.from(text, 'utf8'));

export const ia5String = (text: string): Buffer => tlv(0x16, Buffer.from(text, 'latin1'));

/** [n] EXPLICIT. */
export const explicit = (number: number, ...parts: readonly Part[]): Buffer => tlv(0xa0 | number, ...parts);

/** [n] IMPLICIT: the encoding with its identifier replaced. */
export function implicit(number: number, der: Uint8Array): Buffer {
  const copy = Buffer.from(der);
  copy[0] = 0x80 | (der[0]! & 0x20) | number;
  return copy;
}

/** An INTEGER, of a number or of its content octets. */
export function integer(value: number | bigint | Uint8Array): Buffer {
  if (value instanceof Uint8Array) return tlv(0x02, value);
  const octets: number[] = [];
  let rest = BigInt(value);
  do {
    octets.unshift(Number(rest & 0xffn));
    rest >>= 8n;
  } while (!(rest === 0n && octets[0]! < 0x80) && !(rest === -1n && octets[0]! >= 0x80));
  return tlv(0x02, Buffer.from(octets));
}

/** An OBJECT IDENTIFIER in dotted form. */
export function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(BigInt);
  return tlv(0x06, ...[first! * 40n + second!, ...rest].map(base128));
}

/** GeneralizedTime to the second, in UTC. */
export function generalizedTime(time: Date): Buffer {
  const digits = time.toISOString().replaceAll(/[-:T]|\..*/g, '');
  return tlv(0x18, Buffer.from(`${digits}Z`, 'latin1'));
}

/** UTCTime, as certificates and templates have it through 2049. */
export const utcTime = (time: Date): Buffer => tlv(0x17, generalizedTime(time).subarray(4));

/** AlgorithmIdentifier; no parameters where none are given. */
export const algorithm = (dotted: string, parameters?: Uint8Array): Buffer => sequence(oid(dotted), parameters);

const ATTRIBUTE_TYPES: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  SERIALNUMBER: '2.5.4.5',
  O: '2.5.4.10',
  OU: '2.5.4.11',
};

/** A Name of `CN=x,O=y` (no escapes), in the order written; the empty text is the NULL-DN. */
export function name(text: string): Buffer {
  const attributes = text === '' ? [] : text.split(',').map((part) => part.split('=') as [string, string]);
  return sequence(
    ...attributes.map(([type, value]) => set(sequence(oid(ATTRIBUTE_TYPES[type] ?? type), utf8String(value)))),
  );
}

/** GeneralName directoryName of a Name, or of the text of one. */
export const directoryName = (subject: string | Uint8Array): Buffer =>
  explicit(4, typeof subject === 'string' ? name(subject) : subject);

/** One Extension. */
export const extension = (dotted: string, value: Uint8Array, critical = false): Buffer =>
  sequence(oid(dotted), critical ? boolean(true) : undefined, octetString(value));

/** The subjectAltName extension of DNS names. */
export const dnsNames = (names: readonly string[], critical = false): Buffer =>
  extension('2.5.29.17', sequence(...names.map((dns) => implicit(2, ia5String(dns)))), critical);

function base128(value: bigint): Buffer {
  const octets = [Number(value & 0x7fn)];
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80);
  return Buffer.from(octets);
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const octets = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [0x80 | octets.length, ...octets];
}
