import type { LintRule } from './rule.ts';

/** A certificate becomes valid before it expires, and never outlives its issuer. */
export const validity: LintRule = {
  id: 'rfc5280-validity',
  source: 'RFC 5280 §4.1.2.5, §6.1.3',
  check({ tbs, issuer }) {
    if (tbs.notBefore >= tbs.notAfter) return 'notBefore is not before notAfter';
    return tbs.notAfter > issuer.notAfter ? 'notAfter is later than the notAfter of the issuer' : undefined;
  },
};
