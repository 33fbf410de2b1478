import type { FastifyPluginAsync } from 'fastify';

import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import { authorityCertificateRoutes } from './authority-certificates.ts';
import { type CrlDependencies, crlRoutes } from './crl-http.ts';
import { type HttpHandler, ocspHandler, type OcspObserver } from './ocsp-http.ts';
import { type OcspDependencies, OcspResponder } from './service.ts';

/** What the status services stand on. */
export interface StatusDependencies extends OcspDependencies, CrlDependencies {
  readonly authorities: Pick<AuthorityDirectory, 'byId' | 'allOf' | 'certified' | 'publicCertificate'>;
  /** Told of each answer of the responder. */
  readonly observe?: OcspObserver;
}

/** The status services, for a listener without TLS: who asks about a certificate cannot be made to verify one first. */
export interface StatusServices {
  /** OCSP: every request whose path starts with {@link OCSP_PREFIX}. */
  readonly ocsp: HttpHandler;
  /** CRLs below `/crl/` and certificates of authorities below `/ca/`. */
  readonly downloads: FastifyPluginAsync;
}

/** Where OCSP is served. */
export const OCSP_PREFIX = '/ocsp/';

/** Wires OCSP, CRLs and certificates of authorities. */
export function statusServices(dependencies: StatusDependencies): StatusServices {
  const responder = new OcspResponder(dependencies);
  return {
    ocsp: ocspHandler(responder, dependencies),
    downloads: async (app) => {
      app.addHook('onClose', async () => responder.close());
      crlRoutes(app, dependencies);
      authorityCertificateRoutes(app, dependencies);
    },
  };
}
