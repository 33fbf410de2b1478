import type { Certificate } from '../x509/certificate.ts';

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

/** A client certificate whose private key the TLS handshake proved, whose path and status we checked. */
export interface TlsCertificateFact extends Verified {
  readonly kind: 'tls-certificate';
  readonly certificate: Certificate;
  /** Lower-case hex SHA-256 of the certificate. */
  readonly fingerprint: string;
  /** Where its path ends: this tenant's own authorities, or a trust anchor of the named purpose. */
  readonly origin: 'own' | 'client-anchor' | 'ra-anchor';
  /** The stored certificate, when we issued it. */
  readonly certificateId: string | undefined;
  /** The profile it was issued under, when we issued it to a device: the only one it renews under. */
  readonly profile: string | undefined;
  /** The device it was issued to, when we issued it. */
  readonly deviceId: string | undefined;
  /** True when it carries id-kp-cmcRA or stands on the endpoint's list of registration authorities. */
  readonly registrationAuthority: boolean;
}

/** A password that matched a shared secret of this endpoint. */
export interface PasswordFact extends Verified {
  readonly kind: 'password';
  readonly secretId: string;
  /** One-time secrets are bound to their first request; device passwords admit many. */
  readonly usage: 'one-time' | 'device';
  readonly state: 'free' | 'bound' | 'spent';
  /** The request key a bound or spent one-time secret belongs to. */
  readonly boundKey: string | undefined;
  /** Names the secret is limited to; `undefined` limits nothing. */
  readonly subject: string | undefined;
  readonly username: string;
}

export type Fact = TlsCertificateFact | PasswordFact;

/** Brands what a verifier of this folder has checked. */
export function asVerified<F extends Fact>(fact: Unverified<F>): F {
  return fact as unknown as F;
}
