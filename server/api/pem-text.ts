import { Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import { decodePem } from '../../core/x509/pem.ts';

/** Certificates as PEM in a body. */
export const certificateTexts = Type.String({
  description: 'PEM (RFC 7468): its own certificate and those above it up to the root, in any order.',
  minLength: 1,
  maxLength: 65_536,
  examples: ['-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n'],
});

/** The certificates in a PEM text. @throws PeerError `malformed-request` when it is no PEM or holds none. */
export function certificatesOf(text: string): readonly Uint8Array[] {
  let blocks;
  try {
    blocks = decodePem(text);
  } catch {
    throw new PeerError('malformed-request', 'certificates: expected PEM (RFC 7468)');
  }
  if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY')))
    throw new PeerError('malformed-request', 'certificates: expected no private key, and it was not stored');
  return blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ der }) => der);
}
