import { describeKey, isAllowedKey } from '../profile.ts';
import type { LintRule } from './rule.ts';

/** The key is of a kind and size that the profile certifies. */
export const profileKey: LintRule = {
  id: 'profile-key',
  source: 'profile: keys',
  check({ tbs, profile }) {
    if (!profile || isAllowedKey(profile.keys, tbs.publicKey.algorithm)) return undefined;
    return `the profile does not allow ${describeKey(tbs.publicKey.algorithm)}`;
  },
};
