import type { KeyRules } from '../authority/profile.ts';
import type { AcmeSettings } from './acme-settings.ts';
import type { AttestationDoorSettings } from './attestation-settings.ts';
import type { AttestationPolicy, AttestationSettings } from './attestation-policy.ts';
import type { CmpSettings } from './cmp-settings.ts';
import type { ScepSettings } from './scep-settings.ts';

/** The carriers an enrolment can come by. */
export const PROTOCOLS = ['scep', 'est', 'cmp', 'acme', 'attestation', 'batch', 'adapter'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** The kinds of fact an endpoint may accept as proof of who asks. */
export const AUTHENTICATORS = [
  'password',
  'static-password',
  'derived-password',
  'webhook',
  'mac',
  'certificate',
  'anchored-certificate',
  'ra',
  'acme-order',
  'eab',
  'idevid',
  'evidence',
  'batch',
  'adapter',
] as const;
/**
 * `password`: a one-time or per-device secret made here. `static-password`: one secret for the devices on its list.
 * `derived-password`: computed from a key of the endpoint for one device and an end date. `webhook`: the endpoint's external
 * decider says yes. `mac`: a MAC under a secret made here (CMP). `certificate`: a certificate of this tenant's own CAs (renewal).
 * `anchored-certificate`: a certificate under one of the tenant's client trust anchors. `ra`: a registration authority.
 * `acme-order`: challenges answered for every name of an ACME order. `eab`: the key an ACME account is bound to vouches for them.
 * `idevid`: a manufacturer's certificate under an anchor of that purpose. `evidence`: evidence that was affirmed is itself who
 * asks. `batch`: an operator hands the requests in. `adapter`: a plan of ours read the request from the device.
 */
export type Authenticator = (typeof AUTHENTICATORS)[number];

/** The kinds of proof that EST carries. */
export const EST_AUTHENTICATORS = [
  'password',
  'certificate',
  'anchored-certificate',
  'idevid',
  'ra',
] as const satisfies readonly Authenticator[];

/** One admission rule in CEL; it must yield `true` for the enrolment to go on. */
export interface AdmissionRule {
  readonly name: string;
  /** A CEL expression over the variables listed in core/policy/README.md. */
  readonly rule: string;
  /** What the operator and the device read when it refuses. */
  readonly message?: string;
}

/** EST's switches on one endpoint. */
export interface EstSettings {
  readonly authenticators: readonly Authenticator[];
  /** Proof-of-possession linking (RFC 7030 §3.5): checked when present, or demanded. */
  readonly channelBinding: 'optional' | 'required';
  /** Base64 of answers: 64-column lines, one line, or chosen by the User-Agent (reference clients disagree). */
  readonly wrapping: 'auto' | 'columns-64' | 'none';
  readonly serverKeyGeneration: boolean;
  /** What GET /csrattrs answers: nothing, the plain attributes, or the RFC 9908 template. */
  readonly csrAttributes: 'none' | 'attributes' | 'template';
  /**
   * What keeps evidence in a request from being an old one: a nonce that the device asks for (`nonce`, also where nothing is
   * said), or one that both ends derive from the TLS 1.3 connection, without asking (`exporter`).
   */
  readonly freshness?: 'nonce' | 'exporter';
}

/** What an endpoint opens to batches of requests that an operator hands in. */
export interface BatchSettings {
  readonly authenticators: readonly 'batch'[];
}

/** What an endpoint opens to the adapters, which bring certificates onto devices that do not ask by themselves. */
export interface AdapterSettings {
  readonly authenticators: readonly 'adapter'[];
}

/** What of an endpoint an administrator writes. */
export interface EndpointSettings {
  /** The protocols it is open for; one that is absent is closed. Each protocol adds its own member. */
  readonly protocols: {
    readonly est?: EstSettings;
    readonly scep?: ScepSettings;
    readonly cmp?: CmpSettings;
    readonly acme?: AcmeSettings;
    readonly attestation?: AttestationDoorSettings;
    readonly batch?: BatchSettings;
    readonly adapter?: AdapterSettings;
  };
  readonly attestation: AttestationSettings;
  readonly admission: readonly AdmissionRule[];
  /** Who approves: nobody, always an operator, or an operator when the CEL expression yields `true`. */
  readonly approval: 'automatic' | 'manual' | { readonly when: string };
  /** SHA-256 fingerprints (lower-case hex) of certificates that act as registration authorities here. */
  readonly registrationAuthorities: readonly string[];
  /** Seconds a device is told to wait before it asks for a pending enrolment again. */
  readonly retryAfterSeconds: number;
  /** Seconds a pending enrolment waits for its operator. */
  readonly pendingLifetimeSeconds: number;
  /** Seconds before notAfter from which on renewal is granted; absent: at any time. */
  readonly renewalWindowSeconds?: number;
  /** Who is asked by the authenticator `webhook`; without one that authenticator admits nobody. */
  readonly decider?: ExternalDecider;
}

/** A service of the tenant's that decides about challenge passwords; requests to it are signed with the endpoint's decider key. */
export interface ExternalDecider {
  /** `https:`, or `http:` to a loopback address. */
  readonly url: string;
}

/** A label under which devices enrol: tenant, profile, authority and the doors that are open. */
export interface Endpoint extends Omit<EndpointSettings, 'attestation'> {
  readonly attestation: AttestationPolicy;
  readonly id: string;
  readonly tenant: string;
  /** `[a-z0-9-]{1,63}`, unique per installation. */
  readonly label: string;
  readonly profile: string;
  readonly authority: string;
  /** Counts changes: a rejection holds only for the revision that pronounced it. */
  readonly revision: number;
  readonly isDefault: boolean;
  /** The key rules of the profile, for carriers that announce them (csrattrs, certReqTemplate). */
  readonly keyRules: KeyRules;
}

/** Finds endpoints by label; `undefined` is the default endpoint. Answers only what is durable. */
export interface EndpointDirectory {
  resolve(label: string | undefined): Promise<Endpoint | undefined>;
}

/** The authenticators an endpoint accepts for a protocol; none where it is closed. */
export function authenticatorsOf({ protocols }: Endpoint, protocol: Protocol): readonly Authenticator[] {
  switch (protocol) {
    case 'est':
    case 'scep':
    case 'cmp':
    case 'acme':
    case 'attestation':
    case 'batch':
    case 'adapter':
      return protocols[protocol]?.authenticators ?? [];
  }
}
