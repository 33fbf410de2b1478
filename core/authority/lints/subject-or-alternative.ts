import { EXTENSIONS, findExtension } from '../../x509/extensions.ts';
import { EXTENSION } from '../../x509/oids.ts';
import type { LintRule } from './rule.ts';

/** An empty subject needs a critical subjectAltName; a CA needs a subject. */
export const subjectOrAlternative: LintRule = {
  id: 'rfc5280-subject-or-alternative',
  source: 'RFC 5280 §4.1.2.6, §4.2.1.6',
  check({ tbs }) {
    if (tbs.subject.rdns.length > 0) return undefined;
    if (EXTENSIONS.basicConstraints.find(tbs.extensions)?.cA === true) return 'a CA certificate has an empty subject';
    const alternative = findExtension(tbs.extensions, EXTENSION.subjectAltName);
    if (!alternative) return 'subject is empty and subjectAltName absent';
    return alternative.critical ? undefined : 'subject is empty and subjectAltName not critical';
  },
};
