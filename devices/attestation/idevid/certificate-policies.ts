import type { Certificate } from '../../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../../core/x509/extensions.ts';

/** Policies of TCG's DevID specification §7.3: what the CA has verified of the key, by the names that claims have. */
const TPM_POLICIES = {
  'tpm-residency-verified': '2.23.133.11.1.1',
  'tpm-fixed-verified': '2.23.133.11.1.2',
  'tpm-restricted-verified': '2.23.133.11.1.3',
} as const;

/**
 * What the manufacturer vouches for of the key, by TCG's certificate policies: that it lives in a TPM, cannot leave it, and is
 * restricted (an IAK). Throws Asn1Error where certificatePolicies is malformed.
 */
export function tpmPolicyClaims(certificate: Certificate): Readonly<Record<string, boolean>> {
  const policies = EXTENSIONS.certificatePolicies.find(certificate.extensions) ?? [];
  const asserted = Object.entries(TPM_POLICIES).filter(([, oid]) =>
    policies.some((policy) => policy.policyIdentifier === oid),
  );
  return Object.fromEntries(asserted.map(([claim]) => [claim, true]));
}
