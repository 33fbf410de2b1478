import type { Server, Socket } from 'node:net';

/**
 * Refuses a source's connections beyond `perSource` (V39: one slow peer must not take all of them). The connection is
 * reset before TLS or HTTP see it. Zero means no limit.
 */
export function limitConnectionsPerSource(server: Server, perSource: number): void {
  if (perSource === 0) return;
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const source = socket.remoteAddress;
    if (source === undefined) return;
    const count = (open.get(source) ?? 0) + 1;
    if (count > perSource) {
      socket.resetAndDestroy();
      return;
    }
    open.set(source, count);
    socket.once('close', () => release(open, source));
  });
}

function release(open: Map<string, number>, source: string): void {
  const left = (open.get(source) ?? 1) - 1;
  if (left === 0) open.delete(source);
  else open.set(source, left);
}
