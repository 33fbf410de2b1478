import { Type } from 'typebox';
import type { Store } from '../../core/store/store.ts';
import {
  addReferenceValues,
  findReferenceValues,
  listReferenceValues,
  removeReferenceValues,
} from '../../devices/attestation/reference-values.ts';
import type { ReferenceValuesRow } from '../../devices/attestation/tables.ts';
import { referenceValuesOf } from '../../devices/attestation/trust-store.ts';
import { createResource, removeResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { timestamp, timeText } from './views.ts';

const digests = Type.Array(
  Type.String({ pattern: '^([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$', examples: ['9f'.repeat(32)] }),
  {
    description: 'The digests that are right, lower-case hex.',
    minItems: 1,
    maxItems: 64,
  },
);

const members = {
  model: Type.String({ description: 'As evidence or the manifest names it.', minLength: 1, maxLength: 255 }),
  firmware: Type.String({ description: 'What the values are of; for operators.', minLength: 1, maxLength: 255 }),
  pcrs: Type.Record(
    Type.String({ pattern: '^sha(256|384|512)$' }),
    Type.Record(Type.String({ pattern: '^([0-9]|1[0-9]|2[0-3])$' }), digests),
    {
      description: 'By PCR bank and index; a quote must hold each of them.',
      examples: [{ sha256: { '0': ['9f'.repeat(32)] } }],
    },
  ),
  claims: Type.Record(Type.String({ maxLength: 64 }), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
    description: 'Claims that must be as said.',
    maxProperties: 64,
    examples: [{ 'secure-boot': true }],
  }),
};

const view = Type.Object({ id: Type.String(), ...members, createdAt: timestamp('When they were added.') });
const draft = Type.Object(
  {
    model: members.model,
    firmware: members.firmware,
    pcrs: Type.Optional(members.pcrs),
    claims: Type.Optional(members.claims),
  },
  { additionalProperties: false },
);

const kind: ResourceKind<ReferenceValuesRow, typeof view> = {
  noun: 'reference value',
  path: '/reference-values',
  tag: 'attestation',
  key: keyParameter,
  access: { read: 'attestation:read', write: 'attestation:write' },
  view,
  // A copy that may be written to: what is stored came in by the same schema.
  viewOf: (row) =>
    structuredClone<unknown>({ ...referenceValuesOf(row), createdAt: timeText(row.created_at) }) as never,
  keyOf: ({ id }) => id,
  find: findReferenceValues,
};

/** Reference values: what the firmwares of a model measure. */
export function referenceValueRoutes(app: ApiScope, store: Store): void {
  readResource(app, store, kind, {
    filters: { model: Type.Optional(members.model) },
    read: (rows, tenant, page, { model }) => listReferenceValues(rows, tenant, { ...page, model }),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, {
    body: draft,
    create:
      async ({ pcrs = {}, claims = {}, ...named }, { tenant, at }) =>
      (tx) =>
        addReferenceValues(tx, tenant, { ...named, pcrs, claims }, at),
  });
  removeResource(app, store, kind, { remove: removeReferenceValues });
}
