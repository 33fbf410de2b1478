import { octetsEqual } from '../../x509/octets.ts';
import type { LintRule } from './rule.ts';

/** The issuer name is the subject of the issuing certificate, octet by octet, and is not empty. */
export const issuerName: LintRule = {
  id: 'rfc5280-issuer-name',
  source: 'RFC 5280 §4.1.2.4',
  check({ tbs, issuer }) {
    if (tbs.issuer.rdns.length === 0) return 'issuer is empty';
    return octetsEqual(tbs.issuer.der, issuer.subjectDer)
      ? undefined
      : 'issuer differs from the subject of the issuing certificate';
  },
};
