import { Type } from 'typebox';
import type { Store } from '../../core/store/store.ts';
import { getOrder, listOrdersOf } from '../../protocols/acme/administration.ts';
import type { AuthorizationRow, OrderRow } from '../../protocols/acme/tables.ts';
import { tenantIdOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

interface AcmeOrderContext {
  readonly store: Store;
}

const tags = ['acme'];
const config = { access: 'acme:read' } as const;
const status = Type.Enum(['pending', 'ready', 'processing', 'valid', 'invalid']);
const identifier = Type.Object({ type: Type.String(), value: Type.String() });
const problem = Type.Object({ type: Type.String(), detail: Type.String() }, { additionalProperties: true });

const orderMembers = {
  id: Type.String(),
  endpoint: Type.String({ description: 'Label of the endpoint.' }),
  account: Type.String({ description: 'Id of the account.' }),
  status,
  identifiers: Type.Array(identifier),
  profile: Type.Optional(Type.String()),
  eabKey: Type.Optional(Type.String({ description: 'Id of the secret that vouches for the names.' })),
  replaces: Type.Optional(Type.String({ description: 'Id of the certificate it replaces.' })),
  certificate: Type.Optional(Type.String({ description: 'Id of the certificate.' })),
  error: Type.Optional(problem),
  source: Type.String({ description: 'Address it came from.' }),
  expiresAt: timestamp('Until when it waits for its client.'),
  createdAt: timestamp('When it came.'),
  updatedAt: timestamp('When it last changed.'),
};

const authorizationView = Type.Object({
  id: Type.String(),
  identifier,
  wildcard: Type.Boolean(),
  status: Type.String(),
  challenge: Type.Optional(Type.String({ description: 'The challenge that was answered.' })),
  attempts: Type.Integer({ description: 'How often it was looked at in vain.' }),
  error: Type.Optional(problem),
  evidence: Type.Optional(Type.String({ description: 'Id of the evidence that proved it.' })),
  validatedAt: Type.Optional(timestamp('When it was proved.')),
  expiresAt: timestamp('Until when it holds.'),
});

const orderView = Type.Object(orderMembers);
const wholeOrderView = Type.Object({ ...orderMembers, authorizations: Type.Array(authorizationView) });

/** ACME orders: list, and show with what was proved for each name. */
export function acmeOrderRoutes(app: ApiScope, context: AcmeOrderContext): void {
  listRoute(app, context);
  showRoute(app, context);
}

function listRoute(app: ApiScope, { store }: AcmeOrderContext): void {
  const filters = {
    account: Type.Optional(Type.String({ description: 'Id of an account.', minLength: 1, maxLength: 64 })),
    status: Type.Optional(status),
  };
  const schema = {
    tags,
    summary: 'List ACME orders',
    querystring: listQuery(filters),
    response: { 200: pageOf(orderView) },
  };
  app.get('/acme/orders', { config, schema }, (request) => {
    const { account, status: wanted } = request.query;
    return readPage(
      pageFrom(request.query),
      (page) => listOrdersOf(store, tenantIdOf(request), { ...page, account, status: wanted }),
      (row) => row.id,
      viewOf,
    );
  });
}

function showRoute(app: ApiScope, { store }: AcmeOrderContext): void {
  const schema = {
    tags,
    summary: 'Show an ACME order with its authorizations',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: wholeOrderView },
  };
  app.get('/acme/orders/:id', { config, schema }, async (request) => {
    const { order, authorizations } = await getOrder(store, tenantIdOf(request), request.params.id);
    return { ...viewOf(order), authorizations: authorizations.map(authorizationOf) };
  });
}

function viewOf(row: OrderRow) {
  return {
    id: row.id,
    endpoint: row.label,
    account: row.account,
    status: row.status,
    identifiers: JSON.parse(row.identifiers) as { type: string; value: string }[],
    ...present('profile', row.profile),
    ...present('eabKey', row.eab_key),
    ...present('replaces', row.replaces),
    ...present('certificate', row.certificate),
    ...problemIn(row),
    source: row.source_address,
    expiresAt: timeText(row.expires_at),
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  };
}

function authorizationOf(row: AuthorizationRow) {
  return {
    id: row.id,
    identifier: { type: row.type, value: row.value },
    wildcard: row.wildcard === 1,
    status: row.status,
    ...present('challenge', row.challenge),
    attempts: row.attempts,
    ...problemIn(row),
    ...present('evidence', row.evidence),
    ...presentTime('validatedAt', row.validated_at),
    expiresAt: timeText(row.expires_at),
  };
}

function problemIn({ error }: { readonly error: string | null }) {
  return present('error', error === null ? null : (JSON.parse(error) as { type: string; detail: string }));
}
