import { constants } from 'node:crypto';
import type { SecureContextOptions, TlsOptions } from 'node:tls';

/** One server certificate: the private key and the chain, leaf first, both PEM. */
export interface ServerCertificate {
  readonly key: string;
  readonly chain: string;
}

/**
 * The server certificates of a TLS listener: RSA-2048 for old stacks and P-256 for the others; OpenSSL picks one by
 * what the client offers.
 */
export interface TlsIdentity {
  readonly certificates: readonly ServerCertificate[];
}

/** What `setSecureContext` takes on renewal, too: everything that belongs to the context and not to the server. */
export function secureContextOptions(identity: TlsIdentity): SecureContextOptions {
  return {
    key: identity.certificates.map((certificate) => certificate.key),
    cert: identity.certificates.map((certificate) => certificate.chain),
    // An empty list: OpenSSL verifies nothing here (path validation is ours) and the CertificateRequest names no
    // acceptable authority, because clients with an IDevID of another hierarchy would send none (RFC 5246 §7.4.4).
    ca: [],
    minVersion: 'TLSv1.2',
    // A resumed session shows the leaf only and has another tls-unique; a renegotiated one has a second Finished.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  };
}

/** The settings of one TLS listener. `requestCertificate` asks for, and never insists on, a client certificate. */
export function tlsServerOptions(identity: TlsIdentity, requestCertificate: boolean): TlsOptions {
  return {
    ...secureContextOptions(identity),
    requestCert: requestCertificate,
    // Self-signed, expired and unknown certificates must reach us: they are judged (and refused with a reason) above.
    rejectUnauthorized: false,
    // libest and strongSwan speak HTTP/1.1 only; HTTP/2 lower-cases header names.
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: 10_000,
  };
}
