import type { AcmeChallengeType, AcmeIdentifierType } from '../../core/enrollment/acme-settings.ts';

/** Tables of this folder. Times are epoch milliseconds; ids are UUIDv7 text; documents are JSON text. */
export interface AcmeTables {
  acme_accounts: AccountRow;
  acme_orders: OrderRow;
  acme_authorizations: AuthorizationRow;
  acme_renewal_windows: RenewalWindowRow;
}

/** RFC 8555 §7.1.6: `deactivated` by its client, `revoked` by an operator. */
export type AccountStatus = 'valid' | 'deactivated' | 'revoked';

export interface AccountRow {
  id: string;
  tenant: string;
  endpoint: string;
  /** RFC 7638; unique per endpoint. */
  thumbprint: string;
  /** Of its SubjectPublicKeyInfo: what certificates must not be for. */
  spki_sha256: string;
  jwk: string;
  status: AccountStatus;
  /** JSON list of URLs. */
  contact: string;
  /** The terms of service that were agreed to. */
  terms: string | null;
  /** The key for external account binding it was made with. */
  eab_key: string | null;
  /** The binding as it was sent, JSON: it is part of the account object (RFC 8555 §7.1.2). */
  binding: string | null;
  source_address: string;
  created_at: number;
}

/** RFC 8555 §7.1.6. */
export type OrderStatus = 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';

export interface OrderRow {
  id: string;
  tenant: string;
  endpoint: string;
  label: string;
  account: string;
  status: OrderStatus;
  /** JSON list of identifiers. Never changed, as the two after it. */
  identifiers: string;
  /** JSON list of an id for each identifier, null where a key vouches for it. */
  authorizations: string;
  profile: string | null;
  /** The key that vouches for the names. */
  eab_key: string | null;
  /** Id of the certificate that the order replaces (RFC 9773 §5), and its name there. */
  replaces: string | null;
  replaces_name: string | null;
  /** Problem document of an order that failed. */
  error: string | null;
  /** PKCS #10, DER, from finalize on. */
  csr: Uint8Array | null;
  certificate: string | null;
  source_address: string;
  /** While `processing`: until when others leave it alone. */
  lease_until: number | null;
  expires_at: number;
  created_at: number;
  updated_at: number;
}

/** RFC 8555 §7.1.6; `expired` is not stored, it follows from the time. */
export type AuthorizationStatus = 'pending' | 'valid' | 'invalid' | 'deactivated';

/** One name of one account, with the one challenge that was answered for it. */
export interface AuthorizationRow {
  id: string;
  tenant: string;
  endpoint: string;
  label: string;
  account: string;
  type: AcmeIdentifierType;
  /** Without `*.`. */
  value: string;
  wildcard: number;
  status: AuthorizationStatus;
  /** Of every challenge of this authorization. */
  token: string;
  /** JSON list of the challenges that were offered. */
  offered: string;
  /** The challenge that was answered; null before. */
  challenge: AcmeChallengeType | null;
  challenge_status: 'pending' | 'processing' | 'valid' | 'invalid';
  /** URL of the account as the client knows it: dns-account-01 is named after it. */
  account_url: string;
  /** Problem document of the last attempt. */
  error: string | null;
  attempts: number;
  /** While `processing`: until when others leave it alone. */
  lease_until: number | null;
  validated_at: number | null;
  /** Id of the evidence that proved it (device-attest-01). */
  evidence: string | null;
  /** SHA-256 of the SubjectPublicKeyInfo that the evidence attests, lower-case hex: the one that is certified. */
  attested_key: string | null;
  expires_at: number;
  created_at: number;
}

/** When one certificate is to be renewed, by the word of an operator (RFC 9773 §4.2). */
export interface RenewalWindowRow {
  tenant: string;
  certificate: string;
  starts_at: number;
  ends_at: number;
  /** URL of a page about it. */
  explanation: string | null;
  /** As audit entries name who did it. */
  set_by: string;
  set_at: number;
  /** End of the certificate: after it, the row is of no use. */
  not_after: number;
}
