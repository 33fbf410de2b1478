import { EXTENSIONS } from '../../x509/extensions.ts';
import type { LintRule } from './rule.ts';

/** keyUsage is present, not empty, fits the key and the role. */
export const keyUsage: LintRule = {
  id: 'rfc5280-key-usage',
  source: 'RFC 5280 §4.2.1.3, RFC 8813 §3, RFC 9881 §5',
  check({ tbs, profile }) {
    const usage = EXTENSIONS.keyUsage.find(tbs.extensions);
    if (!usage || usage.size === 0) return 'keyUsage is absent or empty';
    const signsCertificates = usage.has('keyCertSign') || usage.has('cRLSign');
    if (profile && signsCertificates) return 'keyUsage of an end entity holds keyCertSign or cRLSign';
    if (!profile && !usage.has('keyCertSign')) return 'keyUsage of a CA lacks keyCertSign';
    const enciphers = usage.has('keyEncipherment') || usage.has('dataEncipherment');
    if (enciphers && tbs.publicKey.algorithm.kind !== 'rsa')
      return 'keyEncipherment and dataEncipherment need an RSA key';
    if (usage.has('keyAgreement') && tbs.publicKey.algorithm.kind !== 'ec') return 'keyAgreement needs an EC key';
    return undefined;
  },
};
