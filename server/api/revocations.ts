import { Type } from 'typebox';
import { getCertificate } from '../../core/authority/certificates.ts';
import { crlsOfTenant } from '../../core/authority/crl-records.ts';
import { beginBatch, countOfBatch, findBatch } from '../../core/authority/revocation-batches.ts';
import { revocationTimeline } from '../../core/authority/revocation-timeline.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import { reasonOfCode, type RevocationReason, revokeCertificate } from '../../core/authority/revocation.ts';
import { statusLifetimes } from '../../core/authority/status-lifetimes.ts';
import type { CertificateRow, CrlRow, RevocationBatchRow } from '../../core/authority/tables.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import { batchBody, batchView, crlView, outcomeView, revocationBody, timelineView } from './revocation-schema.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timeText } from './views.ts';

/** What the routes of revocation stand on. */
export interface RevocationContext {
  readonly store: Store;
  readonly revocations: Pick<RevocationView, 'look'>;
}

const tags = ['certificates'];
const config = { access: 'certificates:revoke' } as const;
const reading = { access: 'certificates:read' } as const;

/** Revocation: of one certificate, of all that a query finds, and how it goes round. */
export function revocationRoutes(app: ApiScope, context: RevocationContext): void {
  revokeRoute(app, context);
  releaseRoute(app, context);
  timelineRoute(app, context);
  batchRoute(app, context);
  progressRoute(app, context);
  crlsRoute(app, context);
}

function revokeRoute(app: ApiScope, context: RevocationContext): void {
  const schema = {
    tags,
    summary: 'Revoke a certificate, or put it on hold',
    params: idParameters,
    querystring: objectQuery,
    body: revocationBody,
    response: { 200: outcomeView },
  };
  app.post('/certificates/:id/revoke', { config, schema }, async (request) => {
    const { reason, invalidityDate, comment } = request.body;
    return revokeOne(context, {
      tenant: tenantIdOf(request),
      certificateId: request.params.id,
      reason,
      actor: actorOf(principalOf(request)),
      invalidityDate: timeOf(invalidityDate),
      comment,
    });
  });
}

function releaseRoute(app: ApiScope, context: RevocationContext): void {
  const schema = {
    tags,
    summary: 'Release a certificate that is on hold',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: outcomeView },
  };
  app.post('/certificates/:id/release', { config, schema }, async (request) =>
    revokeOne(context, {
      tenant: tenantIdOf(request),
      certificateId: request.params.id,
      reason: 'removeFromCRL',
      actor: actorOf(principalOf(request)),
      invalidityDate: undefined,
      comment: '',
    }),
  );
}

interface Wish {
  readonly tenant: string;
  readonly certificateId: string;
  readonly reason: RevocationReason;
  readonly actor: string;
  readonly invalidityDate: number | undefined;
  readonly comment: string;
}

async function revokeOne({ store, revocations }: RevocationContext, { comment, ...wish }: Wish) {
  const { id, serial_number: serialNumber } = await certificateOf(store, wish.tenant, wish.certificateId);
  const details = comment === '' ? {} : { comment };
  const outcome = await store.unit((tx) => revokeCertificate(tx, { ...wish, at: store.clock.now(), details }));
  if (outcome === 'unknown') throw new PeerError('not-found', 'no such certificate');
  // Whoever asks this node from now on is answered accordingly.
  await revocations.look();
  return { certificate: id, serialNumber, outcome };
}

function timelineRoute(app: ApiScope, { store }: RevocationContext): void {
  const schema = {
    tags,
    summary: 'How the revocation of a certificate goes round',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: timelineView },
  };
  app.get('/certificates/:id/revocation', { config: reading, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const row = await certificateOf(store, tenant, request.params.id);
    const { revocation, nodes, crls } = await revocationTimeline(store, tenant, row);
    const requested = revocation?.changed_at ?? 0;
    return {
      status: row.status,
      ...present('reason', reasonOfCode(row.revocation_reason)),
      ...presentTime('requestedAt', revocation?.changed_at),
      nodes: nodes.map(({ node, effectiveAt }) => ({
        node,
        effectiveAt: timeText(effectiveAt),
        milliseconds: effectiveAt - requested,
      })),
      crls: crls.map(crlOf),
      beyond: await statusLifetimes(store, row.authority ?? ''),
    };
  });
}

function batchRoute(app: ApiScope, { store }: RevocationContext): void {
  const schema = {
    tags,
    summary: 'Count, or revoke, all certificates that a query finds',
    querystring: objectQuery,
    body: batchBody,
    response: { 200: batchView, 202: batchView },
  };
  app.post('/revocations', { config, schema }, async (request, reply) => {
    const { query, reason, invalidityDate, preview, expected } = request.body;
    const { expiresBefore, issuedBefore, ...rest } = query;
    const tenant = tenantIdOf(request);
    const wish = {
      tenant,
      query: { ...rest, expiresBefore: timeOf(expiresBefore), issuedBefore: timeOf(issuedBefore) },
      reason,
      actor: actorOf(principalOf(request)),
      at: store.clock.now(),
      invalidityDate: timeOf(invalidityDate),
    };
    const count = await countOfBatch(store, wish);
    if (preview) return reply.code(200).send({ count, done: 0, state: 'preview' as const, reason });
    if (expected !== undefined && expected !== count)
      throw new StateError('conflict', `${expected} certificates were expected, the query finds ${count} now`);
    const id = await store.unit((tx) => beginBatch(tx, wish, count));
    const batch = (await findBatch(store, tenant, id))!;
    return reply.code(202).send(batchOf(batch));
  });
}

function progressRoute(app: ApiScope, { store }: RevocationContext): void {
  const schema = {
    tags,
    summary: 'How far a batch of revocations is',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: batchView },
  };
  app.get('/revocations/:id', { config: reading, schema }, async (request) => {
    const batch = await findBatch(store, tenantIdOf(request), request.params.id);
    if (batch === undefined) throw new PeerError('not-found', 'no such batch of revocations');
    return batchOf(batch);
  });
}

function crlsRoute(app: ApiScope, { store }: RevocationContext): void {
  const schema = {
    tags,
    summary: 'The CRLs in force',
    querystring: objectQuery,
    response: { 200: Type.Object({ items: Type.Array(crlView) }) },
  };
  app.get('/crls', { config: reading, schema }, async (request) => ({
    items: (await crlsOfTenant(store, tenantIdOf(request))).map(crlOf),
  }));
}

async function certificateOf(store: Store, tenant: string, id: string): Promise<CertificateRow> {
  const row = await getCertificate(store, tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such certificate');
  return row;
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

function batchOf(row: RevocationBatchRow) {
  return {
    id: row.id,
    count: row.expected,
    done: row.done,
    state: row.finished_at === null ? ('running' as const) : ('finished' as const),
    reason: row.reason,
    createdAt: timeText(row.created_at),
    ...presentTime('finishedAt', row.finished_at),
  };
}

/** A CRL in force, as it is shown. */
export function crlOf(row: CrlRow) {
  return {
    authority: row.authority,
    scope: row.scope,
    number: row.number,
    ...present('baseNumber', row.base_number),
    entries: row.entries,
    octets: row.size,
    thisUpdate: timeText(row.this_update),
    nextUpdate: timeText(row.next_update),
    publishedAt: timeText(row.published_at),
  };
}
