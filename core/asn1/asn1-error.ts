/**
 * The one error of the codec: bytes that are not the DER of the schema, or a value that the schema cannot encode.
 * Says where (`path`, in the words of the ASN.1 module, and `offset`), what was expected and what was found.
 * `found` never holds more than a few octets of the input.
 */
export class Asn1Error extends Error {
  /** Such as `CertificationRequest.certificationRequestInfo.subject[2]`. */
  readonly path: string;
  readonly expected: string;
  readonly found: string;
  /** Offset in octets from the start of the input; -1 where a value could not be encoded. */
  readonly offset: number;

  constructor(expected: string, found: string, offset: number, path = '') {
    super(describe(path, expected, found, offset));
    this.name = 'Asn1Error';
    this.path = path;
    this.expected = expected;
    this.found = found;
    this.offset = offset;
  }
}

/**
 * What a composite type does with an error of one of its parts: the path grows from the inside out while the stack
 * unwinds, so decoding without a fault pays nothing for it. Anything but an Asn1Error passes unchanged.
 */
export function within(error: unknown, segment: string): unknown {
  if (!(error instanceof Asn1Error)) return error;
  const path = segment + error.path;
  const message = describe(path, error.expected, error.found, error.offset);
  return Object.assign(error, { path, message });
}

function describe(path: string, expected: string, found: string, offset: number): string {
  const where = offset < 0 ? '' : ` at offset ${offset}`;
  return `${path === '' ? '' : `${path}: `}expected ${expected}, found ${found}${where}`;
}
