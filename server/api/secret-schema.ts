import { type Static, Type } from 'typebox';
import type { SecretDescription } from '../../core/enrollment/secrets.ts';
import { timestamp } from './views.ts';

const KINDS = ['one-time', 'device', 'static', 'derived', 'mac', 'decider', 'eab'] as const;
type SecretKind = (typeof KINDS)[number];

const kind = Type.Enum(KINDS, {
  description:
    '`one-time` admits its first request; `device` is the standing password of one user name; `static` is one secret for the ' +
    'devices on its list; `derived` is a key that challenges are computed from; `mac` protects CMP messages; `decider` is a key ' +
    'that questions to the external decider are signed with; `eab` is a key that ACME accounts are bound to.',
});
const usage = Type.Enum(['one-time', 'device'], {
  description: 'Of a MAC secret or an EAB key: `one-time` admits one request or account, `device` any number.',
});
const printable = { minLength: 1, maxLength: 128, pattern: '^[^\\u0000-\\u001f\\u007f]+$' };
const username = Type.String({ description: 'The only user name it goes with; absent: any.', ...printable });
const subject = Type.String({ description: 'The only device name it enrols; absent: any.', ...printable });
const allowed = Type.Array(Type.String({ ...printable, maxLength: 255 }), {
  description:
    'The devices a static secret enrols, or the names an EAB key vouches for: `*` stands for any run of characters.',
  minItems: 1,
  maxItems: 1_000,
});
const reference = Type.String({ description: 'The name a sender refers to a MAC secret or an EAB key by.' });

/** A secret as the API shows it: everything but the secret. */
export const secretView = Type.Object({
  id: Type.String(),
  endpoint: Type.String({ description: 'Label of the endpoint it opens.' }),
  kind,
  usage: Type.Optional(usage),
  reference: Type.Optional(reference),
  username: Type.Optional(username),
  subject: Type.Optional(subject),
  allowed: Type.Optional(allowed),
  state: Type.Enum(['free', 'bound', 'spent', 'revoked', 'expired']),
  createdBy: Type.String(),
  createdAt: timestamp('When it was made.'),
  expiresAt: timestamp('When it ends.'),
});

const lifetimeSeconds = { minimum: 60, maximum: 315_360_000 };

/** What a new secret shall be. */
export const secretDraft = Type.Object(
  {
    endpoint: Type.String({
      description: 'Label of the endpoint it opens.',
      default: 'default',
      pattern: '^[a-z0-9-]{1,63}$',
    }),
    kind: Type.Enum(KINDS, { default: 'one-time' }),
    usage: Type.Optional(usage),
    username: Type.Optional(username),
    subject: Type.Optional(subject),
    allowed: Type.Optional(allowed),
    secret: Type.Optional(
      Type.String({ ...printable, description: 'A static secret that was chosen; absent: one is made.' }),
    ),
    lifetimeSeconds: Type.Optional(
      Type.Integer({ description: 'Default: a day for what serves once, a year for the rest.', ...lifetimeSeconds }),
    ),
  },
  { additionalProperties: false },
);
export type SecretDraft = Static<typeof secretDraft>;

/** A secret that was made. */
export const issuedSecret = Type.Object({
  id: Type.String(),
  reference: Type.Optional(reference),
  secret: Type.Optional(Type.String({ description: 'Shown this once; absent for one that was chosen.' })),
  expiresAt: timestamp('When it ends.'),
});

/** Whose challenge is to be derived. */
export const challengeDraft = Type.Object(
  {
    subject: Type.String({ description: 'The device name.', ...printable }),
    lifetimeSeconds: Type.Integer({
      description: 'It serves until the end of the day, in UTC, on which this time ends.',
      default: 86_400,
      ...lifetimeSeconds,
    }),
  },
  { additionalProperties: false },
);

/** A challenge that was derived. */
export const derivedChallenge = Type.Object({
  challenge: Type.String(),
  lastDay: Type.String({ description: 'The last day, in UTC, on which it serves.' }),
  expiresAt: timestamp('When it, or the key it was derived from, ends.'),
});

/** The kind of a stored secret; of a MAC secret and an EAB key also how often it serves. */
export function kindOf({ reference: name, usage: use }: SecretDescription): {
  readonly kind: SecretKind;
  readonly usage?: 'one-time' | 'device';
} {
  if (use === 'eab-once' || use === 'eab-many')
    return { kind: 'eab', usage: use === 'eab-once' ? 'one-time' : 'device' };
  if (name === null) return { kind: use };
  return { kind: 'mac', usage: use === 'one-time' ? 'one-time' : 'device' };
}
