import type { Authenticator } from './endpoint.ts';

/** What GetCACaps can announce (RFC 8894 §3.5.2), in the RFC's order; SHA-384 is not of the RFC's list, and known to clients. */
export const SCEP_CAPABILITIES = [
  'AES',
  'DES3',
  'GetNextCACert',
  'POSTPKIOperation',
  'Renewal',
  'SHA-1',
  'SHA-256',
  'SHA-384',
  'SHA-512',
  'SCEPStandard',
] as const;
export type ScepCapability = (typeof SCEP_CAPABILITIES)[number];

/** The authenticators that mean something to SCEP, which has no MAC. */
export const SCEP_AUTHENTICATORS = [
  'password',
  'static-password',
  'derived-password',
  'webhook',
  'certificate',
  'anchored-certificate',
  'idevid',
  'ra',
] as const satisfies readonly Authenticator[];

/** SCEP's switches on one endpoint. */
export interface ScepSettings {
  readonly authenticators: readonly Authenticator[];
  /** One RA certificate for both uses, which simple clients assume, or one to sign and one to encrypt for. */
  readonly raCertificates: 'single' | 'pair';
  /** Whether MD5 and single DES are accepted and mirrored, and until when (RFC 3339). Each use is logged and counted. */
  readonly legacy: 'off' | { readonly until: string };
  /** What a reply holds besides the certificate it is about: Cisco's VPN client needs the CA's, Juniper's forbids it. */
  readonly replyCertificates: 'issued' | 'chain';
  /** What GetCACert answers besides the RA: the path with or without the root, or nothing (clients that choke on more). */
  readonly caCertificates: 'chain' | 'without-root' | 'ra-only';
  /** Capabilities that work and are not announced, for clients that do worse when they read them. */
  readonly withheldCapabilities: readonly ScepCapability[];
  /** The page of one-time challenges under `/certsrv/mscep_admin`, and its character encoding (NDES itself has UTF-16). */
  readonly ndesPage: 'off' | 'utf-8' | 'utf-16';
  /** How far a signingTime may be from our clock before it is answered with badTime; 0 looks at none. */
  readonly signingTimeToleranceSeconds: number;
  /** Messages that could not be decrypted or verified, from one address within a minute, before more are refused; 0: no limit. */
  readonly badMessagesPerMinute: number;
}

/** What opening an endpoint for SCEP means when nothing more is said. */
export const OPEN_SCEP: ScepSettings = {
  authenticators: ['password', 'certificate'],
  raCertificates: 'single',
  legacy: 'off',
  replyCertificates: 'issued',
  caCertificates: 'chain',
  withheldCapabilities: [],
  ndesPage: 'off',
  // RFC 8894 leaves the bound open; a device that lost its clock cannot use a certificate either.
  signingTimeToleranceSeconds: 86_400,
  badMessagesPerMinute: 600,
};
