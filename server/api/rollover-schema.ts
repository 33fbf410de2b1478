import { Type } from 'typebox';

import { KEY_ALGORITHMS, type KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { pageOf } from './paging.ts';
import { timestamp } from './views.ts';

const EVIDENCE = ['mtls-fetch', 'signed-fetch', 'presented', 'accepted'] as const;

/** What `POST /rollovers` takes. */
export const rolloverBody = Type.Object(
  {
    authority: Type.String({
      description: 'Name or id of the authority to be replaced. A root takes those below it along.',
      minLength: 1,
      maxLength: 128,
    }),
    keyAlgorithm: Type.Optional(
      Type.Enum(Object.keys(KEY_ALGORITHMS) as KeyAlgorithm[], { description: 'Default: that of the present key.' }),
    ),
    subject: Type.Optional(
      Type.String({
        description: 'Of an issuing authority, RFC 4514. Default: the present name with a number.',
        minLength: 1,
        maxLength: 512,
      }),
    ),
    switchAt: Type.Optional(timestamp('When the successor takes over.')),
  },
  { additionalProperties: false },
);

/** What `POST /rollovers/{id}/switch` takes. */
export const switchBody = Type.Object(
  {
    at: Type.Optional(timestamp('When the successor takes over. Default: now.')),
    acceptUnready: Type.Boolean({
      description: 'Switch now although devices are not known to be ready; otherwise that is refused (409).',
      default: false,
    }),
  },
  { additionalProperties: false, default: {} },
);

/** Who is ready. */
const readinessView = Type.Object({
  devices: Type.Integer({ description: 'Devices with a valid certificate of an authority that is replaced.' }),
  proved: Type.Integer({ description: 'Those that proved to know the successor.' }),
  unknown: Type.Integer({ description: 'The others: they are not ready.' }),
  renewed: Type.Integer({ description: 'Those that the successor issued a certificate to.' }),
  evidence: Type.Partial(
    Type.Object(Object.fromEntries(EVIDENCE.map((name) => [name, Type.Integer()])), {
      description: 'Devices by what proved it; one may count under several.',
    }),
  ),
  anonymousFetches: Type.Array(
    Type.Object({ protocol: Type.String(), count: Type.Integer(), lastAt: timestamp('The last one.') }),
    { description: 'Fetches by nobody in particular: they prove nothing.' },
  ),
  certificates: Type.Integer({ description: 'Certificates of devices, revoked ones among them, that have not ended.' }),
  lastNotAfter: Type.Optional(timestamp('When the last of them ends: retiring is possible from then on.')),
});

/** A rollover. */
export const rolloverView = Type.Object({
  id: Type.String(),
  state: Type.Enum(['announced', 'switched', 'retired']),
  members: Type.Array(
    Type.Object({
      predecessor: Type.String({ description: 'Id of an authority.' }),
      successor: Type.String({ description: 'Id of the one that takes over from it.' }),
      crossCertificates: Type.Boolean({ description: 'Whether they are roots, with OldWithNew and NewWithOld.' }),
    }),
  ),
  createdAt: timestamp('When it was announced.'),
  switchAt: Type.Optional(timestamp('The date that was set.')),
  switchedAt: Type.Optional(timestamp('When the successor took over.')),
  retiredAt: Type.Optional(timestamp('When the predecessor ended.')),
  readiness: Type.Optional(readinessView),
});

/** Devices with what they proved. */
export const deviceReadinessPage = pageOf(
  Type.Object({
    device: Type.String({ description: 'Id.' }),
    evidence: Type.Array(
      Type.Object({ kind: Type.Enum(EVIDENCE), protocol: Type.String(), at: timestamp('The first time.') }),
    ),
  }),
);
