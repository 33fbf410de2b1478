import { Type } from 'typebox';
import { REVOCATION_REASONS } from '../../core/authority/revocation.ts';
import { lifetimeMembers } from './status-lifetimes-schema.ts';
import { timestamp } from './views.ts';

/** Members of every wish to revoke. */
const revocationMembers = {
  reason: Type.Enum(REVOCATION_REASONS, {
    description:
      'CRLReason of RFC 5280 §5.3.1. `certificateHold` can be taken back; `removeFromCRL` takes it back, and nothing else.',
    default: 'unspecified',
  }),
  invalidityDate: Type.Optional(timestamp('Since when the key must be thought known to others.')),
};

/** What `POST /certificates/{id}/revoke` takes. */
export const revocationBody = Type.Object(
  {
    ...revocationMembers,
    comment: Type.String({ description: 'Goes into the audit log.', default: '', maxLength: 500 }),
  },
  { additionalProperties: false, default: {} },
);

/** What `POST /authorities/{id}/revoke` takes. */
export const authorityRevocationBody = Type.Object(
  {
    ...revocationMembers,
    reason: Type.Enum(
      REVOCATION_REASONS.filter((reason) => reason !== 'certificateHold' && reason !== 'removeFromCRL'),
      { description: 'CRLReason of RFC 5280 §5.3.1. It cannot be taken back.', default: 'unspecified' },
    ),
    comment: Type.String({ description: 'Goes into the audit log.', default: '', maxLength: 500 }),
  },
  { additionalProperties: false, default: {} },
);

/** What became of an authority. */
export const authorityRevocationView = Type.Object({
  authority: Type.String({ description: 'Id.' }),
  name: Type.String(),
  serialNumber: Type.String({ description: 'Of its certificate, as the CRL of the authority above names it.' }),
  outcome: Type.Enum(['revoked', 'already-revoked']),
});

/** What became of one certificate. */
export const outcomeView = Type.Object({
  certificate: Type.String({ description: 'Id.' }),
  serialNumber: Type.String(),
  outcome: Type.Enum(['revoked', 'already-revoked', 'on-hold', 'released'], {
    description: 'How the certificate stands now; a repeat changes nothing.',
  }),
});

/** What `POST /revocations` takes. */
export const batchBody = Type.Object(
  {
    ...revocationMembers,
    query: Type.Object(
      {
        device: Type.Optional(Type.String({ maxLength: 64 })),
        authority: Type.Optional(Type.String({ maxLength: 64 })),
        profile: Type.Optional(Type.String({ maxLength: 64 })),
        name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
        expiresBefore: Type.Optional(timestamp('Ends before this.')),
        issuedBefore: Type.Optional(timestamp('Recorded before this.')),
      },
      { description: 'Which certificates: all members must fit.', additionalProperties: false, minProperties: 1 },
    ),
    preview: Type.Boolean({ description: 'Only count; nothing is revoked.', default: false }),
    expected: Type.Optional(
      Type.Integer({
        description: 'The count of the preview: with another one, nothing is revoked (409).',
        minimum: 0,
      }),
    ),
  },
  { additionalProperties: false },
);

/** A preview, or a batch with its progress. */
export const batchView = Type.Object({
  id: Type.Optional(Type.String({ description: 'Absent in a preview.' })),
  count: Type.Integer({ description: 'Certificates that are meant.' }),
  done: Type.Integer({ description: 'Certificates looked at so far.' }),
  state: Type.Enum(['preview', 'running', 'finished']),
  reason: Type.String(),
  createdAt: Type.Optional(timestamp('When it was asked for.')),
  finishedAt: Type.Optional(timestamp('When the last one was revoked.')),
});

/** A CRL in force. */
export const crlView = Type.Object({
  authority: Type.String(),
  scope: Type.String({ description: '`full`, `delta`, or the number of a shard.' }),
  number: Type.Integer(),
  baseNumber: Type.Optional(Type.Integer()),
  entries: Type.Integer(),
  octets: Type.Integer(),
  thisUpdate: timestamp('Backdated for slow clocks.'),
  nextUpdate: timestamp('Until when relying parties may keep it.'),
  publishedAt: timestamp('When it was put in force.'),
});

/** What `GET /authorities/{id}/status` answers. */
export const authorityStatusView = Type.Object({
  standing: Type.Enum(['good', 'revoked'], { description: 'With the authority above it; a root is never revoked.' }),
  revokedAt: Type.Optional(timestamp('When it was revoked.')),
  reason: Type.Optional(Type.String()),
  lifetimes: Type.Object(lifetimeMembers, { description: 'How late relying parties may be.' }),
  crls: Type.Array(crlView, { description: 'Its CRLs in force.' }),
});

/** How a revocation went round. */
export const timelineView = Type.Object({
  status: Type.Enum(['active', 'revoked']),
  reason: Type.Optional(Type.String()),
  requestedAt: Type.Optional(timestamp('When the database took it.')),
  nodes: Type.Array(
    Type.Object({
      node: Type.String(),
      effectiveAt: timestamp('From then on it answered accordingly.'),
      milliseconds: Type.Integer({ description: 'Since it was requested.' }),
    }),
  ),
  crls: Type.Array(crlView, { description: 'The lists that name the certificate, as they are in force.' }),
  beyond: Type.Object(lifetimeMembers, { description: 'How late relying parties beyond our nodes may be.' }),
});
