import type { Certificate } from '../../core/x509/certificate.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';

/** What an anchor of the gate vouches for. Anchors of registration authorities and clients are core/enrollment's. */
export const ANCHOR_PURPOSES = ['idevid', 'ek', 'paa', 'cd', 'attestation-ca', 'apple', 'android', 'eat'] as const;
/**
 * `idevid`: a manufacturer's IEEE 802.1AR identities. `ek`: TPM endorsement keys. `paa`: Matter product attestation authority.
 * `cd`: a key that signs Matter Certification Declarations. `attestation-ca`: certificates of attestation keys, and of step attestations. `apple`, `android`: their device attestation
 * roots. `eat`: keys that sign Entity Attestation Tokens.
 */
export type AnchorPurpose = (typeof ANCHOR_PURPOSES)[number];

/** Where a manufacturer writes the serial number of a device. */
export type SerialExtractor =
  /** The subject's serialNumber, whole. */
  | { readonly kind: 'subject-serial-number' }
  /** What follows `prefix` in the subject's CN. */
  | { readonly kind: 'common-name-prefix'; readonly prefix: string }
  /** hwSerialNum of the HardwareModuleName in the subjectAltName (RFC 4108), printable text or hex. */
  | { readonly kind: 'hardware-module-name' }
  /** `PID:… SN:…` in the subject's serialNumber (Cisco SUDI): the SN; the PID becomes the model. */
  | { readonly kind: 'pid-sn' };

/** What an expired certificate of a device means. */
export const EXPIRY_POLICIES = ['enforce', 'ignore-device', 'ignore-all'] as const;
/** `ignore-device`: the device's own certificate may be over (RFC 8995: a lifetime certificate). `ignore-all`: its CAs', too. */
export type ExpiryPolicy = (typeof EXPIRY_POLICIES)[number];

/** What holds for every kind of device certificate. */
interface DeviceCertificateSettings {
  readonly expiry: ExpiryPolicy;
  /** SHA-1 signatures below the anchor: of old manufacturers' chains, by explicit choice alone. */
  readonly allowSha1: boolean;
}

/** What an administrator says of an anchor, by purpose. */
export interface AnchorSettings {
  readonly idevid: DeviceCertificateSettings & {
    /** Becomes the identifier `manufacturer`. */
    readonly manufacturer: string;
    readonly serialExtractor: SerialExtractor;
    /** Enterprise OIDs that hwType may begin with; empty: any. */
    readonly hardwareTypes: readonly string[];
  };
  readonly ek: DeviceCertificateSettings & {
    /** TPM manufacturer ids (eight upper-case hex digits) the anchor may speak for; empty: any. */
    readonly manufacturers: readonly string[];
    /** Certificates without extendedKeyUsage are refused; old parts have none. */
    readonly requireKeyPurpose: boolean;
  };
  readonly paa: {
    /** Vendor ids (four upper-case hex digits) it may speak for beside its own; empty: as its certificate says. */
    readonly vendorIds: readonly string[];
    /** One of Matter's test authorities: counts where the endpoint allows test devices. */
    readonly test: boolean;
    /** Devices below it must bring a Certification Declaration that an anchor `cd` verifies. */
    readonly requireDeclaration: boolean;
  };
  readonly cd: {
    /** A key whose private half is published: counts where the endpoint allows test devices. */
    readonly test: boolean;
  };
  readonly 'attestation-ca': DeviceCertificateSettings;
  readonly apple: Record<string, never>;
  readonly android: {
    /** What the verified boot state must be at least. */
    readonly requireVerifiedBoot: boolean;
    readonly minimumSecurityLevel: 'trusted-environment' | 'strongbox';
  };
  readonly eat: {
    readonly manufacturer: string;
    /** kid of the tokens it signs, lower-case hex; empty: any. */
    readonly keyId: string;
    /** eat_profile values it may claim; empty: any. */
    readonly profiles: readonly string[];
  };
}

interface AnchorOf<P extends AnchorPurpose> {
  readonly id: string;
  readonly name: string;
  readonly purpose: P;
  /** Absent where the anchor is a bare key, which `eat` alone may be. */
  readonly certificate: P extends 'eat' ? Certificate | undefined : Certificate;
  readonly publicKey: SubjectPublicKeyInfo;
  readonly settings: AnchorSettings[P];
}

/** A trust anchor as verifiers see it. */
export type TrustAnchor<P extends AnchorPurpose = AnchorPurpose> = P extends AnchorPurpose ? AnchorOf<P> : never;

/** What holds where an administrator says nothing else. */
export const DEFAULT_ANCHOR_SETTINGS: AnchorSettings = {
  idevid: {
    manufacturer: '',
    serialExtractor: { kind: 'subject-serial-number' },
    hardwareTypes: [],
    expiry: 'enforce',
    allowSha1: false,
  },
  ek: { manufacturers: [], requireKeyPurpose: true, expiry: 'enforce', allowSha1: false },
  paa: { vendorIds: [], test: false, requireDeclaration: false },
  cd: { test: false },
  'attestation-ca': { expiry: 'enforce', allowSha1: false },
  apple: {},
  android: { requireVerifiedBoot: true, minimumSecurityLevel: 'trusted-environment' },
  eat: { manufacturer: '', keyId: '', profiles: [] },
};
