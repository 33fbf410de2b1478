import fc from 'fast-check';

/** Any sequence of UTF-16 code units, lone surrogates and NUL among them, with what matters to JSON more often. */
export function anyText(maxLength = 40): fc.Arbitrary<string> {
  const unit = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0x7f }), fc.constant(0xd83d));
  return fc.array(unit, { maxLength }).map((units) => String.fromCharCode(...units));
}
