import { Type } from 'typebox';
import { ATTESTATION_MODES } from '../../core/enrollment/attestation-policy.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import {
  type EvidenceSummary,
  findEvidence,
  keptEvidence,
  listEvidence,
} from '../../devices/attestation/evidence-records.ts';
import { findingSentences } from '../../devices/attestation/findings.ts';
import { tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

const finding = Type.Object({ code: Type.String(), meaning: Type.String({ description: 'What the code tells.' }) });
const decision = Type.Enum(['admitted', 'observed', 'refused']);

const view = Type.Object({
  id: Type.String(),
  endpoint: Type.String({ description: 'Id of the endpoint.' }),
  type: Type.String({ description: 'The kind of evidence.' }),
  verdict: Type.Enum(['affirmed', 'refused']),
  findings: Type.Array(finding, { description: 'Why it was refused, or what was noticed.' }),
  detail: Type.Optional(Type.String({ description: 'What exactly was expected and found.' })),
  identity: Type.Optional(Type.String({ description: 'What the device is recognised by.' })),
  identifiers: Type.Record(Type.String(), Type.String()),
  claims: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
  sha256: Type.String({ description: 'Of the evidence.' }),
  octets: Type.Integer({ description: 'Size of the evidence.' }),
  attestedKeySha256: Type.Optional(Type.String({ description: 'Of the SubjectPublicKeyInfo it attests.' })),
  keptUntil: Type.Optional(timestamp('Until when the evidence itself is kept.')),
  decision: Type.Optional(
    Type.Object({
      mode: Type.Enum(ATTESTATION_MODES),
      outcome: decision,
      faults: Type.Array(finding, { description: 'What spoke against the request.' }),
      enrollment: Type.Optional(Type.String()),
      device: Type.Optional(Type.String({ description: 'As the request named it.' })),
      decidedAt: timestamp('When.'),
    }),
  ),
  expiresAt: Type.Optional(timestamp('Until when evidence that was appraised beforehand may be used.')),
  usedAt: Type.Optional(timestamp('When it was used.')),
  createdAt: timestamp('When it was appraised.'),
});

const kind: ResourceKind<EvidenceSummary, typeof view> = {
  noun: 'evidence',
  path: '/evidence',
  tag: 'attestation',
  key: keyParameter,
  access: { read: 'attestation:read', write: 'attestation:write' },
  view,
  viewOf,
  keyOf: ({ id }) => id,
  find: findEvidence,
};

const filters = {
  verdict: Type.Optional(view.properties.verdict),
  decision: Type.Optional(decision),
  type: Type.Optional(Type.String({ maxLength: 64 })),
  identity: Type.Optional(Type.String({ maxLength: 512 })),
  enrollment: Type.Optional(Type.String({ maxLength: 64 })),
};

/** Verdicts of the attestation gate, newest first, and evidence as long as it is kept. */
export function evidenceRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters,
    read: (rows, tenant, { after: before, limit }, { verdict, decision: outcome, type, identity, enrollment }) =>
      listEvidence(rows, tenant, { before, limit, verdict, decision: outcome, type, identity, enrollment }),
    cursorOf: ({ id }) => id,
  });
  contentRoute(app, store);
}

function contentRoute(app: ApiScope, store: Store): void {
  const schema = {
    tags: ['attestation'],
    summary: 'The evidence itself, base64',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: Type.Object({ id: Type.String(), evidence: Type.String() }) },
  };
  app.get('/evidence/:id/content', { config: { access: 'attestation:read' }, schema }, async (request) => {
    const { id } = request.params;
    const octets = await keptEvidence(durableRows(store), tenantIdOf(request), id);
    if (octets === undefined) throw new PeerError('not-found', 'no such evidence, or it is not kept');
    return { id, evidence: Buffer.from(octets).toString('base64') };
  });
}

function viewOf(row: EvidenceSummary) {
  return {
    id: row.id,
    endpoint: row.endpoint,
    type: row.type,
    verdict: row.verdict,
    findings: explained(row.findings),
    ...present('detail', row.detail),
    ...present('identity', row.identity),
    identifiers: JSON.parse(row.identifiers) as Record<string, string>,
    claims: JSON.parse(row.claims) as Record<string, string | number | boolean>,
    sha256: row.sha256,
    octets: row.octets,
    ...present('attestedKeySha256', row.attested_key_sha256),
    ...presentTime('keptUntil', row.keep_until),
    ...decisionOf(row),
    ...presentTime('expiresAt', row.expires_at),
    ...presentTime('usedAt', row.used_at),
    createdAt: timeText(row.created_at),
  };
}

function decisionOf({ decision: outcome, decided_at: at, ...row }: EvidenceSummary) {
  if (outcome === null || at === null) return {};
  return {
    decision: {
      mode: row.mode,
      outcome,
      faults: explained(row.faults),
      ...present('enrollment', row.enrollment),
      ...present('device', row.device_name),
      decidedAt: timeText(at),
    },
  };
}

/** Codes with what they tell. */
function explained(codes: string) {
  const list = JSON.parse(codes) as string[];
  const sentences = findingSentences(list);
  return list.map((code, index) => ({ code, meaning: sentences[index] ?? code }));
}
