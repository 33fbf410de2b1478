import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

import type { ListenerName, ObservedRequest } from './listener.ts';
import type { Pressure } from './pressure.ts';

/** A path prefix that is answered on Node's server itself, for answers that cost less than a framework around them. */
export interface Shortcut {
  /** Begins and ends with a slash. */
  readonly prefix: string;
  readonly handler: RequestListener;
}

interface Registered extends Shortcut {
  /** As metrics name it. */
  readonly route: string;
}

/** What a listener does for every request, whoever answers it. */
export interface ShortcutContext {
  readonly listener: ListenerName;
  readonly pressure: Pressure;
  readonly observe: (request: ObservedRequest) => void;
}

/**
 * Shortcuts of one listener, in front of its framework: requests are turned away under pressure, observed, and told to close their
 * connection while the listener stops, like all others.
 */
export class Shortcuts {
  readonly #context: ShortcutContext;
  readonly #shortcuts: Registered[] = [];
  #stopping = false;

  constructor(context: ShortcutContext) {
    this.#context = context;
  }

  add(shortcut: Shortcut): void {
    this.#shortcuts.push({ ...shortcut, route: `${shortcut.prefix}*` });
  }

  /** From now on each answer ends its connection. */
  stop(): void {
    this.#stopping = true;
  }

  /** Answers a request below one of the prefixes; false: it is nobody's here. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const url = request.url ?? '';
    const shortcut = this.#shortcuts.find(({ prefix }) => url.startsWith(prefix));
    if (shortcut === undefined) return false;
    const start = performance.now();
    if (this.#stopping) response.shouldKeepAlive = false;
    const refusal = this.#context.pressure.refusal();
    if (refusal === undefined) shortcut.handler(request, response);
    else refuse(response, refusal.message, refusal.retryAfterSeconds ?? 5);
    // What is answered at once costs no listener.
    if (response.writableEnded) this.#observe(shortcut, request, response, start);
    else response.on('finish', () => this.#observe(shortcut, request, response, start));
    return true;
  }

  #observe({ route }: Registered, { method = '' }: IncomingMessage, response: ServerResponse, start: number): void {
    const { listener, observe } = this.#context;
    observe({ listener, route, method, status: response.statusCode, seconds: (performance.now() - start) / 1000 });
  }
}

function refuse(response: ServerResponse, message: string, retryAfterSeconds: number): void {
  const text = `${message}\n`;
  const headers = {
    'content-type': 'text/plain',
    'content-length': text.length,
    'retry-after': String(retryAfterSeconds),
  };
  response.writeHead(503, headers).end(text);
}
