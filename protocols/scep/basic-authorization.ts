import { Secret } from '../../core/keys/secret.ts';

/** User name and password of HTTP Basic (RFC 7617). */
export interface BasicAuthorization {
  readonly username: string;
  readonly password: Secret;
}

/** Reads an Authorization header; undefined where it is none of Basic. */
export function parseBasicAuthorization(header: string | undefined): BasicAuthorization | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { username: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) };
}
