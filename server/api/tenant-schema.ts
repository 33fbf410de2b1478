import { Type } from 'typebox';
import { KEY_ALGORITHMS, type KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { timestamp } from './views.ts';

const members = { additionalProperties: false } as const;
const text = { minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]+$' } as const;

/** A kind of key of an authority. */
export const keyAlgorithm = Type.Enum(Object.keys(KEY_ALGORITHMS) as KeyAlgorithm[], { description: 'Kind of key.' });

const name = Type.String({
  description: 'Unique in the installation; also the label of its first endpoint.',
  pattern: '^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?$',
  examples: ['north'],
});
const description = Type.String({ ...text, description: 'For people.', examples: ['Branches of the north'] });
const token = Type.String({
  ...text,
  maxLength: 64,
  description: 'Label of the token that new authorities are made in.',
  examples: ['muster'],
});

/** A tenant as the API shows it. */
export const tenantView = Type.Object({
  id: Type.String(),
  name,
  revision: Type.Integer({ description: 'Counts changes; also the ETag.' }),
  description: Type.Optional(description),
  token: Type.Optional(token),
  createdAt: timestamp('When it was made.'),
});

/** A new tenant. */
export const tenantDraft = Type.Object(
  {
    name,
    description: Type.Optional(description),
    token: Type.Optional(token),
    provision: Type.Optional(
      Type.Object(
        { rootAlgorithm: Type.Optional(keyAlgorithm), issuingAlgorithm: Type.Optional(keyAlgorithm) },
        {
          ...members,
          description:
            'Also a root and an issuing authority, profiles and endpoints, as the first start makes them. Absent: nothing. A dry run makes no keys.',
        },
      ),
    ),
  },
  members,
);

/** Changes of a tenant. */
export const tenantChanges = Type.Object(
  {
    name: Type.Optional(name),
    description: Type.Optional(Type.Union([description, Type.Null()])),
    token: Type.Optional(Type.Union([token, Type.Null()])),
  },
  members,
);
