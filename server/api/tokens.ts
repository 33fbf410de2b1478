import { createHash } from 'node:crypto';
import { appendAudit } from '../../core/audit/log.ts';
import { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { type Principal, type Role, ROLE_SCOPES, type Scope } from './access.ts';
import type { ApiTables, ApiTokenRow } from './token-tables.ts';

/** Octets of randomness in a token: far beyond guessing, so a plain hash is enough to keep it. */
const tokenOctets = 32;
/** Lets secret scanners (and people) know one of ours where it leaked. */
const tokenPrefix = 'mst_';
const tokenPattern = /^mst_[\w-]{43}$/;
/** How often the time of the last use is written down. */
const lastUsedGrainMilliseconds = 5 * 60 * 1000;

/** What a new token shall be. */
export interface TokenRequest {
  readonly label: string;
  readonly role: Role;
  /** Undefined: all tenants. */
  readonly tenant: string | undefined;
  /** Narrows the role; undefined: all it may. */
  readonly scopes: readonly Scope[] | undefined;
  /** Undefined: does not expire. */
  readonly lifetimeSeconds: number | undefined;
  /** Id of the user whose token it is: it never does more than that user may. */
  readonly user?: string | undefined;
  /** For the audit log: `token:…`, `system:…`. */
  readonly createdBy: string;
}

/** A token as made: its text exists here and nowhere else. */
export interface IssuedToken {
  readonly id: string;
  readonly token: Secret;
}

/** Everything of a token but its hash. */
export type TokenDescription = Omit<ApiTokenRow, 'hash'>;

/** Makes a bearer token and records it; the only copy of its text is in the answer. */
export async function createToken(tx: Unit, now: number, request: TokenRequest): Promise<IssuedToken> {
  const token = new Secret(tokenPrefix + Secret.random(tokenOctets).reveal());
  const id = newId(now);
  await tx
    .db<ApiTables>()
    .insertInto('api_tokens')
    .values({
      id,
      tenant: request.tenant ?? null,
      label: request.label,
      role: request.role,
      scopes: request.scopes === undefined ? null : JSON.stringify(request.scopes),
      hash: hashOf(token.reveal()),
      created_by: request.createdBy,
      created_at: now,
      expires_at: request.lifetimeSeconds === undefined ? null : now + request.lifetimeSeconds * 1000,
      last_used_at: null,
      revoked_at: null,
      user_id: request.user ?? null,
    })
    .execute();
  await auditToken(tx, now, request.createdBy, 'token.created', id, request.tenant, {
    label: request.label,
    role: request.role,
  });
  return { id, token };
}

/** The principal of a bearer token's text; undefined when it is unknown, expired or revoked. Notes its use now and then. */
export async function authenticateToken(store: Store, text: string): Promise<Principal | undefined> {
  if (!tokenPattern.test(text)) return undefined;
  const now = store.clock.now();
  const [row] = await store.query(tokenByHash, { hash: hashOf(text) });
  if (row === undefined || row.revoked_at !== null || row.user_state === 'disabled') return undefined;
  if (row.expires_at !== null && row.expires_at <= now) return undefined;
  if (now - (row.last_used_at ?? 0) > lastUsedGrainMilliseconds) {
    await store.unit((tx) => tx.affected(touchToken, { id: row.id, now }));
  }
  return {
    tokenId: row.id,
    label: row.label,
    role: row.role,
    scopes: scopesOf(row),
    tenant: row.tenant ?? undefined,
  };
}

/** Tokens in order of id, after `after`: those of one tenant, or of all and the installation when it is undefined. */
export function listTokens(
  store: Store,
  tenant: string | undefined,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<TokenDescription[]> {
  let query = store
    .read<ApiTables>()
    .selectFrom('api_tokens')
    .select([
      'id',
      'tenant',
      'label',
      'role',
      'scopes',
      'created_by',
      'created_at',
      'expires_at',
      'last_used_at',
      'revoked_at',
      'user_id',
    ]);
  if (tenant !== undefined) query = query.where('tenant', '=', tenant);
  if (page.after !== undefined) query = query.where('id', '>', page.after);
  return query.orderBy('id').limit(page.limit).execute();
}

/** Revokes a token; false when there is none that is not revoked (of this tenant, where one is given). */
export async function revokeToken(
  tx: Unit,
  now: number,
  tenant: string | undefined,
  id: string,
  actor: string,
): Promise<boolean> {
  let query = tx.db<ApiTables>().updateTable('api_tokens').set({ revoked_at: now });
  query = query.where('id', '=', id).where('revoked_at', 'is', null);
  if (tenant !== undefined) query = query.where('tenant', '=', tenant);
  const revoked = await query.returning('tenant').executeTakeFirst();
  if (revoked === undefined) return false;
  await auditToken(tx, now, actor, 'token.revoked', id, revoked.tenant ?? undefined, {});
  return true;
}

/** Revokes every token of a user. */
export async function revokeTokensOfUser(tx: Unit, now: number, user: string, actor: string): Promise<void> {
  const revoked = await tx
    .db<ApiTables>()
    .updateTable('api_tokens')
    .set({ revoked_at: now })
    .where('user_id', '=', user)
    .where('revoked_at', 'is', null)
    .returning(['id', 'tenant'])
    .execute();
  for (const { id, tenant } of revoked)
    await auditToken(tx, now, actor, 'token.revoked', id, tenant ?? undefined, { user });
}

/** Deletes tokens and users of a tenant that goes. */
export async function removeTokensOf(tx: Unit, tenant: string): Promise<void> {
  await tx.db<ApiTables>().deleteFrom('api_tokens').where('tenant', '=', tenant).execute();
  await tx.db<ApiTables>().deleteFrom('users').where('scope', '=', tenant).execute();
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A token never does more than its role and the role of its user, whatever scopes it was given. */
function scopesOf(row: Pick<ApiTokenRow, 'role' | 'scopes'> & { readonly user_role: Role | null }): ReadonlySet<Scope> {
  const most = row.user_role === null ? undefined : ROLE_SCOPES[row.user_role];
  const allowed = ROLE_SCOPES[row.role].filter((scope) => most === undefined || most.includes(scope));
  if (row.scopes === null) return new Set(allowed);
  const narrowed = new Set(JSON.parse(row.scopes) as string[]);
  return new Set(allowed.filter((scope) => narrowed.has(scope)));
}

function auditToken(
  tx: Unit,
  at: number,
  actor: string,
  action: string,
  id: string,
  tenant: string | undefined,
  details: Record<string, string>,
): Promise<void> {
  return appendAudit(tx, {
    tenant: tenant ?? null,
    at,
    actor,
    action,
    object: `token:${id}`,
    outcome: 'success',
    details,
  });
}

const tokenByHash = statement<ApiTables>()('api-token-by-hash', (db, p: { hash: string }) =>
  db
    .selectFrom('api_tokens')
    .leftJoin('users', 'users.id', 'api_tokens.user_id')
    .select([
      'api_tokens.id',
      'tenant',
      'label',
      'api_tokens.role',
      'scopes',
      'expires_at',
      'last_used_at',
      'revoked_at',
    ])
    .select(['users.role as user_role', 'users.state as user_state'])
    .where('hash', '=', p.hash),
);

const touchToken = statement<ApiTables>()('api-token-touch', (db, p: { id: string; now: number }) =>
  db.updateTable('api_tokens').set({ last_used_at: p.now }).where('id', '=', p.id),
);
