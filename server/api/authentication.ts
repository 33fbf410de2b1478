import type { FastifyRequest } from 'fastify';
import { InternalError, PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import type { Principal } from './access.ts';
import { resolveTenant } from './tenants.ts';
import { authenticateToken } from './tokens.ts';
import type { ApiScope } from './type-provider.ts';

/** Told of each refused credential and each refused right. */
export type RefusalObserver = (refusal: {
  readonly reason: string;
  readonly source: string;
  readonly route: string;
}) => void;

/**
 * Guards every route of a scope: a route that does not say what access it asks for keeps the server from starting, so
 * none is open by omission. It also settles whose data the request sees.
 */
export function requireTokens(app: ApiScope, store: Store, onRefused: RefusalObserver): void {
  app.decorateRequest('principal', null);
  app.decorateRequest('tenant', null);
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined)
      throw new InternalError(`the route ${route.url} does not say what access it asks for`);
  });
  app.addHook('onRequest', async (request) => {
    const { access, about = 'tenant' } = request.routeOptions.config;
    if (access === 'public' || request.is404) return;
    try {
      request.principal = await authenticate(store, request);
      if (access === undefined || (access !== 'any' && !request.principal.scopes.has(access))) {
        throw new PolicyError('not-authorized', `this token may not do ${access ?? 'this'}`);
      }
      if (access === 'any') return;
      if (about === 'installation') assertOfInstallation(request.principal);
      else request.tenant = await tenantOf(store, request, request.principal, about);
    } catch (error) {
      if (error instanceof PolicyError || error instanceof PeerError) {
        onRefused({ reason: error.reason, source: request.ip, route: request.routeOptions.url ?? 'unmatched' });
      }
      throw error;
    }
  });
}

/** Who asks. Only for routes behind {@link requireTokens}. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new InternalError('this route has no principal');
  return request.principal;
}

/** Whose data the request is about. Only for routes behind {@link requireTokens} about a tenant. */
export function tenantIdOf(request: FastifyRequest): string {
  if (request.tenant === null) throw new InternalError('this route is about no tenant');
  return request.tenant;
}

/** RFC 6750 §2.1: the token comes in the Authorization header, never in the URL, where logs would keep it. */
async function authenticate(store: Store, request: FastifyRequest): Promise<Principal> {
  const [, text] = /^Bearer +([\w-]+) *$/i.exec(request.headers.authorization ?? '') ?? [];
  if (text === undefined)
    throw new PeerError('authentication-required', 'expected a bearer token in the Authorization header');
  const principal = await authenticateToken(store, text);
  if (principal !== undefined) return principal;
  throw new PolicyError('bad-credential', 'the bearer token is unknown, expired or revoked');
}

function assertOfInstallation(principal: Principal): void {
  if (principal.tenant === undefined) return;
  throw new PolicyError('not-authorized', 'this asks for a token of the installation, not of a tenant');
}

/**
 * A token of a tenant sees that tenant, and every other as if it did not exist; one of the installation names the tenant
 * by `?tenant=` (name or id). Without it, it means `default`, or no tenant in particular where that has a meaning.
 */
async function tenantOf(
  store: Store,
  request: FastifyRequest,
  principal: Principal,
  about: 'tenant' | 'either',
): Promise<string | null> {
  const named = (request.query as { readonly tenant?: unknown }).tenant;
  if (named === undefined && principal.tenant !== undefined) return principal.tenant;
  if (named === undefined && about === 'either') return null;
  const tenant = await resolveTenant(store, typeof named === 'string' ? named : 'default');
  if (tenant !== undefined && (principal.tenant === undefined || principal.tenant === tenant)) return tenant;
  throw new PeerError('not-found', 'no such tenant');
}
