import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import { listAuthorities } from '../../core/authority/authorities.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import { durableRows } from '../../core/store/rows.ts';
import { channelOf, targetUrl } from '../notify/channel-settings.ts';
import { changeChannel, deleteChannel, findChannel, insertChannel, pageOfChannels } from '../notify/channels.ts';
import { DeliveryError } from '../notify/delivery-error.ts';
import { channelPlace, deliver } from '../notify/delivery.ts';
import type { ChannelRow } from '../notify/tables.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { channelChanges, channelDraft, type ChannelDraft, channelTest, channelView } from './channel-schema.ts';
import type { ApiContext } from './context.ts';
import { objectQuery } from './paging.ts';
import { changeResource, createResource, removeResource } from './resource-changes.ts';
import { addRoute, found, keyInPath, keyParameter, memberPath, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { timeText } from './views.ts';

type ChannelContext = Pick<ApiContext, 'store' | 'dataKeys' | 'version'>;

const KINDS = ['webhook', 'slack', 'email', 'syslog'] as const;

const kind: ResourceKind<ChannelRow, typeof channelView> = {
  noun: 'channel',
  path: '/channels',
  tag: 'alerts',
  key: keyParameter,
  access: { read: 'alerts:read', write: 'alerts:write' },
  view: channelView,
  viewOf: (row) => ({
    id: row.id,
    name: row.name,
    kind: row.kind,
    revision: row.revision,
    enabled: row.enabled === 1,
    ...(row.kind !== 'slack' && ({ [row.kind]: JSON.parse(row.settings) } as object)),
    createdAt: timeText(row.created_at),
  }),
  keyOf: ({ id }) => id,
  find: findChannel,
};

/** Channels: where a tenant is told of alerts. Their secrets are sealed, and shown to nobody. */
export function channelRoutes(app: ApiScope, context: ChannelContext): void {
  const { store } = context;
  readResource(app, store, kind, { filters: {}, read: pageOfChannels, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    description: 'Exactly one of webhook, slack, email and syslog.',
    body: channelDraft,
    audited: withoutSecret,
    async create(draft, { tenant, at }) {
      const [chosen, ...others] = KINDS.filter((name) => draft[name] !== undefined);
      if (chosen === undefined || others.length > 0)
        throw new PeerError('malformed-request', `expected exactly one of ${KINDS.join(', ')}`);
      const id = newId(at);
      const sealed = await sealedSecret(context, tenant, id, secretOf(chosen, draft));
      const settings = settingsOf(chosen, draft);
      const enabled = draft.enabled === false ? 0 : 1;
      return async (tx) => {
        const row = {
          tenant,
          id,
          name: draft.name,
          kind: chosen,
          settings,
          sealed,
          enabled,
          revision: 1,
          created_at: at,
        };
        await insertChannel(tx, row);
        return id;
      };
    },
  });
  changeRoute(app, context);
  testRoute(app, context);
  removeResource(app, store, kind, { remove: deleteChannel });
}

function changeRoute(app: ApiScope, context: ChannelContext): void {
  changeResource(app, context.store, kind, {
    body: channelChanges,
    audited: withoutSecret,
    async apply(changes, { tenant, request }) {
      const row = await found(kind, durableRows(context.store), tenant, keyInPath(kind, request));
      const other = KINDS.find((name) => name !== row.kind && name !== 'slack' && changes[name] !== undefined);
      if (other !== undefined)
        throw new PeerError('malformed-request', `${other}: this is a channel of kind ${row.kind}`);
      const secret = changes.secret === undefined ? undefined : requiredSecret(row.kind, changes.secret);
      const sealed = secret && (await sealedSecret(context, tenant, row.id, secret));
      return async (tx, { settings: before, enabled: wasEnabled, ...present }) => {
        const named = row.kind === 'slack' ? undefined : changes[row.kind];
        const settings = named === undefined ? before : settingsOf(row.kind, changes);
        const enabled = changes.enabled === undefined ? wasEnabled : changes.enabled ? 1 : 0;
        const isSame = settings === before && enabled === wasEnabled && sealed === undefined;
        const change = { settings, enabled, ...(sealed && { sealed }) };
        if (!isSame) await changeChannel(tx, { ...present, settings: before, enabled: wasEnabled }, change);
      };
    },
  });
}

/** `POST /channels/{id}/test`: tells it at once, and says how that went. */
function testRoute(app: ApiScope, context: ChannelContext): void {
  const schema = {
    tags: [kind.tag],
    summary: 'Send a test through a channel',
    params: Type.Object(kind.key),
    querystring: objectQuery,
    response: { 200: channelTest },
  };
  const { store } = context;
  addRoute(app, 'POST', `${memberPath(kind)}/test`, { config: { access: 'alerts:write' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const row = await found(kind, durableRows(store), tenant, keyInPath(kind, request));
    const at = store.clock.now();
    const event = newId(at);
    const actor = actorOf(principalOf(request));
    const notification = {
      id: event,
      type: 'channel.test' as const,
      at: timeText(at),
      tenant,
      summary: `a test of the channel ${row.name}`,
      details: { channel: row.name, askedBy: actor },
    };
    const detail = await deliver(context, channelOf(row), notification).then(() => undefined, refusalOf);
    const entry = { tenant, at, actor, action: 'channel.tested', object: `channel:${row.id}` };
    const outcome = detail === undefined ? 'success' : 'failed';
    await store.unit((tx) => appendAudit(tx, { ...entry, outcome, details: { event } }));
    return { delivered: detail === undefined, event, ...(detail !== undefined && { detail }) };
  });
}

function refusalOf(error: unknown): string {
  if (error instanceof DeliveryError) return error.message;
  throw error;
}

function settingsOf(chosen: ChannelRow['kind'], draft: Pick<ChannelDraft, 'webhook' | 'email' | 'syslog'>): string {
  if (chosen === 'webhook') targetUrl(draft.webhook!.url);
  return JSON.stringify(chosen === 'slack' ? {} : draft[chosen]);
}

/** What a kind needs has to be there. */
function secretOf(chosen: ChannelRow['kind'], { secret }: ChannelDraft): Secret | undefined {
  if (secret !== undefined) return requiredSecret(chosen, secret);
  if (chosen === 'slack') throw new PeerError('malformed-request', 'secret: expected the URL of the Slack hook');
  if (chosen === 'webhook') throw new PeerError('malformed-request', 'secret: expected the HMAC key of the webhook');
  return undefined;
}

const MIN_KEY_CHARACTERS = 16;

function requiredSecret(chosen: ChannelRow['kind'], text: string): Secret {
  if (chosen === 'slack') targetUrl(text);
  if (chosen === 'syslog') throw new PeerError('malformed-request', 'secret: a channel of kind syslog has none');
  if (chosen === 'webhook' && text.length < MIN_KEY_CHARACTERS)
    throw new PeerError('malformed-request', `secret: expected at least ${MIN_KEY_CHARACTERS} characters`);
  return new Secret(text);
}

async function sealedSecret(
  { store, dataKeys }: ChannelContext,
  tenant: string,
  id: string,
  secret: Secret | undefined,
): Promise<Uint8Array | null> {
  if (secret === undefined) return null;
  // The key that seals lies in the token of the tenant's authorities.
  if ((await listAuthorities(store, tenant)).length === 0)
    throw new StateError('conflict', 'the tenant has no authority yet, and so no key that seals secrets');
  return (await dataKeys.sealer(tenant)).seal(channelPlace(id), secret);
}

function withoutSecret({ secret, ...rest }: { readonly secret?: string }): object {
  return { ...rest, ...(secret !== undefined && { secret: 'set' }) };
}
