/** A device as a line of a manifest announces it; what the line does not say is null. */
export interface AnnouncedDevice {
  readonly serialNumber: string | null;
  readonly ekSha256: string | null;
  readonly idevidSha256: string | null;
  readonly vendorId: string | null;
  readonly productId: string | null;
  readonly model: string | null;
  readonly name: string | null;
}

export type AnnouncedMember = keyof AnnouncedDevice;

/** What a line of a manifest is not; the text is for whoever made the file. */
export class ManifestFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ManifestFault';
  }
}

/** Characters of a line; one device needs 300. */
const MAX_LINE = 4_096;
const MAX_TEXT = 255;
const HASH = /^[0-9a-f]{64}$/;
const MATTER_ID = /^[0-9A-F]{4}$/;

/** The members by the names that manifests call them, lower case, without separators. */
const MEMBERS: Readonly<Record<string, AnnouncedMember>> = {
  serial: 'serialNumber',
  serialnumber: 'serialNumber',
  eksha256: 'ekSha256',
  ekhash: 'ekSha256',
  idevidsha256: 'idevidSha256',
  idevidhash: 'idevidSha256',
  dacsha256: 'idevidSha256',
  vid: 'vendorId',
  vendorid: 'vendorId',
  pid: 'productId',
  productid: 'productId',
  model: 'model',
  name: 'name',
};

const NOTHING: AnnouncedDevice = {
  serialNumber: null,
  ekSha256: null,
  idevidSha256: null,
  vendorId: null,
  productId: null,
  model: null,
  name: null,
};

/**
 * What the columns of a CSV are, from its first line (RFC 4180 §2; a field holds no line break).
 * @throws ManifestFault
 */
export function manifestColumns(line: string): readonly AnnouncedMember[] {
  return splitFields(line.replace(/^\uFEFF/, '')).map(memberOf);
}

/** A line of a CSV. @throws ManifestFault */
export function deviceOfCsv(line: string, columns: readonly AnnouncedMember[]): AnnouncedDevice {
  const fields = splitFields(line);
  if (fields.length !== columns.length)
    throw new ManifestFault(`expected ${columns.length} fields, found ${fields.length}`);
  const device: Record<AnnouncedMember, string | null> = { ...NOTHING };
  for (const [index, member] of columns.entries()) device[member] = fields[index] ?? null;
  return checked(device);
}

/** A line of NDJSON: an object with string members. @throws ManifestFault */
export function deviceOfJson(line: string): AnnouncedDevice {
  requireShort(line);
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    throw new ManifestFault('expected a JSON object');
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new ManifestFault('expected a JSON object');
  const device: Record<AnnouncedMember, string | null> = { ...NOTHING };
  for (const [name, value] of Object.entries(object)) {
    if (value === null) continue;
    if (typeof value !== 'string') throw new ManifestFault(`${name.slice(0, 32)}: expected a string`);
    device[memberOf(name)] = value;
  }
  return checked(device);
}

function memberOf(name: string): AnnouncedMember {
  const plain = name.toLowerCase().replaceAll(/[\s_-]/g, '');
  const member = Object.hasOwn(MEMBERS, plain) ? MEMBERS[plain] : undefined;
  if (member !== undefined) return member;
  throw new ManifestFault(
    `expected serial, ek-sha256, idevid-sha256, vid, pid, model or name, found "${name.slice(0, 32)}"`,
  );
}

/** The device of the texts of a line, in the forms they are compared in. */
function checked(texts: AnnouncedDevice): AnnouncedDevice {
  const device: AnnouncedDevice = {
    serialNumber: textOf('serial', texts.serialNumber),
    ekSha256: shaped('ek-sha256', texts.ekSha256?.toLowerCase(), HASH, 'SHA-256 in hex'),
    idevidSha256: shaped('idevid-sha256', texts.idevidSha256?.toLowerCase(), HASH, 'SHA-256 in hex'),
    vendorId: shaped('vid', matterId(texts.vendorId), MATTER_ID, 'four hex digits'),
    productId: shaped('pid', matterId(texts.productId), MATTER_ID, 'four hex digits'),
    model: textOf('model', texts.model),
    name: textOf('name', texts.name),
  };
  if (device.serialNumber === null && device.ekSha256 === null && device.idevidSha256 === null)
    throw new ManifestFault('expected a serial number or the hash of a key');
  return device;
}

function matterId(text: string | null): string | undefined {
  return text?.trim().toUpperCase().replace(/^0X/, '');
}

function textOf(name: string, text: string | null): string | null {
  const trimmed = text?.trim() ?? '';
  if (trimmed === '') return null;
  if (trimmed.length > MAX_TEXT || /\p{Cc}/u.test(trimmed) || !trimmed.isWellFormed())
    throw new ManifestFault(`${name}: expected at most ${MAX_TEXT} characters and none of control`);
  return trimmed;
}

function shaped(name: string, text: string | undefined, shape: RegExp, expected: string): string | null {
  const trimmed = text?.trim() ?? '';
  if (trimmed === '') return null;
  if (!shape.test(trimmed)) throw new ManifestFault(`${name}: expected ${expected}`);
  return trimmed;
}

function requireShort(line: string): void {
  if (line.length > MAX_LINE) throw new ManifestFault(`expected a line of at most ${MAX_LINE} characters`);
}

function splitFields(line: string): readonly string[] {
  requireShort(line);
  // Nearly every line has no quotes.
  if (!line.includes('"')) return line.split(',');
  const fields: string[] = [];
  let rest = line;
  for (;;) {
    const [, quoted, plain] = /^(?:\s*"((?:[^"]|"")*)"\s*|([^",]*))(?=,|$)/.exec(rest) ?? [];
    if (quoted === undefined && plain === undefined) throw new ManifestFault('expected a field in whole quotes');
    fields.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    const next = rest.replace(/^(?:\s*"(?:[^"]|"")*"\s*|[^",]*)/, '');
    if (next === '') return fields;
    rest = next.slice(1);
  }
}
