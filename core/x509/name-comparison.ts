import type { NameAttribute, RelativeDistinguishedName } from './name-attributes.ts';
import { toHex } from './octets.ts';

/** Keys are long and compared often (name constraints); they live as long as the decoded name. */
const keys = new WeakMap<RelativeDistinguishedName, string>();

/**
 * The comparison key of one RDN: two RDNs match by RFC 5280 §7.1 exactly when their keys are equal. The attributes of an
 * RDN are a set, so their order does not matter; every part is preceded by its length, so that no value can imitate another.
 */
export function rdnKey(rdn: RelativeDistinguishedName): string {
  let key = keys.get(rdn);
  if (key === undefined) {
    key = rdn.length === 1 ? attributeKey(rdn[0]!) : rdn.map(attributeKey).toSorted().join('');
    keys.set(rdn, key);
  }
  return key;
}

/**
 * The string preparation of RFC 5280 §7.1 (RFC 4518 for caseIgnoreMatch): compatibility normalisation, case folded,
 * white space at the ends dropped and inner runs folded to one space.
 */
function foldAttributeText(text: string): string {
  if (/^[a-z0-9.\-_:@]*$/.test(text)) return text;
  return text.normalize('NFKC').toLowerCase().normalize('NFKC').trim().replaceAll(/\s+/g, ' ');
}

function attributeKey({ type, value }: NameAttribute): string {
  const folded = value.kind === 'other' ? `#${toHex(value.value)}` : `=${foldAttributeText(value.value)}`;
  return `${type}:${folded.length}${folded}`;
}
