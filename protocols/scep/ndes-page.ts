import { createHash } from 'node:crypto';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { BasicAuthorization } from './basic-authorization.ts';

/** Makes one-time challenges for who may have them. */
export interface ChallengeOffice {
  /**
   * A fresh one-time challenge of an endpoint.
   * @throws PolicyError `bad-credential` or `not-authorized`
   */
  issue(endpoint: Endpoint, authorization: BasicAuthorization, sourceAddress: string): Promise<IssuedChallenge>;
}

/** A challenge as made: its text exists here and in the answer. */
export interface IssuedChallenge {
  readonly challenge: Secret;
  readonly lifetimeSeconds: number;
}

/**
 * The page in the words of NDES, which firewalls and device managers scrape: they look for "enrollment challenge password
 * is: <B> … </B>". It holds a secret.
 *
 * @param caCertificate of the issuing authority, DER
 */
export function ndesPage(
  { challenge, lifetimeSeconds }: IssuedChallenge,
  caCertificate: Uint8Array,
  encoding: Exclude<ScepSettings['ndesPage'], 'off'>,
): { readonly mediaType: string; readonly body: Buffer } {
  const html = [
    '<HTML><Head><Title>Network Device Enrollment Service</Title></Head><Body>',
    '<P> Network Device Enrollment Service allows you to obtain certificates for routers or other network devices using the Simple Certificate Enrollment Protocol (SCEP). </P>',
    '<P> To complete certificate enrollment for your network device you will need the following information: </P>',
    `<P> The thumbprint (hash value) for the CA certificate is: <B> ${thumbprint(caCertificate)} </B> </P>`,
    `<P> The enrollment challenge password is: <B> ${challenge.reveal()} </B> </P>`,
    `<P> This password can be used only once and will expire within ${Math.floor(lifetimeSeconds / 60)} minutes. </P>`,
    '<P> Each enrollment requires a new challenge password. You can refresh this web page to obtain a new challenge password. </P>',
    '</Body></HTML>',
    '',
  ].join('\r\n');
  return encoding === 'utf-8'
    ? { mediaType: 'text/html; charset=utf-8', body: Buffer.from(html) }
    : { mediaType: 'text/html; charset=utf-16', body: Buffer.from(`\ufeff${html}`, 'utf16le') };
}

/** SHA-256, in groups of eight digits. */
function thumbprint(certificate: Uint8Array): string {
  const digits = createHash('sha256').update(certificate).digest('hex').toUpperCase();
  return digits.replaceAll(/.{8}(?=.)/g, '$& ');
}
