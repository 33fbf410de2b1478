import {
  attestationPolicy,
  type AttestationPolicy,
  type EvidenceType,
} from '../../core/enrollment/attestation-policy.ts';
import type { Certificate } from '../../core/x509/certificate.ts';
import { toHex } from '../../core/x509/octets.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import {
  type AnchorPurpose,
  type AnchorSettings,
  DEFAULT_ANCHOR_SETTINGS,
  type TrustAnchor,
} from '../../devices/attestation/anchors.ts';
import type { AppraisalContext, ReferenceValues } from '../../devices/attestation/verifier.ts';

/** An anchor with the default settings of its purpose, save those given. */
export function testAnchor<P extends AnchorPurpose>(
  purpose: P,
  certificate: Certificate,
  settings: Partial<AnchorSettings[P]> = {},
): TrustAnchor {
  const { publicKey } = certificate;
  return anchorOf(purpose, certificate, publicKey, settings);
}

/** An anchor that is a bare key, for Entity Attestation Tokens. */
export function testKeyAnchor(
  publicKey: SubjectPublicKeyInfo,
  settings: Partial<AnchorSettings['eat']> = {},
): TrustAnchor {
  return anchorOf('eat', undefined, publicKey, settings);
}

/** What a test says of the gate; the rest is how an endpoint is that enforces and knows nobody. */
export interface ContextOptions {
  readonly type?: EvidenceType;
  readonly now?: Date;
  readonly nonce?: Uint8Array;
  /** Nonces issued here: each is taken once. */
  readonly issued?: readonly Uint8Array[];
  readonly anchors?: readonly TrustAnchor[];
  readonly policy?: Partial<AttestationPolicy>;
  readonly references?: readonly ReferenceValues[];
  /** `<issuer key id>/<serial number>`. */
  readonly revoked?: readonly string[];
}

/** An AppraisalContext over values: a gate without a store. */
export function appraisalContext(options: ContextOptions = {}): AppraisalContext {
  const issued = new Set((options.issued ?? []).map(toHex));
  return {
    type: options.type ?? 'idevid',
    now: options.now ?? new Date('2026-11-22T12:00:00Z'),
    nonce: options.nonce,
    takeNonce: async (nonce) => issued.delete(toHex(nonce)),
    anchors: <P extends AnchorPurpose>(purpose: P) =>
      (options.anchors ?? []).filter((anchor) => anchor.purpose === purpose) as unknown as readonly TrustAnchor<P>[],
    policy: { ...attestationPolicy('enforce'), ...options.policy },
    referenceValues: (model) => (options.references ?? []).filter((reference) => reference.model === model),
    isAllowedKey: async () => false,
    expectedModel: async () => undefined,
    isRevoked: async (issuer, serialNumber) => options.revoked?.includes(`${issuer}/${serialNumber}`) ?? false,
    knownAttestationKey: async () => undefined,
    activatedKey: async () => undefined,
  };
}

function anchorOf<P extends AnchorPurpose>(
  purpose: P,
  certificate: Certificate | undefined,
  publicKey: SubjectPublicKeyInfo,
  settings: Partial<AnchorSettings[P]>,
): TrustAnchor {
  const merged = { ...DEFAULT_ANCHOR_SETTINGS[purpose], ...settings };
  const id = `anchor-${purpose}`;
  return { id, name: `test ${purpose}`, purpose, certificate, publicKey, settings: merged } as unknown as TrustAnchor;
}
