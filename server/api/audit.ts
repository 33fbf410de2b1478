import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { AuditTree } from '../../core/audit/entry.ts';
import { exportLine } from '../../core/audit/export.ts';
import { listAudit, type ListedEntry } from '../../core/audit/log.ts';
import { streamLog } from '../../core/audit/log-stream.ts';
import { listCheckpoints } from '../../core/audit/signing.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { pageFrom, pageOf, pageParameters, tenantParameter } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { timestamp, timeText } from './views.ts';

type AuditContext = Pick<ApiContext, 'store' | 'auditPublicKey'>;

const tags = ['audit'];
const treeParameter = {
  ...tenantParameter,
  log: Type.Enum(['tenant', 'installation'], {
    description: 'The log of a tenant, or that of the installation.',
    default: 'tenant',
  }),
};
const treeQuery = Type.Object(treeParameter, { additionalProperties: false });

const entryView = Type.Object({
  index: Type.Integer({ description: 'Place in the log, from 0.' }),
  intact: Type.Boolean({ description: 'False when the stored entry is not what was recorded.' }),
  at: Type.Optional(timestamp('When it happened.')),
  actor: Type.Optional(Type.String()),
  action: Type.Optional(Type.String()),
  object: Type.Optional(Type.String()),
  outcome: Type.Optional(Type.String()),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});

/** The audit logs: list, export for offline verification, checkpoints and the key that signs them. */
export function auditRoutes(app: ApiScope, context: AuditContext): void {
  listRoute(app, context);
  exportRoute(app, context);
  checkpointRoute(app, context);
  keyRoute(app, context);
}

function listRoute(app: ApiScope, { store }: AuditContext): void {
  const filter = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }));
  const querystring = Type.Object(
    { ...treeParameter, ...pageParameters, action: filter, object: filter },
    { additionalProperties: false },
  );
  const schema = {
    tags,
    summary: 'List audit entries, newest first',
    querystring,
    response: { 200: pageOf(entryView) },
  };
  app.get('/audit', { config: { access: 'audit:read' }, schema }, async (request) => {
    const { action, object } = request.query;
    const { after, limit } = pageFrom(request.query);
    if (after !== undefined && !/^\d{1,15}$/.test(after))
      throw new PeerError('malformed-request', 'the cursor is not one of this list');
    const from = after === undefined ? undefined : Number(after);
    const page = await listAudit(store.read<AuditTables>(), { tenant: treeOf(request), from, action, object, limit });
    const next = page.next === undefined ? {} : { nextCursor: Buffer.from(String(page.next)).toString('base64url') };
    return { items: page.entries.map(viewOf), ...next };
  });
}

function exportRoute(app: ApiScope, { store }: AuditContext): void {
  const summary = 'Export a whole log as newline-delimited JSON, for `muster audit verify`';
  const schema = { tags, summary, querystring: treeQuery, produces: ['application/x-ndjson'] };
  app.get('/audit/export', { config: { access: 'audit:read' }, schema }, (request, reply) =>
    reply.type('application/x-ndjson').send(Readable.from(exportChunks(store, treeOf(request)))),
  );
}

function checkpointRoute(app: ApiScope, { store }: AuditContext): void {
  const summary = 'The newest signed checkpoint (C2SP tlog-checkpoint)';
  const schema = { tags, summary, querystring: treeQuery, produces: ['text/plain'] };
  app.get('/audit/checkpoint', { config: { access: 'audit:read' }, schema }, async (request, reply) => {
    const [newest] = await listCheckpoints(store, treeOf(request), 1);
    if (newest === undefined) throw new PeerError('not-found', 'no checkpoint has been signed yet');
    return reply.type('text/plain; charset=utf-8').send(newest.note);
  });
}

function keyRoute(app: ApiScope, { auditPublicKey }: AuditContext): void {
  const schema = { tags, summary: 'The public key that signs checkpoints, PEM', produces: ['application/x-pem-file'] };
  app.get('/audit/key', { config: { access: 'audit:read' }, schema }, (_request, reply) =>
    reply.type('application/x-pem-file').send(Buffer.from(encodePem('PUBLIC KEY', auditPublicKey))),
  );
}

function treeOf(request: FastifyRequest): AuditTree {
  const { log } = request.query as { readonly log: 'tenant' | 'installation' };
  if (log === 'tenant') return tenantIdOf(request);
  if (principalOf(request).tenant === undefined) return null;
  throw new PolicyError('not-authorized', 'the log of the installation asks for a token of the installation');
}

/** Octets gathered before they are handed to the socket. */
const chunkBytes = 65_536;

async function* exportChunks(store: Store, tree: AuditTree): AsyncGenerator<Uint8Array> {
  let lines: Uint8Array[] = [];
  let bytes = 0;
  for await (const entry of streamLog(store, tree)) {
    const line = exportLine(entry);
    lines.push(line);
    bytes += line.length;
    if (bytes < chunkBytes) continue;
    yield Buffer.concat(lines);
    [lines, bytes] = [[], 0];
  }
  if (lines.length > 0) yield Buffer.concat(lines);
}

function viewOf({ index, entry }: ListedEntry) {
  if (entry === undefined) return { index, intact: false };
  const { at, actor, action, object, outcome, details } = entry;
  return { index, intact: true, at: timeText(at), actor, action, object, outcome, details: { ...details } };
}
