import { attributeTexts, type Name } from '../../../core/x509/name.ts';
import { ATTRIBUTE_TYPE } from '../../../core/x509/oids.ts';

/** Vendor ID and Product ID of a distinguished name: four upper-case hex digits each, undefined where absent. */
export interface VendorProduct {
  readonly vendorId: string | undefined;
  readonly productId: string | undefined;
}

/** A name whose VID or PID is ambiguous or not four upper-case hex digits. */
export class VendorProductError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'VendorProductError';
  }
}

/** Matter attribute types of distinguished names (Matter Core Specification §6.1.1). */
const VENDOR_ID = { oid: '1.3.6.1.4.1.37244.2.1', prefix: 'Mvid:' } as const;
const PRODUCT_ID = { oid: '1.3.6.1.4.1.37244.2.2', prefix: 'Mpid:' } as const;

/** X.520 ub-common-name; what stands behind it is not looked at. */
const MAX_COMMON_NAME = 64;

/**
 * Reads VID and PID by their attribute types; only a name that has neither is searched for the fallback inside its common name,
 * `Mvid:` and `Mpid:` (Matter Core Specification §6.2.2.2). @throws VendorProductError
 */
export function vendorProduct(name: Name): VendorProduct {
  const hasAttributes = name.rdns.some((rdn) =>
    rdn.some(({ type }) => type === VENDOR_ID.oid || type === PRODUCT_ID.oid),
  );
  const read = hasAttributes ? byAttribute : byCommonName;
  return { vendorId: read(name, VENDOR_ID), productId: read(name, PRODUCT_ID) };
}

type Identifier = typeof VENDOR_ID | typeof PRODUCT_ID;

const FOUR_HEX = /^[0-9A-F]{4}$/;

function byAttribute(name: Name, { oid }: Identifier): string | undefined {
  const found = name.rdns.flat().filter(({ type }) => type === oid);
  if (found.length > 1) throw new VendorProductError(`expected ${oid} once, found ${found.length}`);
  const value = found[0]?.value;
  if (value === undefined) return undefined;
  const isText = value.kind === 'utf8String' || value.kind === 'printableString';
  if (isText && FOUR_HEX.test(value.value)) return value.value;
  throw new VendorProductError(`expected four upper-case hex digits in ${oid}, found another value`);
}

function byCommonName(name: Name, { prefix }: Identifier): string | undefined {
  const found = attributeTexts(name, ATTRIBUTE_TYPE.commonName).flatMap((text) => {
    const value = inCommonName(text.slice(0, MAX_COMMON_NAME), prefix);
    return value === undefined ? [] : [value];
  });
  if (found.length > 1) throw new VendorProductError(`expected ${prefix} in one common name, found ${found.length}`);
  return found[0];
}

// The leftmost prefix with four digits counts, whatever follows them; a prefix that never has them is a fault, not an absence.
function inCommonName(text: string, prefix: string): string | undefined {
  for (let at = text.indexOf(prefix); at >= 0; at = text.indexOf(prefix, at + 1)) {
    const digits = text.slice(at + prefix.length, at + prefix.length + 4);
    if (FOUR_HEX.test(digits)) return digits;
  }
  if (!text.includes(prefix)) return undefined;
  throw new VendorProductError(`expected four upper-case hex digits behind ${prefix}, found others`);
}
