import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';

const REDACTED = '***';

/** A text that must not reach a log: it prints as `***` however it is turned into text, and is read by {@link reveal} alone. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** A new secret of `octets` random octets (16, the default, are 128 bits) in base64url: letters, digits, `-` and `_`. */
  static random(octets = 16): Secret {
    return new Secret(randomBytes(octets).toString('base64url'));
  }

  /** The text itself, for the one call that needs it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
