import { Readable } from 'node:stream';

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import type { CrlPublication } from '../../core/authority/crl-jobs.ts';
import type { Crls } from '../../core/authority/crls.ts';
import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { CrlRow } from '../../core/authority/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { CachingClock, httpDate, isUnchanged } from './caching-headers.ts';
import { CrlMemory } from './crl-memory.ts';

/** What the downloads stand on. */
export interface CrlDependencies {
  readonly store: Store;
  readonly authorities: Pick<AuthorityDirectory, 'byId' | 'publicCertificate'>;
  readonly crls: Pick<Crls, 'inForce' | 'octets'>;
}

/** `/crl/<authority>.crl`, `/crl/<authority>/<shard>.crl`, `/crl/<authority>/delta.crl`. */
const PATH = /^\/+crl\/+([0-9a-f-]{36})(?:\/+(0|[1-9]\d{0,3}|delta))?\.crl(?:[?#].*)?$/;

/** CRLs over HTTP (RFC 2585 §3): GET and HEAD, with conditions, in DER. */
export function crlRoutes(app: FastifyInstance, { store, authorities, crls }: CrlDependencies): void {
  const caching = new CachingClock();
  const memory = new CrlMemory(store, crls);

  const publicationOf = async (url: string): Promise<CrlPublication> => {
    const [, authority, scope = 'full'] = PATH.exec(url) ?? [];
    const issuer = authority === undefined ? undefined : await authorities.byId(authority);
    if (!issuer || issuer.kind === 'external') throw new PeerError('not-found', 'no authority has a CRL here');
    return { tenant: issuer.tenant, authority: issuer.id, scope };
  };
  const send = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const url = request.raw.url ?? '';
    const crl = await memory.inForce(url, () => publicationOf(url));
    const maxAge = await memory.maxAgeSeconds(crl.authority);
    const { cacheControl, expires } = caching.headers(store.clock.now(), crl.next_update, maxAge);
    const etag = `"${crl.sha256.slice(0, 32)}"`;
    reply
      // RFC 2585 §4.2.
      .header('content-type', 'application/pkix-crl')
      .header('cache-control', cacheControl)
      .header('expires', expires)
      .header('last-modified', httpDate(crl.published_at))
      .header('etag', etag);
    if (isUnchanged(request.headers, etag, crl.published_at)) return reply.code(304).send();
    reply.header('content-length', crl.size);
    return request.method === 'HEAD' ? reply.send() : reply.send(await body(memory, crl));
  };
  app.route({ method: ['GET', 'HEAD'], url: '/crl/*', handler: send });
}

async function body(memory: CrlMemory, crl: CrlRow): Promise<Buffer | Readable> {
  return memory.keeps(crl) ? memory.octets(crl) : Readable.from(memory.stream(crl));
}
