import { fromHex, toHex } from '../../../core/x509/octets.ts';

const PREFIX = 'urn:ek:sha256:';

/** How smallstep's clients name a device by its EK: `urn:ek:sha256:` and base64 of SHA-256 of the SubjectPublicKeyInfo. */
export function ekUri(sha256: string): string {
  return `${PREFIX}${Buffer.from(fromHex(sha256) ?? []).toString('base64')}`;
}

/** The SHA-256 (lower-case hex) that such a URI names; undefined for any other URI. */
export function ekSha256OfUri(uri: string): string | undefined {
  if (!uri.startsWith(PREFIX)) return undefined;
  const digest = Buffer.from(uri.slice(PREFIX.length), 'base64');
  return digest.length === 32 && ekUri(toHex(digest)) === uri ? toHex(digest) : undefined;
}
