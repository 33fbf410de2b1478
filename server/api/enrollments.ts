import { hash } from 'node:crypto';
import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import { PROTOCOLS } from '../../core/enrollment/endpoint.ts';
import { approve, getEnrollment, listEnrollments, reject } from '../../core/enrollment/enrollments.ts';
import type { EnrollmentRow } from '../../core/enrollment/tables.ts';
import { waitingRequest } from '../../core/enrollment/waiting-requests.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { REASONS } from '../../core/errors/reasons.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { endpointOf } from './endpoints.ts';
import { listQuery, objectQuery, pageFrom, pageOf, readPage } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

type EnrollmentContext = Pick<ApiContext, 'store' | 'endpoints'>;

const tags = ['enrollments'];
const statuses = ['pending', 'approved', 'signing', 'issued', 'rejected', 'expired'] as const;
const status = Type.Enum(statuses);

const digest = Type.String({ pattern: '^[0-9a-f]+$' });
const fingerprints = (description: string) =>
  Type.Object({ md5: digest, sha1: digest, sha256: digest }, { description });

const enrollmentView = Type.Object({
  id: Type.String(),
  endpoint: Type.String({ description: 'Label of the endpoint.' }),
  protocol: Type.Enum(PROTOCOLS),
  status,
  deviceName: Type.String(),
  subject: Type.String({ description: 'As asked for, RFC 4514.' }),
  names: Type.Array(Type.String(), { description: 'subjectAltNames as asked for.' }),
  requestSha256: Type.String({ description: 'Fingerprint of the request as kept: without a challenge password.' }),
  publicKeySha256: Type.String({ description: 'Fingerprint of the SubjectPublicKeyInfo.' }),
  requestFingerprints: Type.Optional(
    fingerprints('Of the request as received, for comparison with what the device shows. One that waits, or once did.'),
  ),
  publicKeyFingerprints: Type.Optional(
    fingerprints('Of the SubjectPublicKeyInfo. Absent where the key is made here, and from lists.'),
  ),
  principal: Type.String({ description: 'Which credential asked.' }),
  sourceAddress: Type.String(),
  serialNumber: Type.Optional(Type.String()),
  certificate: Type.Optional(Type.String({ description: 'Id of the certificate.' })),
  reason: Type.Optional(Type.String({ description: 'Code of the reason of a rejection.' })),
  detail: Type.Optional(Type.String()),
  hint: Type.Optional(Type.String({ description: 'What an operator does about it.' })),
  decidedBy: Type.Optional(Type.String()),
  createdAt: timestamp('When it was asked for.'),
  updatedAt: timestamp('When it last changed.'),
  expiresAt: Type.Optional(timestamp('Until when a pending one waits.')),
});

const decision = Type.Object(
  {
    comment: Type.String({
      description: 'Goes into the audit log; of a rejection, also to the device.',
      default: '',
      maxLength: 500,
    }),
  },
  { additionalProperties: false, default: {} },
);

/** Enrolments: list, show, approve, reject. */
export function enrollmentRoutes(app: ApiScope, context: EnrollmentContext): void {
  listRoute(app, context);
  getRoute(app, context);
  decisionRoute(app, context, 'approve');
  decisionRoute(app, context, 'reject');
  commentRoute(app, context);
}

/** `POST /enrollments/{id}/comment`: what somebody found out, before anybody decides. */
function commentRoute(app: ApiScope, context: EnrollmentContext): void {
  const schema = {
    tags,
    summary: 'Note something about an enrolment in the audit log',
    params: idParameters,
    querystring: objectQuery,
    body: Type.Object({ comment: Type.String({ minLength: 1, maxLength: 500 }) }, { additionalProperties: false }),
    response: { 200: enrollmentView },
  };
  app.post('/enrollments/:id/comment', { config: { access: 'enrollments:decide' }, schema }, async (request) => {
    const { store } = context;
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    const shown = await enrollmentOf(context, tenant, id);
    const actor = actorOf(principalOf(request));
    const entry = { tenant, at: store.clock.now(), actor, action: 'enrollment.commented', object: `enrollment:${id}` };
    const details = { comment: request.body.comment };
    await store.unit((tx) => appendAudit(tx, { ...entry, outcome: 'success', details }));
    return shown;
  });
}

function listRoute(app: ApiScope, context: EnrollmentContext): void {
  const filters = {
    status: Type.Optional(status),
    endpoint: Type.Optional(Type.String({ pattern: '^[a-z0-9-]{1,63}$' })),
  };
  const schema = {
    tags,
    summary: 'List enrolments',
    querystring: listQuery(filters),
    response: { 200: pageOf(enrollmentView) },
  };
  app.get('/enrollments', { config: { access: 'enrollments:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { status: wanted, endpoint: label } = request.query;
    const endpoint = label === undefined ? undefined : (await endpointOf(context.endpoints, tenant, label)).id;
    const labels = await labelsOf(context, tenant);
    return readPage(
      pageFrom(request.query),
      (page) => listEnrollments(context.store, tenant, { ...page, status: wanted, endpoint }),
      (row) => row.id,
      (row) => viewOf(row, labels),
    );
  });
}

function getRoute(app: ApiScope, context: EnrollmentContext): void {
  const schema = {
    tags,
    summary: 'Show an enrolment',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: enrollmentView },
  };
  app.get('/enrollments/:id', { config: { access: 'enrollments:read' }, schema }, (request) =>
    enrollmentOf(context, tenantIdOf(request), request.params.id),
  );
}

function decisionRoute(app: ApiScope, context: EnrollmentContext, verb: 'approve' | 'reject'): void {
  const decide = verb === 'approve' ? approve : reject;
  const summary = verb === 'approve' ? 'Let a waiting enrolment pass' : 'Refuse a waiting enrolment for good';
  const schema = {
    tags,
    summary,
    params: idParameters,
    querystring: objectQuery,
    body: decision,
    response: { 200: enrollmentView },
  };
  app.post(`/enrollments/:id/${verb}`, { config: { access: 'enrollments:decide' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { id } = request.params;
    await enrollmentOf(context, tenant, id);
    const { store } = context;
    const actor = actorOf(principalOf(request));
    await store.unit((tx) => decide(tx, { tenant, id, actor, comment: request.body.comment, now: store.clock.now() }));
    return enrollmentOf(context, tenant, id);
  });
}

async function enrollmentOf(context: EnrollmentContext, tenant: string, id: string) {
  const row = await getEnrollment(context.store, tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such enrolment');
  const waiting = await waitingRequest(context.store, tenant, id);
  return {
    ...viewOf(row, await labelsOf(context, tenant)),
    ...present('requestFingerprints', waiting?.request),
    ...present('publicKeyFingerprints', waiting?.publicKey),
  };
}

async function labelsOf({ endpoints }: EnrollmentContext, tenant: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await endpoints.list(tenant)).map((endpoint) => [endpoint.id, endpoint.label]));
}

function viewOf(row: EnrollmentRow, labels: ReadonlyMap<string, string>) {
  return {
    id: row.id,
    endpoint: labels.get(row.endpoint) ?? row.endpoint,
    protocol: row.protocol,
    status: row.status,
    deviceName: row.device_name,
    subject: row.subject,
    names: JSON.parse(row.names) as string[],
    requestSha256: hash('sha256', row.request),
    publicKeySha256: row.spki_sha256,
    principal: row.principal,
    sourceAddress: row.source_address,
    ...present('serialNumber', row.serial_number),
    ...present('certificate', row.certificate),
    ...present('reason', row.reason),
    ...present('detail', row.detail),
    ...present('hint', row.reason === null ? null : REASONS[row.reason].hint),
    ...present('decidedBy', row.decided_by),
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
    ...presentTime('expiresAt', row.expires_at),
  };
}
