import { EXTENSIONS } from '../../x509/extensions.ts';
import type { LintRule } from './rule.ts';

/** Subject and names stay within what the profile allows. */
export const profileNames: LintRule = {
  id: 'profile-names',
  source: 'profile: subject, subjectAltName',
  check({ tbs, profile }) {
    if (!profile) return undefined;
    const { attributes, required } = profile.subject;
    if (required && tbs.subject.rdns.length === 0) return 'the profile asks for a subject';
    const foreign =
      attributes === 'any' ? undefined : tbs.subject.rdns.flat().find(({ type }) => !attributes.includes(type));
    if (foreign) return `the profile does not allow the subject attribute ${foreign.type}`;
    const names = EXTENSIONS.subjectAltName.find(tbs.extensions) ?? [];
    if (names.length > profile.subjectAltName.max)
      return `${names.length} names, the profile allows ${profile.subjectAltName.max}`;
    const kind = names.find((name) => !profile.subjectAltName.kinds.includes(name.kind))?.kind;
    return kind === undefined ? undefined : `the profile does not allow names of kind ${kind}`;
  },
};
