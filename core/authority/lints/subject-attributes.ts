import { ATTRIBUTE_TYPE } from '../../x509/oids.ts';
import type { LintRule } from './rule.ts';

/** Upper bounds in characters. */
const UPPER_BOUNDS: ReadonlyMap<string, number> = new Map([
  [ATTRIBUTE_TYPE.countryName, 2],
  [ATTRIBUTE_TYPE.commonName, 64],
  [ATTRIBUTE_TYPE.serialNumber, 64],
  [ATTRIBUTE_TYPE.organizationName, 64],
  [ATTRIBUTE_TYPE.organizationalUnitName, 64],
  [ATTRIBUTE_TYPE.localityName, 128],
  [ATTRIBUTE_TYPE.stateOrProvinceName, 128],
  [ATTRIBUTE_TYPE.emailAddress, 255],
]);
const DEFAULT_BOUND = 1024;
/** C0, DEL and C1: nothing a name needs, and what log injection is made of. */
const CONTROL = /\p{Cc}/u;

/** Attribute values keep their upper bounds and are not empty. */
export const subjectAttributes: LintRule = {
  id: 'rfc5280-subject-attributes',
  source: 'RFC 5280 appendix A.1 (ub-common-name, ub-serial-number, ub-organization-name)',
  check({ tbs }) {
    for (const { type, value } of tbs.subject.rdns.flat()) {
      if (value.kind === 'other') continue;
      const bound = UPPER_BOUNDS.get(type) ?? DEFAULT_BOUND;
      if (value.value.length === 0) return `the value of subject attribute ${type} is empty`;
      if (value.value.length > bound)
        return `the value of subject attribute ${type} has ${value.value.length} characters, ${bound} are allowed`;
      if (type === ATTRIBUTE_TYPE.countryName && value.value.length < 2) return 'countryName is no code of two letters';
      if (CONTROL.test(value.value)) return `the value of subject attribute ${type} holds a control character`;
    }
    return undefined;
  },
};
