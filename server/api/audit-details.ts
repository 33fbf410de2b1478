import { createHash } from 'node:crypto';

/** Octets of what was sent that an audit entry holds; a longer text is held by its hash. */
const MAX_TEXT_OCTETS = 8_192;

/** What an audit entry says of the body of a request: its JSON, or of a long one the hash. */
export function auditDetails(body: object): Readonly<Record<string, string>> {
  const text = JSON.stringify(body);
  if (text === '{}') return {};
  if (Buffer.byteLength(text) <= MAX_TEXT_OCTETS) return { changes: text };
  return { changesSha256: createHash('sha256').update(text).digest('hex') };
}
