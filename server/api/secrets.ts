import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import { listSecrets, revokeSecret, type SecretDescription } from '../../core/enrollment/secrets.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Unit } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { deriveChallengeFor } from './derived-challenges.ts';
import { endpointOf } from './endpoints.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import { makeSecret } from './secret-making.ts';
import { challengeDraft, derivedChallenge, issuedSecret, kindOf, secretDraft, secretView } from './secret-schema.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timeText } from './views.ts';

type SecretContext = Pick<ApiContext, 'store' | 'endpoints' | 'secretHash' | 'dataKeys'>;

const tags = ['secrets'];

/** Enrolment secrets: list, create (shown once), derive the challenge of a device, revoke. */
export function secretRoutes(app: ApiScope, context: SecretContext): void {
  listRoute(app, context);
  createRoute(app, context);
  deriveRoute(app, context);
  revokeRoute(app, context);
}

function listRoute(app: ApiScope, { store, endpoints }: SecretContext): void {
  const schema = {
    tags,
    summary: 'List enrolment secrets',
    querystring: listQuery({}),
    response: { 200: pageOf(secretView) },
  };
  app.get('/secrets', { config: { access: 'secrets:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const labels = new Map((await endpoints.list(tenant)).map((endpoint) => [endpoint.id, endpoint.label]));
    const now = store.clock.now();
    return readPage(
      pageFrom(request.query),
      (page) => listSecrets(store, tenant, page),
      (row) => row.id,
      (row) => viewOf(row, labels.get(row.endpoint) ?? row.endpoint, now),
    );
  });
}

function createRoute(app: ApiScope, context: SecretContext): void {
  const schema = {
    tags,
    summary: 'Create an enrolment secret',
    querystring: objectQuery,
    body: secretDraft,
    response: { 201: issuedSecret },
  };
  app.post('/secrets', { config: { access: 'secrets:write' }, schema }, async (request, reply) => {
    const { store, endpoints } = context;
    const tenant = tenantIdOf(request);
    const { endpoint: label, secret: chosen, allowed, ...draft } = request.body;
    const endpoint = (await endpointOf(endpoints, tenant, label)).id;
    const actor = actorOf(principalOf(request));
    const make = await makeSecret(context, { ...request.body, tenant, endpoint, createdBy: actor });
    const made = await store.unit(async (tx) => {
      const at = store.clock.now();
      const issued = await make(tx, at);
      const details = {
        ...draft,
        endpoint: label,
        ...(allowed && { allowed: allowed.length }),
        ...(chosen !== undefined && { chosen: 'yes' }),
      };
      await audit(tx, { tenant, at, actor, action: 'secret.created', id: issued.id, details });
      return issued;
    });
    const { id, secret, reference, expiresAt } = made;
    return reply.code(201).send({
      id,
      ...present('secret', secret?.reveal()),
      ...present('reference', reference),
      expiresAt: timeText(expiresAt),
    });
  });
}

function deriveRoute(app: ApiScope, context: SecretContext): void {
  const schema = {
    tags,
    summary: 'Derive the challenge of one device from a key of kind `derived`',
    params: idParameters,
    querystring: objectQuery,
    body: challengeDraft,
    response: { 200: derivedChallenge },
  };
  app.post('/secrets/:id/derive', { config: { access: 'secrets:write' }, schema }, async (request) => {
    const { store } = context;
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    const { subject, lifetimeSeconds } = request.body;
    const derived = await deriveChallengeFor(context, { tenant, id, subject, lifetimeSeconds });
    const { challenge, lastDay, expiresAt } = derived;
    const actor = actorOf(principalOf(request));
    const details = { subject, lastDay };
    await store.unit((tx) =>
      audit(tx, { tenant, at: store.clock.now(), actor, action: 'secret.derived', id, details }),
    );
    return { challenge: challenge.reveal(), lastDay, expiresAt: timeText(expiresAt) };
  });
}

function revokeRoute(app: ApiScope, { store }: SecretContext): void {
  const schema = {
    tags,
    summary: 'Revoke an enrolment secret',
    params: idParameters,
    querystring: objectQuery,
    response: { 204: Type.Null() },
  };
  app.delete('/secrets/:id', { config: { access: 'secrets:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    const actor = actorOf(principalOf(request));
    const at = store.clock.now();
    await store.unit(async (tx) => {
      if (!(await revokeSecret(tx, tenant, id))) {
        throw new PeerError('not-found', 'no such secret, or it is spent or revoked');
      }
      await audit(tx, { tenant, at, actor, action: 'secret.revoked', id, details: {} });
    });
    return reply.code(204).send(null);
  });
}

interface SecretEvent {
  readonly tenant: string;
  readonly at: number;
  readonly actor: string;
  readonly action: string;
  readonly id: string;
  readonly details: Readonly<Record<string, string | number>>;
}

function audit(tx: Unit, { id, ...event }: SecretEvent): Promise<void> {
  return appendAudit(tx, { ...event, object: `secret:${id}`, outcome: 'success' });
}

function viewOf(row: SecretDescription, endpoint: string, now: number) {
  const expired = row.expires_at <= now && row.state !== 'revoked' && row.state !== 'spent';
  return {
    id: row.id,
    endpoint,
    ...kindOf(row),
    ...present('reference', row.reference),
    ...present('username', row.username),
    ...present('subject', row.subject),
    ...(row.allowed !== null && { allowed: JSON.parse(row.allowed) as string[] }),
    state: expired ? ('expired' as const) : row.state,
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    expiresAt: timeText(row.expires_at),
  };
}
