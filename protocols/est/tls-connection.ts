import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';

import { PeerError } from '../../core/errors/muster-error.ts';

/** More certificates than any device hierarchy has: what is presented beyond is not looked at. */
const MAX_CHAIN = 10;
/** RFC 9266 §2: the label and the length of tls-exporter. */
const EXPORTER = { label: 'EXPORTER-Channel-Binding', octets: 32 };
/** Our own label, as RFC 5705 §4 has it: what the device puts into its evidence where the endpoint asks for no other nonce. */
const EVIDENCE_EXPORTER = { label: 'EXPORTER-muster-attestation-nonce', octets: 32 };
const NO_CONTEXT = Buffer.alloc(0);

/** What EST asks of the TLS connection a request came on. */
export interface TlsConnection {
  /** The certificates the client presented, leaf first, DER, as presented: not validated. Empty without one. */
  readonly certificateChain: readonly Uint8Array[];
  /** tls-unique (RFC 5929) under TLS 1.2, tls-exporter (RFC 9266) under TLS 1.3. */
  channelBinding(): Uint8Array;
  /**
   * A nonce for evidence that only the two ends of this connection know, of 32 octets.
   * @throws PeerError `bad-channel-binding` below TLS 1.3, where an exporter may be the same for two connections (RFC 7627 §1)
   */
  evidenceNonce(): Uint8Array;
}

const connections = new WeakMap<TLSSocket, TlsConnection>();

/**
 * The TLS side of a request. What the handshake fixed is read once a connection; whether the certificate is to be
 * believed is asked anew at each request.
 *
 * @throws PeerError `unsupported-operation` on a connection without TLS (RFC 7030 §3.3)
 */
export function tlsConnectionOf(socket: Socket): TlsConnection {
  if (!(socket instanceof TLSSocket)) throw new PeerError('unsupported-operation', 'EST is served over TLS only');
  const known = connections.get(socket);
  if (known !== undefined) return known;
  const connection = {
    certificateChain: presentedChain(socket),
    channelBinding: () => channelBinding(socket),
    evidenceNonce: () => evidenceNonce(socket),
  };
  connections.set(socket, connection);
  return connection;
}

function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < MAX_CHAIN) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

function channelBinding(socket: TLSSocket): Uint8Array {
  if (socket.getProtocol() === 'TLSv1.3') {
    // RFC 9266 §2: the context value is a zero-length string.
    return socket.exportKeyingMaterial(EXPORTER.octets, EXPORTER.label, NO_CONTEXT);
  }
  // RFC 5929 §3.1: the first Finished message of the handshake: the client's, in an abbreviated one the server's.
  const finished = socket.isSessionReused() ? socket.getFinished() : socket.getPeerFinished();
  if (finished === undefined) throw new PeerError('bad-channel-binding', 'this TLS connection has no channel binding');
  return finished;
}

function evidenceNonce(socket: TLSSocket): Uint8Array {
  if (socket.getProtocol() !== 'TLSv1.3')
    throw new PeerError('bad-channel-binding', 'evidence is bound to the connection here: expected TLS 1.3');
  return socket.exportKeyingMaterial(EVIDENCE_EXPORTER.octets, EVIDENCE_EXPORTER.label, NO_CONTEXT);
}
