import { PolicyError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';

/** A user name and password as HTTP Basic carries them. */
export interface BasicCredentials {
  readonly username: string;
  readonly password: Secret;
}

/** Longest `credentials` that is looked at, in characters: some 380 octets each of name and password. */
const MAX_TOKEN68 = 1024;

/**
 * Reads an Authorization header (RFC 7617 §2, UTF-8). Undefined where there is none or it is of another scheme, which is
 * not a credential here.
 *
 * @throws PolicyError `bad-credential` for a Basic header that holds no user name and password
 */
export function parseBasicCredentials(header: string | undefined): BasicCredentials | undefined {
  const [, token68] = /^basic +([^ ]*) *$/i.exec(header ?? '') ?? [];
  if (token68 === undefined) return undefined;
  const userPass = decodeUserPass(token68);
  const colon = userPass?.indexOf(':') ?? -1;
  // RFC 7617 §2: user-id and password MUST NOT contain any control characters.
  if (userPass === undefined || colon < 0 || /\p{Cc}/u.test(userPass)) {
    throw new PolicyError('bad-credential', 'expected a user name and a password in the Authorization header');
  }
  return { username: userPass.slice(0, colon), password: new Secret(userPass.slice(colon + 1)) };
}

function decodeUserPass(token68: string): string | undefined {
  if (token68.length > MAX_TOKEN68 || !/^[A-Za-z0-9+/]*={0,2}$/.test(token68)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(token68, 'base64'));
  } catch {
    return undefined;
  }
}
