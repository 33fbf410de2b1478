import type { Authenticator } from './endpoint.ts';

/** The proofs that ACME carries: challenges that were answered, or a key for external account binding that vouches for names. */
export const ACME_AUTHENTICATORS = ['acme-order', 'eab'] as const satisfies readonly Authenticator[];

/** The identifiers that can be proved (RFC 8555 §9.7.7, RFC 8738, draft-ietf-acme-device-attest §3 and §4). */
export const ACME_IDENTIFIERS = ['dns', 'ip', 'permanent-identifier', 'hardware-module'] as const;
export type AcmeIdentifierType = (typeof ACME_IDENTIFIERS)[number];

/** The challenges that can be offered (RFC 8555 §8, RFC 8737, draft-ietf-acme-dns-account-label, draft-ietf-acme-device-attest). */
export const ACME_CHALLENGES = ['http-01', 'dns-01', 'tls-alpn-01', 'dns-account-01', 'device-attest-01'] as const;
export type AcmeChallengeType = (typeof ACME_CHALLENGES)[number];

/** A profile that orders may name (draft-ietf-acme-profiles). */
export interface AcmeProfile {
  readonly name: string;
  /** What a person reads of it in the directory. */
  readonly description: string;
  /** Id of the certificate profile; absent: the endpoint's own. */
  readonly profile?: string;
}

/** ACME's switches on one endpoint. Times are seconds. */
export interface AcmeSettings {
  readonly authenticators: readonly Authenticator[];
  /** Whether an account needs a key of this endpoint (RFC 8555 §7.3.4). */
  readonly externalAccount: 'required' | 'optional';
  readonly identifiers: readonly AcmeIdentifierType[];
  /** What is not listed is not offered. */
  readonly challenges: readonly AcmeChallengeType[];
  /** Whether `*.` names may be ordered; they take a challenge by DNS, or a key that vouches for them. */
  readonly wildcards: boolean;
  /** Whether CAA records (RFC 8659) of DNS names must let this server issue. */
  readonly caa: 'ignored' | 'checked';
  /** The names that CAA records call this server by; in `meta.caaIdentities` of the directory. */
  readonly caaIdentities: readonly string[];
  readonly profiles: readonly AcmeProfile[];
  /** A request without a common name: as it is, or with the first DNS name of the order, so that the device goes by that. */
  readonly commonName: 'as-requested' | 'first-name';
  readonly termsOfService?: string;
  readonly website?: string;
  /** Name servers that validation asks (`address`, `address:port`, `[address]:port`); none: those of this host. */
  readonly resolvers: readonly string[];
  /** Networks that validation may connect to although they are private (CIDR). */
  readonly allowedNetworks: readonly string[];
  /** Networks it may not connect to (CIDR); the longer prefix of both lists counts. */
  readonly deniedNetworks: readonly string[];
  /** `as-listed` lets `allowedNetworks` name loopback and link-local addresses: for tests. */
  readonly specialAddresses: 'never' | 'as-listed';
  readonly httpPort: number;
  /** Where a redirect to https may lead. */
  readonly httpsPort: number;
  readonly tlsAlpnPort: number;
  /** How often a challenge is looked at before it counts as failed. */
  readonly validationAttempts: number;
  readonly validationRetrySeconds: number;
  readonly validationTimeoutSeconds: number;
  /** How long an order, and a challenge, wait for the client. */
  readonly orderLifetimeSeconds: number;
  /** How long a validated name serves further orders of its account; 0: each order is validated anew (V45). */
  readonly authorizationReuseSeconds: number;
  /** How long finalize waits for the certificate before it answers `processing`. */
  readonly answerWithinSeconds: number;
  /** Renewal information: seconds after which a client asks again (RFC 9773 §4.3). */
  readonly renewalPollSeconds: number;
  /** Certificates issued before this time are to be renewed at once: a campaign. ISO 8601. */
  readonly renewIssuedBefore?: string;
  /** What a person reads about the campaign. */
  readonly renewalExplanation?: string;
  /** Questions for renewal information from one source address in a minute (V46). */
  readonly renewalInfoPerMinute: number;
  /** New accounts of one source address in an hour. */
  readonly accountsPerHour: number;
  /** New orders of one account in an hour. */
  readonly ordersPerHour: number;
  /** Failed validations of one account in an hour. */
  readonly failedValidationsPerHour: number;
  /** For those who write clients: slow answers, and every fifth nonce refused once. */
  readonly rehearsal: 'off' | 'on';
}

const DAY = 86_400;

/** What opening an endpoint for ACME means when nothing more is said. */
export const OPEN_ACME: AcmeSettings = {
  authenticators: ['acme-order', 'eab'],
  externalAccount: 'required',
  identifiers: ['dns', 'ip'],
  challenges: ['http-01', 'dns-01', 'tls-alpn-01', 'device-attest-01'],
  caa: 'ignored',
  caaIdentities: [],
  wildcards: true,
  profiles: [],
  commonName: 'first-name',
  resolvers: [],
  allowedNetworks: [],
  deniedNetworks: [],
  specialAddresses: 'never',
  httpPort: 80,
  httpsPort: 443,
  tlsAlpnPort: 443,
  validationAttempts: 3,
  validationRetrySeconds: 3,
  validationTimeoutSeconds: 10,
  orderLifetimeSeconds: 7 * DAY,
  authorizationReuseSeconds: DAY,
  answerWithinSeconds: 10,
  renewalPollSeconds: 6 * 3600,
  renewalInfoPerMinute: 600,
  accountsPerHour: 100,
  ordersPerHour: 300,
  failedValidationsPerHour: 60,
  rehearsal: 'off',
};
