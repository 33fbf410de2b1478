import { Type } from 'typebox';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { actorOf, ROLES, ROLE_SCOPES, SCOPES } from './access.ts';
import { principalOf } from './authentication.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import { createToken, listTokens, revokeToken, type TokenDescription } from './tokens.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

const role = Type.Enum(ROLES, { description: 'The most it may do.' });
const scopes = Type.Array(Type.Enum(SCOPES), { uniqueItems: true, minItems: 1 });

const tokenView = Type.Object({
  id: Type.String(),
  tenant: Type.Optional(Type.String({ description: 'Absent: a token of the installation.' })),
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
    lifetimeSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000 })),
  },
  { additionalProperties: false },
);

const issuedToken = Type.Object({ id: Type.String(), token: Type.String({ description: 'Shown this once.' }) });

/** Bearer tokens: list, create (shown once), revoke. */
export function tokenRoutes(app: ApiScope, store: Store): void {
  const tags = ['tokens'];
  app.get(
    '/tokens',
    {
      config: { access: 'tokens:read', about: 'either' },
      schema: { tags, summary: 'List bearer tokens', querystring: listQuery({}), response: { 200: pageOf(tokenView) } },
    },
    ({ query, tenant }) => {
      const now = store.clock.now();
      return readPage(
        pageFrom(query),
        (page) => listTokens(store, tenant ?? undefined, page),
        (row) => row.id,
        (row) => viewOf(row, now),
      );
    },
  );
  app.post(
    '/tokens',
    {
      config: { access: 'tokens:write', about: 'either' },
      schema: {
        tags,
        summary: 'Create a bearer token',
        querystring: objectQuery,
        body: tokenDraft,
        response: { 201: issuedToken },
      },
    },
    async (request, reply) => {
      const { label, lifetimeSeconds, scopes: narrowed } = request.body;
      const principal = principalOf(request);
      for (const scope of narrowed ?? ROLE_SCOPES[request.body.role]) {
        if (!principal.scopes.has(scope))
          throw new PolicyError('not-authorized', `a token cannot give away ${scope}, which it does not have`);
      }
      const draft = { label, role: request.body.role, scopes: narrowed, lifetimeSeconds };
      const tenant = request.tenant ?? undefined;
      const issued = await store.unit((tx) =>
        createToken(tx, store.clock.now(), { ...draft, tenant, createdBy: actorOf(principal) }),
      );
      return reply.code(201).send({ id: issued.id, token: issued.token.reveal() });
    },
  );
  app.delete(
    '/tokens/:id',
    {
      config: { access: 'tokens:write', about: 'either' },
      schema: {
        tags,
        summary: 'Revoke a bearer token',
        params: idParameters,
        querystring: objectQuery,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const actor = actorOf(principalOf(request));
      const { id } = request.params;
      const revoked = await store.unit((tx) =>
        revokeToken(tx, store.clock.now(), request.tenant ?? undefined, id, actor),
      );
      if (!revoked) throw new PeerError('not-found', 'no such token, or it is revoked already');
      return reply.code(204).send(null);
    },
  );
}

function viewOf(row: TokenDescription, now: number) {
  const expired = row.expires_at !== null && row.expires_at <= now;
  return {
    id: row.id,
    ...present('tenant', row.tenant),
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
