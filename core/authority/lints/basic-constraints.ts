import { EXTENSIONS, findExtension } from '../../x509/extensions.ts';
import { EXTENSION } from '../../x509/oids.ts';
import type { LintRule } from './rule.ts';

/** Only a ceremony makes a CA, and then basicConstraints is critical and keyCertSign set. */
export const basicConstraints: LintRule = {
  id: 'rfc5280-basic-constraints',
  source: 'RFC 5280 §4.2.1.9',
  check({ tbs, profile }) {
    const constraints = EXTENSIONS.basicConstraints.find(tbs.extensions);
    const isCa = constraints?.cA === true;
    if (profile && isCa) return 'a profile must not make a CA certificate';
    if (!profile && !isCa) return 'a CA certificate lacks basicConstraints with cA';
    if (!isCa && constraints?.pathLenConstraint !== undefined) return 'pathLenConstraint stands without cA';
    return isCa && !findExtension(tbs.extensions, EXTENSION.basicConstraints)?.critical
      ? 'basicConstraints of a CA is not critical'
      : undefined;
  },
};
