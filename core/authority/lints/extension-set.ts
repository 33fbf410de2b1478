import { EXTENSION } from '../../x509/oids.ts';
import type { LintRule } from './rule.ts';

const WRITTEN: ReadonlySet<string> = new Set([
  EXTENSION.basicConstraints,
  EXTENSION.keyUsage,
  EXTENSION.extendedKeyUsage,
  EXTENSION.subjectAltName,
  EXTENSION.subjectKeyIdentifier,
  EXTENSION.authorityKeyIdentifier,
  EXTENSION.authorityInfoAccess,
  EXTENSION.crlDistributionPoints,
  EXTENSION.certificatePolicies,
  EXTENSION.ocspNoCheck,
]);

/** Only extensions that Muster writes by itself occur. */
export const extensionSet: LintRule = {
  id: 'muster-extension-set',
  source: 'RFC 5280 §4.2',
  check({ tbs }) {
    const foreign = tbs.extensions.find(({ oid }) => !WRITTEN.has(oid));
    return foreign ? `extension ${foreign.oid} is none that is issued here` : undefined;
  },
};
