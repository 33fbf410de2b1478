import { type Certificate, certificateFingerprint } from '../../core/x509/certificate.ts';

/** Authorities kept for one anchor: a manufacturer has a few production lines, not hundreds. */
const MAX_KEPT = 64;

/**
 * Certificates of authorities that were once on a valid path to an anchor, by their fingerprint. OpenSSL's decoding of a key costs as
 * much as a verification, and core/x509 remembers it by the parsed object; every device of a line brings the same certificate as
 * new octets. Nothing is trusted for being here: each path is verified again. Strangers cannot fill it, and it goes with the anchor.
 */
const kept = new WeakMap<Certificate, Map<string, Certificate>>();

/** The certificate of the same octets that is kept for the anchor, else the one given. */
export function recallAuthority(anchor: Certificate, certificate: Certificate): Certificate {
  const known = kept.get(anchor);
  return known?.get(certificateFingerprint(certificate.der)) ?? certificate;
}

/** Keeps an authority that was found on a valid path to the anchor. */
export function keepAuthority(anchor: Certificate, certificate: Certificate): void {
  const known = kept.get(anchor) ?? new Map<string, Certificate>();
  kept.set(anchor, known);
  if (known.size < MAX_KEPT) known.set(certificateFingerprint(certificate.der), certificate);
}
