import type { AddressInfo } from 'node:net';
import type { Listener } from './listener.ts';

/** Where a listener binds; port 0 takes any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Starts a listener and returns the port it got. Rejects with the system's error (EADDRINUSE, EACCES). */
export async function listen(listener: Listener, address: ListenAddress): Promise<number> {
  await listener.app.listen({ host: address.host, port: address.port });
  return portOf(listener);
}

/** The port of a listener that listens. */
export function portOf(listener: Listener): number {
  return (listener.app.server.address() as AddressInfo).port;
}

/**
 * Stops listeners gracefully: accepts nothing new, closes idle connections, lets requests in flight finish, and after
 * `graceSeconds` closes what is left. Resolves when all are closed.
 */
export async function stopListeners(listeners: readonly Listener[], graceSeconds: number): Promise<void> {
  const expired = setTimeout(() => {
    for (const listener of listeners) listener.app.server.closeAllConnections();
  }, graceSeconds * 1000);
  try {
    await Promise.all(listeners.map((listener) => closeListener(listener)));
  } finally {
    clearTimeout(expired);
  }
}

async function closeListener(listener: Listener): Promise<void> {
  // A connection that falls idle while others still work is closed at once, not after its keep-alive time.
  const idle = setInterval(() => listener.app.server.closeIdleConnections(), 100);
  try {
    await listener.app.close();
  } finally {
    clearInterval(idle);
  }
}
