import { Type } from 'typebox';

import { listAuthorities } from '../../core/authority/authorities.ts';
import { authorityStanding, revokeAuthority } from '../../core/authority/authority-revocation.ts';
import { crlsOfTenant } from '../../core/authority/crl-records.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import { changeStatusLifetimes, statusLifetimes } from '../../core/authority/status-lifetimes.ts';
import type { AuthorityRow } from '../../core/authority/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import { authorityRevocationBody, authorityRevocationView, authorityStatusView } from './revocation-schema.ts';
import { crlOf } from './revocations.ts';
import { lifetimesBody, lifetimesView } from './status-lifetimes-schema.ts';
import type { ApiScope } from './type-provider.ts';
import { present, timeText } from './views.ts';

/** What these routes stand on. */
export interface AuthorityStatusContext {
  readonly store: Store;
  readonly revocations: Pick<RevocationView, 'look'>;
}

const tags = ['authorities'];
const reading = { access: 'authorities:read' } as const;
const writing = { access: 'authorities:write' } as const;

const authorityParameters = Type.Object({
  id: Type.String({ description: 'Id or name.', minLength: 1, maxLength: 128 }),
});

/** What relying parties are told of an authority: for how long, and that it is revoked. */
export function authorityStatusRoutes(app: ApiScope, context: AuthorityStatusContext): void {
  statusRoute(app, context);
  changeLifetimesRoute(app, context);
  revokeRoute(app, context);
}

function statusRoute(app: ApiScope, { store }: AuthorityStatusContext): void {
  const schema = {
    tags,
    summary:
      'What relying parties are told: how an authority stands, its CRLs, and how long they may keep what they are told',
    params: authorityParameters,
    querystring: objectQuery,
    response: { 200: authorityStatusView },
  };
  app.get('/authorities/:id/status', { config: reading, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id, parent, certificate } = await authorityOf(store, tenant, request.params.id);
    const { serialNumber } = parseCertificate(certificate);
    const standing = parent === null ? undefined : await authorityStanding(store, parent, serialNumber);
    const crls = await crlsOfTenant(store, tenant);
    return {
      standing: standing?.kind === 'revoked' ? ('revoked' as const) : ('good' as const),
      ...(standing?.kind === 'revoked' && { revokedAt: timeText(standing.at), ...present('reason', standing.reason) }),
      lifetimes: await statusLifetimes(store, id),
      crls: crls.filter(({ authority }) => authority === id).map(crlOf),
    };
  });
}

function changeLifetimesRoute(app: ApiScope, { store }: AuthorityStatusContext): void {
  const schema = {
    tags,
    summary: 'Change how long relying parties may keep OCSP answers and CRLs of an authority',
    description:
      'CRLs are published anew. OCSP answers that were signed before are replaced when half of their life is over.',
    params: authorityParameters,
    querystring: objectQuery,
    body: lifetimesBody,
    response: { 200: lifetimesView },
  };
  app.patch('/authorities/:id/lifetimes', { config: writing, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id: authority } = await authorityOf(store, tenant, request.params.id);
    const change = { tenant, authority, changes: request.body, actor: actorOf(principalOf(request)) };
    return store.unit((tx) => changeStatusLifetimes(tx, { ...change, at: store.clock.now() }));
  });
}

function revokeRoute(app: ApiScope, { store, revocations }: AuthorityStatusContext): void {
  const schema = {
    tags,
    summary: 'Revoke an issuing authority, by the one above it',
    description:
      'For good. No endpoint issues by it any more, and its certificates are no credentials here. Its CRLs go on. Start a rollover for a successor, before or after.',
    params: authorityParameters,
    querystring: objectQuery,
    body: authorityRevocationBody,
    response: { 200: authorityRevocationView },
  };
  app.post('/authorities/:id/revoke', { config: writing, schema }, async (request) => {
    const { reason, invalidityDate, comment } = request.body;
    const wish = {
      tenant: tenantIdOf(request),
      authority: request.params.id,
      reason,
      actor: actorOf(principalOf(request)),
      at: store.clock.now(),
      invalidityDate: invalidityDate === undefined ? undefined : Date.parse(invalidityDate),
      comment,
    };
    const { id, name, serialNumber, outcome } = await store.unit((tx) => revokeAuthority(tx, wish));
    await revocations.look();
    return { authority: id, name, serialNumber, outcome };
  });
}

async function authorityOf(store: Store, tenant: string, key: string): Promise<AuthorityRow> {
  const rows = await listAuthorities(store, tenant);
  const authority = rows.find(({ id, name, kind }) => kind !== 'external' && (id === key || name === key));
  if (authority === undefined) throw new PeerError('not-found', 'no such authority');
  return authority;
}
