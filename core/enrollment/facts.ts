import type { Certificate } from '../x509/certificate.ts';
import type { Appraisal } from './ports.ts';

/**
 * Proofs, verified. A carrier cannot make one up: each is built by the verifier of this folder that checked it, and the
 * brand keeps an object literal from passing for one.
 */
declare const verified: unique symbol;
interface Verified {
  readonly [verified]: true;
}

/** What a verifier returns before it is branded. */
export type Unverified<F extends Verified> = Omit<F, typeof verified>;

/** What we know of a certificate whose path and status we checked. */
interface CheckedCertificate extends Verified {
  readonly certificate: Certificate;
  /** Lower-case hex SHA-256 of the certificate. */
  readonly fingerprint: string;
  /** Where its path ends: this tenant's own authorities, or a trust anchor of the named purpose. */
  readonly origin: 'own' | 'client-anchor' | 'ra-anchor' | 'idevid-anchor';
  /** The stored certificate, when we issued it. */
  readonly certificateId: string | undefined;
  /** The profile it was issued under, when we issued it to a device: the only one it renews under. */
  readonly profile: string | undefined;
  /** The device it was issued to, when we issued it. */
  readonly deviceId: string | undefined;
  /** True when it carries id-kp-cmcRA or stands on the endpoint's list of registration authorities. */
  readonly registrationAuthority: boolean;
  /** What the gate made of a manufacturer's certificate (`idevid-anchor`). */
  readonly identity?: Appraisal;
}

/** A client certificate whose private key the TLS handshake proved. */
export interface TlsCertificateFact extends CheckedCertificate {
  readonly kind: 'tls-certificate';
}

/** A certificate whose private key signed the message (CMP protection, SCEP renewal): as good as one shown to TLS. */
export interface SignedByFact extends CheckedCertificate {
  readonly kind: 'signed-by';
}

/** A certificate with a proof that the requester holds its key, however that was proved. */
export type CertificateFact = TlsCertificateFact | SignedByFact;

/** A password that matched a shared secret of this endpoint. */
export interface PasswordFact extends Verified {
  readonly kind: 'password';
  readonly secretId: string;
  /**
   * One-time secrets are bound to their first request; device passwords admit many. `static`: one secret for the devices on
   * its list. `derived`: computed for one device and an end date.
   */
  readonly usage: 'one-time' | 'device' | 'static' | 'derived';
  readonly state: 'free' | 'bound' | 'spent';
  /** The request key a bound or spent one-time secret belongs to. */
  readonly boundKey: string | undefined;
  /** The device name the secret is limited to; `undefined` limits nothing. */
  readonly subject: string | undefined;
  readonly username: string;
  /** A ticket of the attestation front door: the evidence it was given for, and the key that holds for. */
  readonly attested?: AttestedBeforehand;
}

/** A MAC under a secret of this endpoint (CMP). */
export interface MacFact extends Verified {
  readonly kind: 'mac';
  readonly secretId: string;
  /** The reference under which the sender named the secret. */
  readonly reference: string;
  /** One-time secrets are bound to their first request; those of a device admit many. */
  readonly usage: 'one-time' | 'device';
  readonly state: 'free' | 'bound' | 'spent';
  /** The request key a bound or spent one-time secret belongs to. */
  readonly boundKey: string | undefined;
  /** The device name the secret is limited to; `undefined` limits nothing. */
  readonly subject: string | undefined;
  /** A ticket of the attestation front door, as {@link PasswordFact.attested}. */
  readonly attested?: AttestedBeforehand;
}

/** What a ticket of the attestation front door stands for. */
export interface AttestedBeforehand {
  readonly evidenceId: string;
  /** Lower-case hex SHA-256 of the only SubjectPublicKeyInfo it admits. */
  readonly spkiSha256: string;
}

/** The endpoint's external decider said yes to this request. */
export interface ExternalDecisionFact extends Verified {
  readonly kind: 'external-decision';
  /** Host and port of the decider. */
  readonly decider: string;
  /** What the decider calls its decision; empty when it gave no name. Shown to operators. */
  readonly reference: string;
  /** The device name that was asked about: the decision holds for it alone. */
  readonly deviceName: string;
}

/** An ACME order whose names are all proved. */
export interface AcmeOrderFact extends Verified {
  readonly kind: 'acme-order';
  readonly orderId: string;
  readonly accountId: string;
  /** The key that vouches for the names without challenges; undefined where challenges were answered for them. */
  readonly eabKeyId: string | undefined;
  /** The names that are proved, as texts of GeneralName in lower case: the request may hold these and no other. */
  readonly names: ReadonlySet<string>;
  /** What the common name may be, lower case. */
  readonly commonNames: ReadonlySet<string>;
  /** The certificate of ours that the order replaces (RFC 9773 §5), when its names are the same. */
  readonly replaces: string | undefined;
}

/** Evidence that the gate affirmed beforehand, as the only proof of who asks. */
export interface AttestedFact extends Verified {
  readonly kind: 'evidence';
  readonly appraisal: Appraisal;
}

/** An operator hands the request in with others. */
export interface BatchFact extends Verified {
  readonly kind: 'batch';
  readonly batchId: string;
  /** Who made the batch, as audit entries name them. */
  readonly actor: string;
}

/** A step of a plan for one device: its key was made on the device, to which we logged in. */
export interface PlanFact extends Verified {
  readonly kind: 'plan';
  readonly planId: string;
  /** The only device that the plan is about, by name. */
  readonly deviceName: string;
}

export type Fact =
  | CertificateFact
  | PasswordFact
  | MacFact
  | ExternalDecisionFact
  | AcmeOrderFact
  | AttestedFact
  | BatchFact
  | PlanFact;

/** Brands what a verifier of this folder has checked. */
export function asVerified<F extends Fact>(fact: Unverified<F>): F {
  return fact as unknown as F;
}
