/**
 * Octets that are not the TPM structure they are said to be. The one error of this folder's codecs: says where (`path`, in the
 * names of the TPM 2.0 Library, and `offset` from the start of the structure), what was expected and what was found.
 */
export class TpmStructureError extends Error {
  /** Such as `TPMT_PUBLIC.parameters.keyBits`. */
  readonly path: string;
  readonly expected: string;
  readonly found: string;
  readonly offset: number;

  constructor(path: string, expected: string, found: string, offset: number) {
    super(`${path}: expected ${expected}, found ${found} at offset ${offset}`);
    this.name = 'TpmStructureError';
    this.path = path;
    this.expected = expected;
    this.found = found;
    this.offset = offset;
  }
}
