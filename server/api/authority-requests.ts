import { listAuthorities } from '../../core/authority/authorities.ts';
import {
  authorityRequestsOf,
  deleteAuthorityRequest,
  findAuthorityRequest,
  insertAuthorityRequest,
} from '../../core/authority/authority-requests.ts';
import type { AuthorityRequestRow } from '../../core/authority/tables.ts';
import { appendAudit } from '../../core/audit/log.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { actorOf } from './access.ts';
import { authorityKind, requireFreeName, storing, wishOf } from './authorities.ts';
import { authorityRequestDraft, authorityRequestView, authorityView, installBody } from './authority-schema.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { applyChange, changeQuery, requireWet } from './changes.ts';
import type { ApiContext } from './context.ts';
import { certificatesOf } from './pem-text.ts';
import { createResource, removeResource } from './resource-changes.ts';
import { found, keyInPath, keyParameter, memberPath, readResource, type ResourceKind, sendObject } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { timeText } from './views.ts';
import { Type } from 'typebox';

type RequestContext = Pick<ApiContext, 'store' | 'office'>;

const kind: ResourceKind<AuthorityRequestRow, typeof authorityRequestView> = {
  noun: 'authority request',
  path: '/authority-requests',
  tag: 'authorities',
  key: keyParameter,
  access: { read: 'authorities:read', write: 'authorities:write' },
  view: authorityRequestView,
  viewOf: (row) => ({
    id: row.id,
    name: row.name,
    keyUri: row.key_uri,
    publicKeySha256: row.spki_sha256,
    csr: encodePem('CERTIFICATE REQUEST', row.csr),
    crlShards: row.crl_shards,
    createdBy: row.created_by,
    createdAt: timeText(row.created_at),
  }),
  keyOf: ({ id }) => id,
  find: findAuthorityRequest,
};

/** Authorities under an external root: a key with a request over it, then the certificate that came back. */
export function authorityRequestRoutes(app: ApiScope, context: RequestContext): void {
  const { store, office } = context;
  readResource(app, store, kind, { filters: {}, read: authorityRequestsOf, cursorOf: ({ id }) => id });
  createResource(app, store, kind, {
    summary: 'Make a key, and a request for an external authority to certify',
    body: authorityRequestDraft,
    async create(draft, { tenant, actor, at, request }) {
      requireWet(request, 'makes a key');
      requireFreeName(await listAuthorities(store, tenant), draft.name);
      const row = await office.request(wishOf(tenant, draft), actor, at);
      return async (tx) => {
        await insertAuthorityRequest(tx, row);
        return row.id;
      };
    },
  });
  installRoute(app, context);
  removeResource(app, store, kind, {
    summary: 'Give up a request; its key stays unused in the token',
    remove: (tx, row) => deleteAuthorityRequest(tx, row),
  });
}

function installRoute(app: ApiScope, { store, office }: RequestContext): void {
  const schema = {
    tags: [kind.tag],
    summary: 'Install the certificate that an external authority issued',
    description: 'Chain, key and constraints are checked; the authority issues from then on.',
    params: Type.Object(kind.key),
    querystring: changeQuery,
    body: installBody,
    response: { 201: authorityView },
  };
  app.post(`${memberPath(kind)}/install`, { config: { access: kind.access.write }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const key = keyInPath(kind, request);
    const at = store.clock.now();
    const actor = actorOf(principalOf(request));
    await found(kind, durableRows(store), tenant, key);
    const certificates = certificatesOf(request.body.certificates);
    const view = await applyChange(store, request, reply, async (tx) => {
      const row = await found(kind, tx, tenant, key);
      const known = await listAuthorities(tx, tenant);
      const { authority, above } = office.install(row, certificates, known, at);
      await deleteAuthorityRequest(tx, row);
      const id = await storing(authority, above)(tx);
      const details = { name: row.name, certificate: authority.spki_sha256, external: above.length };
      const entry = { tenant, at, actor, action: 'authority.installed', object: `authority:${id}`, details };
      await appendAudit(tx, { ...entry, outcome: 'success' });
      const made = await authorityKind.find(tx, tenant, id);
      if (made === undefined) throw new PeerError('not-found', 'no such authority');
      return authorityKind.viewOf(made, at);
    });
    return sendObject(reply, 201, view) as never;
  });
}
