import { EXTENSIONS } from '../../x509/extensions.ts';
import type { LintRule } from './rule.ts';

/** The extended key usages are those of the profile: none is copied from a request. */
export const extendedKeyUsage: LintRule = {
  id: 'profile-extended-key-usage',
  source: 'RFC 5280 §4.2.1.12, RFC 9810 §8',
  check({ tbs, profile }) {
    if (!profile) return undefined;
    const found = EXTENSIONS.extendedKeyUsage.find(tbs.extensions) ?? [];
    const foreign = found.find((purpose) => !profile.extendedKeyUsage.includes(purpose));
    if (foreign !== undefined) return `extendedKeyUsage ${foreign} is not in the profile`;
    return found.length === profile.extendedKeyUsage.length
      ? undefined
      : 'extendedKeyUsage lacks a purpose of the profile';
  },
};
