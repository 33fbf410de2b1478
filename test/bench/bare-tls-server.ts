import { createServer } from 'node:tls';

import { tlsServerOptions, type TlsIdentity } from '../../server/http/tls-settings.ts';

/** Run as a child of the bench: nothing but TLS with the settings of the device listener, as limit for new connections. */
process.once('message', (identity) => {
  const server = createServer(tlsServerOptions(identity as TlsIdentity, true), (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => socket.write('ok'));
  });
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as { port: number }).port));
});
process.on('disconnect', () => process.exit(0));
