import { EXTENSIONS } from '../../x509/extensions.ts';
import { octetsEqual } from '../../x509/octets.ts';
import { keyIdentifier } from '../../x509/public-key.ts';
import type { LintRule } from './rule.ts';

/** The authority key identifier is the issuer’s; the subject key identifier is present and matches the key. */
export const keyIdentifiers: LintRule = {
  id: 'rfc5280-key-identifiers',
  source: 'RFC 5280 §4.2.1.1, §4.2.1.2',
  check({ tbs, issuer }) {
    const authority = EXTENSIONS.authorityKeyIdentifier.find(tbs.extensions)?.keyIdentifier;
    if (!authority || !octetsEqual(authority, issuer.keyIdentifier))
      return 'authorityKeyIdentifier is not that of the issuer';
    const own = EXTENSIONS.subjectKeyIdentifier.find(tbs.extensions);
    return own && octetsEqual(own, keyIdentifier(tbs.publicKey))
      ? undefined
      : 'subjectKeyIdentifier is not that of the public key';
  },
};
