import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UpstreamError } from '../../core/errors/muster-error.ts';
import type { ApiScope } from './type-provider.ts';

/** The address that a look on behalf of a watcher comes from; no socket has it. */
export const WATCHER_ADDRESS = 'watcher';

const EVENT_STREAM = 'text/event-stream';
/** A node serves so many watchers: each asks the store once in a while. */
const MAX_WATCHERS = 200;
const LOOK_MILLISECONDS = 1_000;
/** Without news for so long, a comment keeps proxies from closing the connection. */
const SILENT_LOOKS = 15;

/**
 * Lets every GET that answers JSON be watched: asked with `Accept: text/event-stream` it answers as server-sent events (HTML
 * standard §9.2), `snapshot` with the whole answer first and whenever it is not a list, `change` with the items of a list that are
 * new or changed and the ids of those that went. The token is looked at each time, so its end is the stream's end.
 */
export function watchAnswers(api: ApiScope): void {
  let watchers = 0;
  api.addHook('preHandler', async (request, reply) => {
    if (request.method !== 'GET' || request.routeOptions.config.fields === undefined) return;
    if (!(request.headers.accept ?? '').includes(EVENT_STREAM)) return;
    if (watchers >= MAX_WATCHERS)
      throw new UpstreamError('overloaded', `more than ${MAX_WATCHERS} answers are watched`);
    watchers += 1;
    try {
      await watch(api, request, reply);
    } finally {
      watchers -= 1;
    }
  });
}

async function watch(api: ApiScope, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const gone = new AbortController();
  request.raw.socket.once('close', () => gone.abort());
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': EVENT_STREAM, 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  let known: string | undefined;
  for (let silent = 0; !gone.signal.aborted; silent += 1) {
    const body = await look(api, request);
    if (body === undefined) break;
    if (body !== known) {
      raw.write(eventOf(known, body));
      [known, silent] = [body, 0];
    } else if (silent % SILENT_LOOKS === SILENT_LOOKS - 1) raw.write(':\n\n');
    await sleep(LOOK_MILLISECONDS, undefined, { signal: gone.signal, ref: false }).catch(() => undefined);
  }
  raw.end();
}

/** What the same request answers now; undefined when it is refused. */
async function look(api: ApiScope, { url, headers }: FastifyRequest): Promise<string | undefined> {
  const answer = await api.inject({
    url,
    headers: { authorization: headers.authorization ?? '', accept: 'application/json' },
    remoteAddress: WATCHER_ADDRESS,
  });
  return answer.statusCode === 200 ? answer.body : undefined;
}

interface Listed {
  readonly items?: readonly { readonly id?: string }[];
}

function eventOf(before: string | undefined, now: string): string {
  const id = createHash('sha256').update(now).digest('base64url').slice(0, 12);
  const { items } = JSON.parse(now) as Listed;
  const earlier = before === undefined ? undefined : (JSON.parse(before) as Listed).items;
  if (items === undefined || earlier === undefined || items.some((item) => item.id === undefined))
    return `event: snapshot\nid: ${id}\ndata: ${now}\n\n`;
  const known = new Map(earlier.map((item) => [item.id, JSON.stringify(item)]));
  const changed = items.filter((item) => known.get(item.id) !== JSON.stringify(item));
  const left = new Set(items.map((item) => item.id));
  const gone = [...known.keys()].filter((key) => !left.has(key));
  return `event: change\nid: ${id}\ndata: ${JSON.stringify({ changed, gone })}\n\n`;
}
