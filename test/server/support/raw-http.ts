import { connect } from 'node:net';

/** Sends bytes as they are and returns all that comes back until the peer closes. */
export function exchange(port: number, bytes: string, timeoutMs = 8_000): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no end within the time')));
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('error', reject);
  socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  return promise;
}
