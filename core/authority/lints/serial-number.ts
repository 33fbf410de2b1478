import type { LintRule } from './rule.ts';

/** Serial numbers are positive, of at most 20 octets; ours also have at least 64 random bits. */
export const serialNumber: LintRule = {
  id: 'rfc5280-serial-number',
  source: 'RFC 5280 §4.1.2.2',
  check({ tbs }) {
    if (tbs.serialNumber.startsWith('-')) return 'serialNumber is negative';
    const octets = tbs.serialNumber.length / 2;
    if (octets > 20) return `serialNumber has ${octets} octets, 20 are allowed`;
    return octets < 16 ? `serialNumber has ${octets} octets: too few to be random` : undefined;
  },
};
