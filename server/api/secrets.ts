import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import { createSecret, listSecrets, revokeSecret, type SecretDescription } from '../../core/enrollment/secrets.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Unit } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { endpointOf } from './endpoints.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timestamp, timeText } from './views.ts';

type SecretContext = Pick<ApiContext, 'store' | 'endpoints' | 'secretHash'>;

const tags = ['secrets'];
const usage = Type.Enum(['one-time', 'device'], {
  description: '`one-time` admits its first request; `device` is the standing password of one user name.',
});
const printable = { minLength: 1, maxLength: 128, pattern: '^[^\\u0000-\\u001f\\u007f]+$' };
const username = Type.String({ description: 'The only user name it goes with; absent: any.', ...printable });
const subject = Type.String({ description: 'The only device name it enrols; absent: any.', ...printable });

const secretView = Type.Object({
  id: Type.String(),
  endpoint: Type.String({ description: 'Label of the endpoint it opens.' }),
  usage,
  username: Type.Optional(username),
  subject: Type.Optional(subject),
  state: Type.Enum(['free', 'bound', 'spent', 'revoked', 'expired']),
  createdBy: Type.String(),
  createdAt: timestamp('When it was made.'),
  expiresAt: timestamp('When it ends.'),
});

const secretDraft = Type.Object(
  {
    endpoint: Type.String({
      description: 'Label of the endpoint it opens.',
      default: 'default',
      pattern: '^[a-z0-9-]{1,63}$',
    }),
    usage: Type.Enum(['one-time', 'device'], { default: 'one-time' }),
    username: Type.Optional(username),
    subject: Type.Optional(subject),
    lifetimeSeconds: Type.Integer({ default: 86_400, minimum: 60, maximum: 315_360_000 }),
  },
  { additionalProperties: false },
);

const issuedSecret = Type.Object({
  id: Type.String(),
  secret: Type.String({ description: 'Shown this once.' }),
  expiresAt: timestamp('When it ends.'),
});

/** Enrolment secrets: list, create (shown once), revoke. */
export function secretRoutes(app: ApiScope, context: SecretContext): void {
  listRoute(app, context);
  createRoute(app, context);
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

function createRoute(app: ApiScope, { store, endpoints, secretHash }: SecretContext): void {
  const schema = {
    tags,
    summary: 'Create an enrolment secret',
    querystring: objectQuery,
    body: secretDraft,
    response: { 201: issuedSecret },
  };
  app.post('/secrets', { config: { access: 'secrets:write' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const { endpoint: label, ...draft } = request.body;
    if (draft.usage === 'device' && draft.username === undefined) {
      throw new PeerError('malformed-request', 'username: a device password belongs to a user name');
    }
    const endpoint = (await endpointOf(endpoints, tenant, label)).id;
    const now = store.clock.now();
    const actor = actorOf(principalOf(request));
    const issued = await store.unit(async (tx) => {
      const made = await createSecret(tx, secretHash, now, { tenant, endpoint, createdBy: actor, ...draft });
      await audit(tx, { tenant, at: now, actor, action: 'secret.created', id: made.id, details: request.body });
      return made;
    });
    const { id, secret, expiresAt } = issued;
    return reply.code(201).send({ id, secret: secret.reveal(), expiresAt: timeText(expiresAt) });
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
    usage: row.usage,
    ...present('username', row.username),
    ...present('subject', row.subject),
    state: expired ? ('expired' as const) : row.state,
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
    expiresAt: timeText(row.expires_at),
  };
}
