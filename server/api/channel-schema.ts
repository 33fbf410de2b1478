import { type Static, Type } from 'typebox';
import { timestamp } from './views.ts';

const members = { additionalProperties: false } as const;
const name = Type.String({
  description: 'Unique in the tenant.',
  pattern: '^[a-z0-9][a-z0-9._-]{0,62}$',
  examples: ['noc'],
});
const enabled = Type.Boolean({ description: 'Whether it is told.', default: true });
const host = Type.String({ minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9.:-]+$', examples: ['relay.example'] });
const port = (value: number) => Type.Integer({ minimum: 1, maximum: 65_535, default: value });
const address = Type.String({
  minLength: 3,
  maxLength: 254,
  pattern: '^[^\\s<>,;"@]+@[^\\s<>,;"@]+$',
  examples: ['noc@example.com'],
});
const authority = Type.Optional(
  Type.String({
    description: "PEM of who signs the receiver's certificate; absent: those this host trusts.",
    maxLength: 65_536,
  }),
);
const secret = (description: string) => Type.String({ description, minLength: 1, maxLength: 1_024 });

const webhook = Type.Object(
  {
    url: Type.String({
      description: 'https, or http to a loopback address.',
      maxLength: 2_048,
      examples: ['https://noc.example/muster'],
    }),
  },
  members,
);
const email = Type.Object(
  {
    host,
    port: port(587),
    security: Type.Enum(['tls', 'starttls', 'none'], { default: 'starttls' }),
    username: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    from: address,
    to: Type.Array(address, { minItems: 1, maxItems: 50 }),
    authority,
  },
  members,
);
const syslog = Type.Object(
  {
    host,
    port: port(6514),
    format: Type.Enum(['rfc5424', 'cef'], { description: '`cef`: Common Event Format inside.', default: 'rfc5424' }),
    authority,
  },
  members,
);

/** A new channel: one of `webhook`, `slack`, `email` and `syslog`. */
export const channelDraft = Type.Object(
  {
    name,
    enabled: Type.Optional(enabled),
    webhook: Type.Optional(webhook),
    slack: Type.Optional(Type.Object({}, members)),
    email: Type.Optional(email),
    syslog: Type.Optional(syslog),
    secret: Type.Optional(secret('HMAC key of a webhook, URL of a Slack hook, or password for the mail relay.')),
  },
  {
    ...members,
    examples: [{ name: 'noc', webhook: { url: 'https://noc.example/muster' }, secret: 'at-least-16-characters' }],
  },
);
export type ChannelDraft = Static<typeof channelDraft>;

/** Changes of a channel; its kind stays. */
export const channelChanges = Type.Object(
  {
    enabled: Type.Optional(enabled),
    webhook: Type.Optional(webhook),
    email: Type.Optional(email),
    syslog: Type.Optional(syslog),
    secret: Type.Optional(secret('Takes the place of the present one.')),
  },
  { ...members, examples: [{ enabled: false }] },
);

/** A channel as the API shows it, without its secret. */
export const channelView = Type.Object({
  id: Type.String(),
  name,
  kind: Type.Enum(['webhook', 'slack', 'email', 'syslog']),
  revision: Type.Integer(),
  enabled: Type.Boolean(),
  webhook: Type.Optional(webhook),
  email: Type.Optional(email),
  syslog: Type.Optional(syslog),
  createdAt: timestamp('When it was made.'),
});

/** What a test of a channel came to. */
export const channelTest = Type.Object({
  delivered: Type.Boolean(),
  event: Type.String({ description: 'Id of the event that was sent.' }),
  detail: Type.Optional(Type.String({ description: 'Why it was not taken.' })),
});
