import type { Socket } from 'node:net';

interface ClientError extends Error {
  readonly code?: string;
  /** What was read last, and how much of it the parser took. */
  readonly rawPacket?: unknown;
  readonly bytesParsed?: number;
}

const answers: Readonly<Record<string, readonly [status: string, text: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the request line and headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['413 Content Too Large', 'the chunk extensions are too large'],
};
const longRequestLine = ['414 URI Too Long', 'the request line is too long'] as const;
const malformed = ['400 Bad Request', 'the request is not well-formed HTTP'] as const;

/** Answers what never became a request: plain text, then close. A failed TLS handshake has nobody to answer. */
export function answerClientError(error: ClientError, socket: Socket): void {
  const code = error.code ?? '';
  if (code === 'ECONNRESET' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, text] = isInRequestLine(error) ? longRequestLine : (answers[code] ?? malformed);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length + 1}\r\nConnection: close\r\n\r\n${text}\n`,
  );
  // A peer that neither reads nor closes may not keep the socket.
  socket.setTimeout(5_000, () => socket.destroy());
}

const lineFeed = 0x0a;

/** Whether too many octets came before the first line ended: that is a long URL, not many headers (RFC 9110 §15.5.15). */
function isInRequestLine({ code, rawPacket, bytesParsed }: ClientError): boolean {
  if (code !== 'HPE_HEADER_OVERFLOW' || !(rawPacket instanceof Uint8Array)) return false;
  return !rawPacket.subarray(0, bytesParsed).includes(lineFeed);
}
