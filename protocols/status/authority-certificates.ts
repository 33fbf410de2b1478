import type { FastifyInstance } from 'fastify';

import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import { PeerError } from '../../core/errors/muster-error.ts';

/** `GET /ca/<id>.cer`: the certificate that caIssuers in our certificates points to (RFC 5280 §4.2.2.1), DER. */
export function authorityCertificateRoutes(
  app: FastifyInstance,
  { authorities }: { readonly authorities: Pick<AuthorityDirectory, 'publicCertificate'> },
): void {
  app.get<{ Params: { file: string } }>('/ca/:file', async (request, reply) => {
    const [, id] = /^([0-9a-f-]{36})\.cer$/.exec(request.params.file) ?? [];
    const certificate = id === undefined ? undefined : await authorities.publicCertificate(id);
    if (!certificate) throw new PeerError('not-found', 'no authority has this certificate');
    return reply.type('application/pkix-cert').header('cache-control', 'max-age=3600').send(Buffer.from(certificate));
  });
}
