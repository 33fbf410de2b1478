import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';

import { DeviceFailure } from '../../sdk/failure.ts';
import type { ServiceAddress } from '../../sdk/plan.ts';

/**
 * Lower-case hex SHA-256 of the certificate that a TLS server shows in a new handshake. It is only looked at: whether it is the
 * right one is decided by this value.
 * @throws DeviceFailure `tls-unreachable`
 */
export async function servedCertificate(at: ServiceAddress, timeoutMs: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({
    host: at.host,
    port: at.port,
    rejectUnauthorized: false,
    ...(at.serverName !== undefined && isIP(at.serverName) === 0 && { servername: at.serverName }),
  });
  const fail = (detail: string, cause?: unknown): void =>
    reject(new DeviceFailure('tls-unreachable', `${at.host}:${at.port}: ${detail}`, cause));
  const timer = setTimeout(() => fail(`no handshake within ${timeoutMs} ms`), timeoutMs);
  const stop = (): void => fail('we stopped');
  signal.addEventListener('abort', stop, { once: true });
  socket.once('error', (error) => fail(error.message, error));
  socket.once('close', () => fail('closed before the handshake'));
  socket.once('secureConnect', () => {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) fail('no certificate was shown');
    else resolve(createHash('sha256').update(certificate.raw).digest('hex'));
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}
