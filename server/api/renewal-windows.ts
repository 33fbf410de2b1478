import { Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { changeRenewalWindow, renewalWindowOf, windowNow } from '../../protocols/acme/renewal-windows.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, timestamp, timeText } from './views.ts';

interface RenewalWindowContext {
  readonly store: Store;
}

const tags = ['certificates'];
const path = '/certificates/:id/renewal-window';
const config = { access: 'certificates:renew' } as const;

const windowView = Type.Object({
  certificate: Type.String({ description: 'Id of the certificate.' }),
  start: timestamp('From when on clients renew it.'),
  end: timestamp('Until when.'),
  explanation: Type.Optional(Type.String({ description: 'URL of a page about it.' })),
  setBy: Type.String({ description: 'Who moved it.' }),
  setAt: timestamp('When it was moved.'),
});

const windowBody = Type.Object(
  {
    start: Type.Optional(timestamp('From when on clients are to renew it. Without start and end: at once.')),
    end: Type.Optional(timestamp('Until when.')),
    explanation: Type.Optional(
      Type.String({
        description: 'URL of a page about it.',
        minLength: 1,
        maxLength: 2048,
        pattern: '^https?://[\\u0021-\\u007e]+$',
      }),
    ),
  },
  { additionalProperties: false },
);

/** When one certificate is to be renewed, as ACME's renewal information says (RFC 9773): show, move, free. */
export function renewalWindowRoutes(app: ApiScope, context: RenewalWindowContext): void {
  showRoute(app, context);
  moveRoute(app, context);
  freeRoute(app, context);
}

function showRoute(app: ApiScope, { store }: RenewalWindowContext): void {
  const schema = {
    tags,
    summary: 'The renewal window that an operator gave a certificate',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: windowView },
  };
  app.get(path, { config: { access: 'certificates:read' }, schema }, (request) =>
    windowOf(store, tenantIdOf(request), request.params.id),
  );
}

function moveRoute(app: ApiScope, { store }: RenewalWindowContext): void {
  const schema = {
    tags,
    summary: 'Move the renewal window of a certificate; without times, to now',
    params: idParameters,
    querystring: objectQuery,
    body: windowBody,
    response: { 200: windowView },
  };
  app.post(path, { config, schema }, async (request) => {
    const { start, end, explanation } = request.body;
    if ((start === undefined) !== (end === undefined))
      throw new PeerError('malformed-request', 'expected both start and end, or neither');
    const at = store.clock.now();
    const times = start === undefined ? windowNow(at) : { start: Date.parse(start), end: Date.parse(end!) };
    const tenant = tenantIdOf(request);
    const certificateId = request.params.id;
    const actor = actorOf(principalOf(request));
    await changeRenewalWindow(store, { tenant, certificateId, window: { ...times, explanation }, actor, at });
    return windowOf(store, tenant, certificateId);
  });
}

function freeRoute(app: ApiScope, { store }: RenewalWindowContext): void {
  const schema = {
    tags,
    summary: 'Free the renewal window of a certificate: its age counts again',
    params: idParameters,
    querystring: objectQuery,
    response: { 204: Type.Null() },
  };
  app.delete(path, { config, schema }, async (request, reply) => {
    await changeRenewalWindow(store, {
      tenant: tenantIdOf(request),
      certificateId: request.params.id,
      window: undefined,
      actor: actorOf(principalOf(request)),
      at: store.clock.now(),
    });
    return reply.code(204).send(null);
  });
}

async function windowOf(store: Store, tenant: string, certificate: string) {
  const [row] = await store.query(renewalWindowOf, { tenant, certificate });
  if (row === undefined) throw new PeerError('not-found', 'nobody moved the renewal window of such a certificate');
  return {
    certificate,
    start: timeText(row.starts_at),
    end: timeText(row.ends_at),
    ...present('explanation', row.explanation),
    setBy: row.set_by,
    setAt: timeText(row.set_at),
  };
}
