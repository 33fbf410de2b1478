import type { LintRule } from './rule.ts';

/** The certificate lives no longer than the profile says. */
export const profileValidity: LintRule = {
  id: 'profile-validity',
  source: 'profile: validitySeconds',
  check({ tbs, profile }) {
    if (!profile) return undefined;
    const seconds = (tbs.notAfter.getTime() - tbs.notBefore.getTime()) / 1000;
    const allowed = profile.validitySeconds + profile.backdateSeconds + 1;
    return seconds <= allowed ? undefined : `validity of ${seconds} s, the profile allows ${allowed} s`;
  },
};
