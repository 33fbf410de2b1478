import { EXTENSIONS } from '../../x509/extensions.ts';
import { findNameFault } from '../profile-names.ts';
import type { LintRule } from './rule.ts';

/** Subject and names stay within what the profile allows. */
export const profileNames: LintRule = {
  id: 'profile-names',
  source: 'profile: subject, subjectAltName',
  check({ tbs, profile }) {
    return profile && findNameFault(profile, tbs.subject, EXTENSIONS.subjectAltName.find(tbs.extensions) ?? [])?.detail;
  },
};
