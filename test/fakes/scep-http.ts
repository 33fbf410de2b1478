import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

/** An HTTP answer: the header names in the case they came in, which old devices compare. */
export interface HttpAnswer {
  readonly status: number;
  readonly statusLine: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Ends a test in which a server stopped to answer. */
const ANSWER_LIMIT_MS = 20_000;

/**
 * Sends octets to a plain HTTP server and reads until it closes the connection, as devices did before HTTP/1.1. Chunked
 * bodies are not understood: they stay as they are.
 */
export async function speak(url: string, request: string | Uint8Array): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port || 80) });
  socket.setTimeout(ANSWER_LIMIT_MS, () => socket.destroy(new NoAnswer(`nothing came for ${ANSWER_LIMIT_MS} ms`)));
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(request);
  await once(socket, 'end');
  socket.destroy();
  return parse(Buffer.concat(chunks));
}

/** What a newer client sends. */
export interface HttpCall {
  readonly headers: Readonly<Record<string, string>>;
  /** Makes it a POST. */
  readonly body?: Uint8Array;
  /** PEM of whom to trust, for https. */
  readonly ca?: string | undefined;
}

/** One request over HTTP/1.1, or over HTTPS without a client certificate. */
export async function ask(url: string, { headers, body, ca }: HttpCall): Promise<HttpAnswer> {
  const method = body === undefined ? 'GET' : 'POST';
  const options = { method, headers, agent: false, signal: AbortSignal.timeout(ANSWER_LIMIT_MS), ...(ca && { ca }) };
  const outgoing = url.startsWith('https:') ? httpsRequest(url, options) : httpRequest(url, options);
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { statusCode: status = 0, statusMessage = '', rawHeaders } = response;
  const names = rawHeaders.filter((_, at) => at % 2 === 0);
  const pairs = names.map((name, at) => [name, rawHeaders[2 * at + 1] ?? ''] as const);
  return {
    status,
    statusLine: `HTTP/${response.httpVersion} ${status} ${statusMessage}`,
    headers: new Map(pairs),
    body: Buffer.concat(chunks),
  };
}

function parse(octets: Buffer): HttpAnswer {
  const end = octets.indexOf('\r\n\r\n');
  if (end < 0) throw new NoAnswer(`no HTTP answer: ${octets.toString('latin1').slice(0, 200)}`);
  const [statusLine = '', ...lines] = octets.toString('latin1', 0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return { status: Number(statusLine.split(' ')[1]), statusLine, headers, body: octets.subarray(end + 4) };
}

class NoAnswer extends Error {}
