import { Type } from 'typebox';
import type { StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { endAccount, getAccount, listAccounts } from '../../protocols/acme/administration.ts';
import type { AccountRow } from '../../protocols/acme/tables.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timestamp, timeText } from './views.ts';

interface AcmeAccountContext {
  readonly store: Store;
  readonly endpoints: Pick<StoredEndpoints, 'resolve'>;
}

const tags = ['acme'];
const reading = { access: 'acme:read' } as const;
const status = Type.Enum(['valid', 'deactivated', 'revoked'], {
  description: '`deactivated` by its client, `revoked` by an operator.',
});

const accountView = Type.Object({
  id: Type.String(),
  endpoint: Type.String({ description: 'Id of the endpoint.' }),
  status,
  thumbprint: Type.String({ description: 'Of its key (RFC 7638).' }),
  contact: Type.Array(Type.String()),
  termsOfService: Type.Optional(Type.String({ description: 'URL of the terms that were agreed to.' })),
  eabKey: Type.Optional(Type.String({ description: 'Id of the secret it was made with.' })),
  source: Type.String({ description: 'Address it was made from.' }),
  createdAt: timestamp('When it was made.'),
});

/** ACME accounts: list, show, end. */
export function acmeAccountRoutes(app: ApiScope, context: AcmeAccountContext): void {
  listRoute(app, context);
  showRoute(app, context);
  endRoute(app, context);
}

function listRoute(app: ApiScope, { store, endpoints }: AcmeAccountContext): void {
  const filters = {
    endpoint: Type.Optional(Type.String({ description: 'Label of an endpoint.', minLength: 1, maxLength: 63 })),
    status: Type.Optional(status),
    eabKey: Type.Optional(Type.String({ description: 'Id of a secret.', minLength: 1, maxLength: 64 })),
  };
  const schema = {
    tags,
    summary: 'List ACME accounts',
    querystring: listQuery(filters),
    response: { 200: pageOf(accountView) },
  };
  app.get('/acme/accounts', { config: reading, schema }, async (request) => {
    const { endpoint: label, status: wanted, eabKey } = request.query;
    const tenant = tenantIdOf(request);
    const endpoint = label === undefined ? undefined : await endpointId(endpoints, tenant, label);
    return readPage(
      pageFrom(request.query),
      (page) => listAccounts(store, tenant, { ...page, endpoint, status: wanted, eabKey }),
      (row) => row.id,
      viewOf,
    );
  });
}

function showRoute(app: ApiScope, { store }: AcmeAccountContext): void {
  const schema = {
    tags,
    summary: 'Show an ACME account',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: accountView },
  };
  app.get('/acme/accounts/:id', { config: reading, schema }, async (request) =>
    viewOf(await getAccount(store, tenantIdOf(request), request.params.id)),
  );
}

function endRoute(app: ApiScope, { store }: AcmeAccountContext): void {
  const schema = {
    tags,
    summary: 'End an ACME account: its key signs nothing more; its certificates stay',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: accountView },
  };
  app.post('/acme/accounts/:id/deactivate', { config: { access: 'acme:write' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    await endAccount(store, { tenant, id, actor: actorOf(principalOf(request)), at: store.clock.now() });
    return viewOf(await getAccount(store, tenant, id));
  });
}

async function endpointId(endpoints: AcmeAccountContext['endpoints'], tenant: string, label: string): Promise<string> {
  const endpoint = await endpoints.resolve(label);
  if (endpoint?.tenant !== tenant) throw new PeerError('unknown-endpoint', 'no endpoint has this label');
  return endpoint.id;
}

function viewOf(row: AccountRow) {
  return {
    id: row.id,
    endpoint: row.endpoint,
    status: row.status,
    thumbprint: row.thumbprint,
    contact: JSON.parse(row.contact) as string[],
    ...present('termsOfService', row.terms),
    ...present('eabKey', row.eab_key),
    source: row.source_address,
    createdAt: timeText(row.created_at),
  };
}
