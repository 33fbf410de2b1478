/** One body part: its media type and its octets, already base64. */
export interface BodyPart {
  readonly contentType: string;
  readonly base64: Uint8Array;
}

/** No line of base64 begins with a hyphen, so a fixed boundary never stands inside a part (RFC 2046 §5.1.1). */
const BOUNDARY = 'muster-est-part';

/** The media type of {@link encodeMultipart}'s octets. The boundary needs no quotes, and old parsers strip none. */
export const MULTIPART_MIXED = `multipart/mixed; boundary=${BOUNDARY}`;

/** A multipart/mixed body (RFC 2046 §5.1.3) of base64 parts in the order given; in one buffer, so that it can be erased. */
export function encodeMultipart(parts: readonly BodyPart[]): Uint8Array<ArrayBuffer> {
  const ascii = new TextEncoder();
  const chunks = parts.flatMap(({ contentType, base64 }) => [
    ascii.encode(`--${BOUNDARY}\r\nContent-Type: ${contentType}\r\nContent-Transfer-Encoding: base64\r\n\r\n`),
    base64,
    ascii.encode('\r\n'),
  ]);
  chunks.push(ascii.encode(`--${BOUNDARY}--\r\n`));
  const body = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
