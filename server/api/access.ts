/** What a token may do, as `resource:verb`. Each route names the one it asks for. */
export const SCOPES = [
  'endpoints:read',
  'endpoints:write',
  'secrets:read',
  'secrets:write',
  'devices:read',
  'devices:write',
  'enrollments:read',
  'enrollments:decide',
  'certificates:read',
  'certificates:revoke',
  'certificates:renew',
  'acme:read',
  'acme:write',
  'authorities:read',
  'authorities:write',
  'profiles:read',
  'profiles:write',
  'tenants:read',
  'tenants:write',
  'users:read',
  'users:write',
  'jobs:read',
  'jobs:write',
  'attestation:read',
  'attestation:write',
  'batches:write',
  'alerts:read',
  'alerts:write',
  'audit:read',
  'tokens:read',
  'tokens:write',
  'system:read',
  'metrics:read',
] as const;
export type Scope = (typeof SCOPES)[number];

/** Who a token stands for. */
export const ROLES = ['admin', 'operator', 'enrollment-agent', 'auditor'] as const;
export type Role = (typeof ROLES)[number];

const reading = SCOPES.filter((scope) => scope.endsWith(':read'));

/**
 * The most a role may do: an admin everything, an operator the daily work, an enrolment agent what brings devices in, an auditor
 * nothing but look.
 */
export const ROLE_SCOPES: Readonly<Record<Role, readonly Scope[]>> = {
  admin: SCOPES,
  operator: [
    ...reading.filter((scope) => scope !== 'tokens:read' && scope !== 'users:read'),
    'jobs:write',
    'secrets:write',
    'devices:write',
    'enrollments:decide',
    'certificates:revoke',
    'certificates:renew',
    'acme:write',
    'batches:write',
    'alerts:write',
  ],
  'enrollment-agent': [
    'endpoints:read',
    'profiles:read',
    'secrets:read',
    'secrets:write',
    'devices:read',
    'devices:write',
    'enrollments:read',
    'enrollments:decide',
    'certificates:read',
    'batches:write',
  ],
  auditor: reading,
};

/** Who asks, once the token is verified. */
export interface Principal {
  readonly tokenId: string;
  readonly label: string;
  readonly role: Role;
  readonly scopes: ReadonlySet<Scope>;
  /** The tenant the token is confined to; undefined for a token of the installation. */
  readonly tenant: string | undefined;
}

/** How audit entries name the one who asks. */
export function actorOf(principal: Principal): string {
  return `token:${principal.tokenId}`;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope a route asks for; `public` needs no token, `any` only a valid one. A route of the API must have one. */
    access?: Scope | 'any' | 'public';
    /**
     * What a route is about: one tenant's objects (default), the whole installation (tokens of a tenant may not), or
     * objects that may belong to a tenant or to the installation.
     */
    about?: 'tenant' | 'installation' | 'either';
  }
  interface FastifyRequest {
    /** Who asks; null on public routes. */
    principal: Principal | null;
    /** Id of the tenant the request is about; null where it is about none in particular. */
    tenant: string | null;
  }
}
