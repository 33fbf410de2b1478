import type { Certificate } from '../../core/x509/certificate.ts';
import { namesEqual } from '../../core/x509/name.ts';
import type { PathFailure } from '../../core/x509/path-result.ts';
import { validatePath } from '../../core/x509/path-validation.ts';
import type { ExpiryPolicy } from './anchors.ts';
import { keepAuthority, recallAuthority } from './known-authorities.ts';

/** How strict an anchor's chains are judged. */
export interface PathStrictness {
  readonly expiry: ExpiryPolicy;
  readonly allowSha1: boolean;
}

/** A device certificate under the anchor it leads to. */
export interface DevicePath<A> {
  readonly ok: true;
  readonly anchor: A;
  /** From the device to the anchor, both included. */
  readonly chain: readonly Certificate[];
  /** Whether a certificate of it is over, which the anchor's policy overlooks. */
  readonly isExpired: boolean;
}

/**
 * The path from a device's certificate (first of `chain`) to one of the anchors, each by its own strictness; else the failure of
 * the first anchor that one leads to, `no-path` where none does. Critical extensions beyond RFC 5280 are refused. Never throws.
 */
export function findDevicePath<A extends { readonly certificate: Certificate }>(
  chain: readonly [Certificate, ...Certificate[]],
  anchors: readonly A[],
  now: Date,
  strictness: (anchor: A) => PathStrictness,
): DevicePath<A> | PathFailure {
  let failure: PathFailure | undefined;
  for (const anchor of anchors) {
    // An anchor that signed nothing here costs a comparison of names, however many are configured.
    if (!chain.some(({ issuer }) => namesEqual(issuer, anchor.certificate.subject))) continue;
    const found = pathTo(anchor, chain, now, strictness(anchor));
    if (found.ok) return found;
    if (found.reason !== 'no-path') failure ??= found;
  }
  return failure ?? { ok: false, reason: 'no-path', detail: 'the certificates lead to no anchor' };
}

function pathTo<A extends { readonly certificate: Certificate }>(
  anchor: A,
  [leaf, ...intermediates]: readonly [Certificate, ...Certificate[]],
  now: Date,
  { expiry, allowSha1 }: PathStrictness,
): DevicePath<A> | PathFailure {
  const authority = (certificate: Certificate): Certificate =>
    expiry === 'ignore-all' ? lasting(certificate, now) : certificate;
  const known = intermediates.map((certificate) => recallAuthority(anchor.certificate, certificate));
  const result = validatePath({
    leaf: expiry === 'enforce' ? leaf : lasting(leaf, now),
    intermediates: known.map(authority),
    anchors: [authority(anchor.certificate)],
    at: now,
    allowSha1,
  });
  if (!result.ok) return result;
  for (const certificate of known) {
    if (result.chain.some(({ der }) => der === certificate.der)) keepAuthority(anchor.certificate, certificate);
  }
  return { ok: true, anchor, chain: result.chain, isExpired: result.chain.some(({ notAfter }) => notAfter === FAR) };
}

/** Marks, by its identity, an end that is overlooked. */
const FAR = new Date('9999-12-31T23:59:59Z');

/** The certificate as if it did not end: what RFC 8995 §2.1 ("Infinite Lifetime of IDevID") asks of those that do. */
function lasting(certificate: Certificate, now: Date): Certificate {
  return certificate.notAfter < now ? { ...certificate, notAfter: FAR } : certificate;
}
