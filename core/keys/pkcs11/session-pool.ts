import type { TokenSession } from './token-session.ts';
import { TokenFault } from './token-fault.ts';

/** The sessions of one token: opened when needed, up to a limit, last used first; one that failed is not used again. */
export class SessionPool {
  readonly #open: () => TokenSession;
  readonly #limit: number;
  readonly #free: TokenSession[] = [];
  /** Holds the sessions that are out, and with them the buffers native code writes to. */
  readonly #out = new Set<TokenSession>();
  #closed = false;

  constructor(limit: number, open: () => TokenSession) {
    this.#limit = limit;
    this.#open = open;
  }

  /** A session for the caller alone. Throws TokenFault `failed` when all are out: the caller queues before. */
  acquire(): TokenSession {
    const session = this.#free.pop() ?? this.#openAnother();
    this.#out.add(session);
    return session;
  }

  release(session: TokenSession): void {
    if (!this.#out.delete(session)) return;
    if (this.#closed) session.close();
    else this.#free.push(session);
  }

  /** Closes a session that failed: an operation may still be active on it. */
  discard(session: TokenSession): void {
    if (this.#out.delete(session)) session.close();
  }

  /** Closes the sessions nobody uses; those that are out are closed when they come back. */
  close(): void {
    this.#closed = true;
    for (const session of this.#free.splice(0)) session.close();
  }

  #openAnother(): TokenSession {
    if (this.#out.size >= this.#limit) throw new TokenFault('failed', `all ${this.#limit} sessions are in use`);
    return this.#open();
  }
}
