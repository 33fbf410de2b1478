import { sql } from 'kysely';
import { Type } from 'typebox';
import { StateError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import { ROLE_SCOPES, ROLES, SCOPES } from './access.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiTables } from './token-tables.ts';
import { revokeTokensOfUser } from './tokens.ts';
import type { ApiScope } from './type-provider.ts';
import type { UserRow } from './user-table.ts';
import { present, timestamp, timeText } from './views.ts';

const members = { additionalProperties: false } as const;
const name = Type.String({
  description: 'Unique in its tenant, or in the installation.',
  pattern: '^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$',
  examples: ['alice@example.com'],
});
const role = Type.Enum(ROLES, { description: 'The most that any token of the user may do.' });
const description = Type.String({
  maxLength: 200,
  pattern: '^[^\\u0000-\\u001f\\u007f]+$',
  examples: ['Network operations'],
});
const state = Type.Enum(['active', 'disabled'], { description: '`disabled`: no token of the user is taken.' });

const userView = Type.Object({
  id: Type.String(),
  tenant: Type.Optional(Type.String({ description: 'Id; absent: of the installation.' })),
  name,
  role,
  description: Type.Optional(description),
  state,
  revision: Type.Integer(),
  createdAt: timestamp('When it was made.'),
});

const kind: ResourceKind<UserRow, typeof userView> = {
  noun: 'user',
  path: '/users',
  tag: 'users',
  key: keyParameter,
  access: { read: 'users:read', write: 'users:write' },
  about: 'either',
  view: userView,
  viewOf: ({ id, scope, name: called, role: may, description: about, state: stands, revision, created_at: at }) => ({
    id,
    ...(scope !== '' && { tenant: scope }),
    name: called,
    role: may,
    ...present('description', about),
    state: stands,
    revision,
    createdAt: timeText(at),
  }),
  keyOf: ({ id }) => id,
  find: findUser,
};

/** The user with this id or name: one of the tenant, or with an empty one any by id, and those of the installation by name. */
export function findUser(rows: Pick<Rows, 'db'>, tenant: string, key: string): Promise<UserRow | undefined> {
  return rows
    .db<ApiTables>()
    .selectFrom('users')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', key), eb.and([eb('name', '=', key), eb('scope', '=', tenant)])]))
    .$if(tenant !== '', (query) => query.where('scope', '=', tenant))
    .executeTakeFirst();
}

/** Users: whose tokens these are. Disabling one ends all of them at once. */
export function userRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: {},
    read: (rows, tenant, page) =>
      rows
        .db<ApiTables>()
        .selectFrom('users')
        .selectAll()
        .$if(tenant !== '', (query) => query.where('scope', '=', tenant))
        .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
        .orderBy('id')
        .limit(page.limit)
        .execute(),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, {
    body: Type.Object({ name, role, description: Type.Optional(description) }, members),
    async create(draft, { tenant: scope, at }) {
      const id = newId(at);
      return async (tx) => {
        if ((await findUser(tx, scope, draft.name)) !== undefined)
          throw new StateError('conflict', `the user ${draft.name} exists already`);
        const row = { ...draft, id, scope, description: draft.description ?? null, created_at: at };
        const values = { ...row, state: 'active' as const, revision: 1 };
        await tx.db<ApiTables>().insertInto('users').values(values).execute();
        return id;
      };
    },
  });
  changeResource(app, store, kind, {
    body: Type.Object(
      {
        role: Type.Optional(role),
        state: Type.Optional(state),
        description: Type.Optional(Type.Union([description, Type.Null()])),
      },
      members,
    ),
    apply: async (changes) => async (tx, row) => {
      const { role: may = row.role, state: stands = row.state, description: about = row.description } = changes;
      if (may === row.role && stands === row.state && about === row.description) return;
      const set = { role: may, state: stands, description: about, revision: sql<number>`revision + 1` };
      await tx.db<ApiTables>().updateTable('users').set(set).where('id', '=', row.id).execute();
    },
  });
  removeResource(app, store, kind, {
    summary: 'Delete a user, and revoke what tokens there are',
    async remove(tx, row, { at, actor }) {
      await revokeTokensOfUser(tx, at, row.id, actor);
      await tx.db<ApiTables>().deleteFrom('users').where('id', '=', row.id).execute();
    },
  });
  rolesRoute(app);
}

/** `GET /roles`: what each role may; they are built in. */
function rolesRoute(app: ApiScope): void {
  const view = Type.Object({ name: Type.Enum(ROLES), scopes: Type.Array(Type.Enum(SCOPES)) });
  const schema = {
    tags: ['users'],
    summary: 'The roles, and what each may do',
    response: { 200: Type.Object({ items: Type.Array(view) }) },
  };
  app.get('/roles', { config: { access: 'any' }, schema }, async () => ({
    items: ROLES.map((each) => ({ name: each, scopes: [...ROLE_SCOPES[each]] })),
  }));
}
