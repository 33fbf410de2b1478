import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Connection } from './connection.ts';
import { CliError, EXIT, exitCodeOf } from './exit-code.ts';

/** Values of a query string; undefined ones are left out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

interface Problem {
  readonly detail?: string;
  readonly hint?: string;
  readonly code?: string;
  readonly requestId?: string;
}

/** What a request carries. */
interface TextBody {
  readonly text: string;
  readonly contentType: string;
}

const JSON_TYPE = 'application/json';

/** Milliseconds without a byte after which the server counts as gone. */
const silenceMilliseconds = 30_000;

/** Speaks REST to one server. Every failure is a CliError with the exit code of its kind. */
export class ApiClient {
  readonly #connection: Connection;
  readonly #tenant: string | undefined;
  /** One connection for many requests; an idle one does not keep the process. */
  readonly #agent = new Agent({ keepAlive: true });

  /** `tenant` (name or id) is sent with each request; undefined leaves the choice to the server. */
  constructor(connection: Connection, tenant: string | undefined) {
    this.#connection = connection;
    this.#tenant = tenant;
  }

  /** The JSON answer of a GET. */
  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#json<T>('GET', path, query, undefined);
  }

  /** The JSON answer of a POST. */
  post<T>(path: string, body: unknown): Promise<T> {
    return this.#json<T>('POST', path, {}, body);
  }

  /** The JSON answer of a POST of text in a media type of its own. */
  async postText<T>(path: string, query: Query, text: string, contentType: string): Promise<T> {
    const response = await this.#sendText('POST', path, query, { text, contentType });
    return JSON.parse(await textOf(response)) as T;
  }

  /** The JSON answer of a PUT. */
  put<T>(path: string, body: unknown): Promise<T> {
    return this.#json<T>('PUT', path, {}, body);
  }

  /** The JSON answer of a PATCH. */
  patch<T>(path: string, body: unknown, ifMatch?: string): Promise<T> {
    return this.#json<T>('PATCH', path, {}, body, ifMatch);
  }

  async delete(path: string): Promise<void> {
    const response = await this.#send('DELETE', path, {}, undefined);
    response.resume();
  }

  /** The body of a GET as it arrives. */
  stream(path: string, query: Query = {}): Promise<IncomingMessage> {
    return this.#send('GET', path, query, undefined);
  }

  /** At most `limit` items of a list, over as many pages as it takes; `more` says that some are left. */
  async list<T>(path: string, query: Query, limit: number): Promise<{ items: T[]; more: boolean }> {
    const items: T[] = [];
    let cursor: string | undefined;
    do {
      const page: { items: T[]; nextCursor?: string } = await this.get(path, {
        ...query,
        cursor,
        limit: Math.min(500, limit - items.length),
      });
      items.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined && items.length < limit);
    return { items, more: cursor !== undefined };
  }

  async #json<T>(method: string, path: string, query: Query, body: unknown, ifMatch?: string): Promise<T> {
    return JSON.parse(await textOf(await this.#send(method, path, query, body, ifMatch))) as T;
  }

  #send(method: string, path: string, query: Query, body: unknown, ifMatch?: string): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return this.#sendText(
      method,
      path,
      query,
      text === undefined ? undefined : { text, contentType: JSON_TYPE },
      ifMatch,
    );
  }

  async #sendText(
    method: string,
    path: string,
    query: Query,
    body: TextBody | undefined,
    ifMatch?: string,
  ): Promise<IncomingMessage> {
    const url = new URL(`/api/v1${path}`, this.#connection.url);
    for (const [name, value] of Object.entries({ tenant: this.#tenant, ...query })) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const response = await this.#exchange(method, url, body, ifMatch);
    const status = response.statusCode ?? 0;
    if (status < 400) return response;
    throw problemError(status, await textOf(response));
  }

  #exchange(
    method: string,
    url: URL,
    body: TextBody | undefined,
    ifMatch: string | undefined,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const { token, authority } = this.#connection;
    const headers = {
      authorization: `Bearer ${token.reveal()}`,
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
      ...(body !== undefined && {
        'content-type': body.contentType,
        'content-length': Buffer.byteLength(body.text),
      }),
    };
    const request = httpsRequest(
      url,
      { method, headers, agent: this.#agent, ...(authority !== undefined && { ca: authority }) },
      resolve,
    );
    request.setTimeout(silenceMilliseconds, () =>
      request.destroy(new CliError(EXIT.unavailable, `${url.origin} does not answer`)),
    );
    request.on('error', (error) => reject(connectionError(url, error)));
    request.end(body?.text);
    return promise;
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  return Buffer.concat(await response.toArray()).toString('utf8');
}

function problemError(status: number, body: string): CliError {
  let problem: Problem = {};
  try {
    problem = JSON.parse(body) as Problem;
  } catch {
    // A proxy between us and the server answers in its own words.
  }
  const id = status >= 500 && problem.requestId !== undefined ? ` (request ${problem.requestId})` : '';
  const code = problem.code === undefined ? '' : ` [${problem.code}]`;
  return new CliError(
    exitCodeOf(status),
    `${problem.detail ?? `the server answered ${status}`}${code}${id}`,
    problem.hint,
  );
}

function connectionError(url: URL, error: Error & { readonly code?: string }): CliError {
  if (error instanceof CliError) return error;
  const untrusted = error.code !== undefined && /CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(error.code);
  const hint = untrusted
    ? 'give the right root certificate with --ca-file FILE'
    : 'see that the server runs and that the URL is right';
  return new CliError(
    EXIT.unreachable,
    `${url.origin} cannot be ${untrusted ? 'trusted' : 'reached'}: ${error.message}`,
    hint,
    { cause: error },
  );
}
