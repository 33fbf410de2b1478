import { Type } from 'typebox';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import { actorOf, type Principal, ROLES, ROLE_SCOPES, type Scope, SCOPES } from './access.ts';
import { principalOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import { createToken, listTokens, revokeToken, type TokenDescription } from './tokens.ts';
import type { ApiScope } from './type-provider.ts';
import type { UserRow } from './user-table.ts';
import { findUser } from './users.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

const role = Type.Enum(ROLES, { description: 'The most it may do.' });
const scopes = Type.Array(Type.Enum(SCOPES), { uniqueItems: true, minItems: 1 });

const tokenView = Type.Object({
  id: Type.String(),
  tenant: Type.Optional(Type.String({ description: 'Absent: a token of the installation.' })),
  user: Type.Optional(Type.String({ description: 'Id of the user whose token it is.' })),
  label: Type.String(),
  role,
  scopes,
  state: Type.Enum(['active', 'expired', 'revoked']),
  createdBy: Type.String(),
  createdAt: timestamp('When it was made.'),
  expiresAt: Type.Optional(timestamp('Absent: it does not expire.')),
  lastUsedAt: Type.Optional(timestamp('To about five minutes.')),
});

const tokenDraft = Type.Object(
  {
    label: Type.String({
      description: 'Whose it is or what for.',
      minLength: 1,
      maxLength: 100,
      pattern: '^[^\\u0000-\\u001f]+$',
    }),
    role,
    scopes: Type.Optional(scopes),
    user: Type.Optional(
      Type.String({
        description: 'Name or id of the user whose token it is.',
        minLength: 1,
        maxLength: 64,
        examples: ['alice@example.com'],
      }),
    ),
    lifetimeSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000 })),
  },
  { additionalProperties: false },
);

const issuedToken = Type.Object({ id: Type.String(), token: Type.String({ description: 'Shown this once.' }) });

const tags = ['tokens'];
const writing = { access: 'tokens:write', about: 'either' } as const;

/** Bearer tokens: list, create (shown once), revoke. */
export function tokenRoutes(app: ApiScope, store: Store): void {
  listRoute(app, store);
  createRoute(app, store);
  revokeRoute(app, store);
}

function listRoute(app: ApiScope, store: Store): void {
  const config = { access: 'tokens:read', about: 'either' } as const;
  const schema = {
    tags,
    summary: 'List bearer tokens',
    querystring: listQuery({}),
    response: { 200: pageOf(tokenView) },
  };
  app.get('/tokens', { config, schema }, ({ query, tenant }) => {
    const now = store.clock.now();
    return readPage(
      pageFrom(query),
      (page) => listTokens(store, tenant ?? undefined, page),
      (row) => row.id,
      (row) => viewOf(row, now),
    );
  });
}

function createRoute(app: ApiScope, store: Store): void {
  const schema = {
    tags,
    summary: 'Create a bearer token',
    querystring: objectQuery,
    body: tokenDraft,
    response: { 201: issuedToken },
  };
  app.post('/tokens', { config: writing, schema }, async (request, reply) => {
    const { label, role: wanted, lifetimeSeconds, scopes: narrowed, user: name } = request.body;
    const principal = principalOf(request);
    assertNotMore(principal, narrowed ?? ROLE_SCOPES[wanted]);
    const draft = { label, role: wanted, scopes: narrowed, lifetimeSeconds, createdBy: actorOf(principal) };
    const tenant = request.tenant ?? undefined;
    const user = name === undefined ? undefined : (await userOf(store, tenant ?? '', name)).id;
    const issued = await store.unit((tx) => createToken(tx, store.clock.now(), { ...draft, tenant, user }));
    return reply.code(201).send({ id: issued.id, token: issued.token.reveal() });
  });
}

function revokeRoute(app: ApiScope, store: Store): void {
  const schema = {
    tags,
    summary: 'Revoke a bearer token',
    params: idParameters,
    querystring: objectQuery,
    response: { 204: Type.Null() },
  };
  app.delete('/tokens/:id', { config: writing, schema }, async (request, reply) => {
    const actor = actorOf(principalOf(request));
    const { id } = request.params;
    const now = store.clock.now();
    const revoked = await store.unit((tx) => revokeToken(tx, now, request.tenant ?? undefined, id, actor));
    if (!revoked) throw new PeerError('not-found', 'no such token, or it is revoked already');
    return reply.code(204).send(null);
  });
}

async function userOf(store: Store, tenant: string, key: string): Promise<UserRow> {
  const user = await findUser(durableRows(store), tenant, key);
  if (user !== undefined) return user;
  throw new PeerError('malformed-request', `user: there is no user ${key} here`);
}

/** A token gives away only what it has. */
function assertNotMore(principal: Principal, scopes: readonly Scope[]): void {
  const missing = scopes.find((scope) => !principal.scopes.has(scope));
  if (missing === undefined) return;
  throw new PolicyError('not-authorized', `a token cannot give away ${missing}, which it does not have`);
}

function viewOf(row: TokenDescription, now: number) {
  const expired = row.expires_at !== null && row.expires_at <= now;
  return {
    id: row.id,
    ...present('tenant', row.tenant),
    ...present('user', row.user_id),
    label: row.label,
    role: row.role,
    scopes: row.scopes === null ? [...ROLE_SCOPES[row.role]] : (JSON.parse(row.scopes) as (typeof SCOPES)[number][]),
    state: row.revoked_at !== null ? ('revoked' as const) : expired ? ('expired' as const) : ('active' as const),
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    ...presentTime('expiresAt', row.expires_at),
    ...presentTime('lastUsedAt', row.last_used_at),
  };
}
