import { authorityKeyIdentifier, type Certificate, subjectKeyIdentifier } from '../../../core/x509/certificate.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { validatePath } from '../../../core/x509/path-validation.ts';
import type { PathFailure } from '../../../core/x509/path-result.ts';
import { keyIdentifier } from '../../../core/x509/public-key.ts';
import type { TrustAnchor } from '../anchors.ts';

type TpmAnchor = TrustAnchor<'ek'> | TrustAnchor<'attestation-ca'>;

/** A certificate under an anchor, by that anchor's rules. */
export interface AnchoredPath<A extends TpmAnchor> {
  readonly ok: true;
  readonly anchor: A;
  /** Leaf first, anchor last. */
  readonly chain: readonly Certificate[];
  /** Whether something in it is over, and the anchor does not mind. */
  readonly expired: boolean;
}

/** What is looked for a path, and when. */
export interface AnchoredPathInput<A extends TpmAnchor> {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
  readonly anchors: readonly A[];
  readonly now: Date;
}

/** A certificate as revocation sets name it: key identifier of its issuer and serial number, lower-case hex. */
export interface RevocationName {
  readonly issuerKeyId: string;
  readonly serialNumber: string;
}

/** subjectDirectoryAttributes: TCG's certificates carry tpmSpecification there; nothing is decided by it. */
const SUBJECT_DIRECTORY_ATTRIBUTES = '2.5.29.9';

/**
 * Looks for a path to one of the anchors, each with its own rules about expiry and SHA-1. Of several failures the one that got
 * furthest is told.
 */
export function anchoredPath<A extends TpmAnchor>(input: AnchoredPathInput<A>): AnchoredPath<A> | PathFailure {
  let failure: PathFailure = { ok: false, reason: 'no-path', detail: 'there is no trust anchor for it' };
  for (const alike of anchorsAlike(input.anchors)) {
    const found = pathTo(alike, input);
    if (found.ok) {
      const anchor = alike.find(({ certificate }) => certificate === found.chain.at(-1))!;
      return { ok: true, anchor, chain: found.chain, expired: isOver(found.chain, input.now) };
    }
    if (failure.reason === 'no-path') failure = found;
  }
  return failure;
}

/** The certificates of a path as revocation sets name them, the anchor left out. Throws Asn1Error. */
export function revocationNames(chain: readonly Certificate[]): readonly RevocationName[] {
  return chain.slice(0, -1).map((certificate, index) => {
    const issuer = chain[index + 1]!;
    const identifier =
      authorityKeyIdentifier(certificate) ?? subjectKeyIdentifier(issuer) ?? keyIdentifier(issuer.publicKey);
    return { issuerKeyId: toHex(identifier), serialNumber: certificate.serialNumber };
  });
}

/** Anchors of the same rules are searched together: signatures below them are then verified once, however many there are. */
function anchorsAlike<A extends TpmAnchor>(anchors: readonly A[]): readonly (readonly A[])[] {
  const groups = Map.groupBy(anchors, ({ settings: { expiry, allowSha1 } }) => `${expiry} ${allowSha1}`);
  return [...groups.values()];
}

function pathTo(alike: readonly TpmAnchor[], { leaf, intermediates, now }: AnchoredPathInput<TpmAnchor>) {
  const { expiry, allowSha1 } = alike[0]!.settings;
  return validatePath({
    leaf,
    intermediates,
    anchors: alike.map(({ certificate }) => certificate),
    // Whoever ignores that CAs are over asks whether they were good when the TPM was made; a future leaf stays refused.
    at: expiry === 'ignore-all' && leaf.notBefore <= now ? leaf.notBefore : now,
    tolerate: { leafExpired: expiry !== 'enforce' },
    allowSha1,
    acceptCriticalExtensions: [SUBJECT_DIRECTORY_ATTRIBUTES],
  });
}

function isOver(chain: readonly Certificate[], now: Date): boolean {
  return chain.some(({ notAfter }) => notAfter < now);
}
