import { type IncomingMessage, type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { canonicalHeaderName, isCanonical } from './canonical-header.ts';

type Headers = OutgoingHttpHeaders | OutgoingHttpHeader[];

/**
 * The answer on every device listener: header names in canonical spelling, and never `Transfer-Encoding: chunked`
 * (neither libest nor strongSwan reads it). An answer whose length is not known ends with the connection.
 */
export class DeviceResponse extends ServerResponse {
  constructor(request: IncomingMessage) {
    super(request);
    this.useChunkedEncodingByDefault = false;
  }

  override setHeader(name: string, value: number | string | readonly string[]): this {
    return super.setHeader(canonicalHeaderName(name), value);
  }

  override writeHead(statusCode: number, second?: string | Headers, third?: Headers): this {
    if (typeof second === 'string') return super.writeHead(statusCode, second, canonicalHeaders(third));
    return super.writeHead(statusCode, canonicalHeaders(second ?? third));
  }
}

function canonicalHeaders(headers: Headers | undefined): Headers | undefined {
  if (headers === undefined) return undefined;
  if (Array.isArray(headers)) {
    // The hot paths spell their names as they should be: nothing is copied for them.
    if (headers.every((part, index) => index % 2 === 1 || isCanonical(part))) return headers;
    return headers.map((part, index) => (index % 2 === 0 ? canonicalHeaderName(String(part)) : part));
  }
  const canonical: OutgoingHttpHeaders = {};
  for (const name in headers) canonical[canonicalHeaderName(name)] = headers[name];
  return canonical;
}
