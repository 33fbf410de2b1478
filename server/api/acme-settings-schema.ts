import { Type } from 'typebox';

import { ACME_AUTHENTICATORS, ACME_CHALLENGES, ACME_IDENTIFIERS } from '../../core/enrollment/acme-settings.ts';

const members = { additionalProperties: false } as const;
const list = { uniqueItems: true } as const;
const url = { minLength: 1, maxLength: 2_048, pattern: '^https?://[\\u0021-\\u007e]+$' };
const network = Type.String({ minLength: 2, maxLength: 64 });
const port = (description: string) => Type.Integer({ description, minimum: 1, maximum: 65_535 });
const quota = (description: string) => Type.Integer({ description, minimum: 1, maximum: 100_000_000 });

const profile = Type.Object(
  {
    name: Type.String({ description: 'What orders name.', pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    description: Type.String({ description: 'What a person reads of it.', minLength: 1, maxLength: 256 }),
    profile: Type.Optional(
      Type.String({
        description: "Id of a certificate profile; absent: the endpoint's.",
        minLength: 1,
        maxLength: 64,
      }),
    ),
  },
  members,
);

/** The members of ACME's settings on an endpoint. */
export const acmeMembers = {
  authenticators: Type.Array(Type.Enum(ACME_AUTHENTICATORS, { description: 'A kind of proof.' }), {
    ...list,
    description: 'Challenges that were answered, or a key that vouches for names.',
  }),
  externalAccount: Type.Enum(['required', 'optional'], {
    description: 'Whether a new account needs a key of kind `eab`.',
  }),
  identifiers: Type.Array(Type.Enum(ACME_IDENTIFIERS), { ...list, description: 'What orders may name.' }),
  challenges: Type.Array(Type.Enum(ACME_CHALLENGES), { ...list, description: 'Challenges that are offered.' }),
  wildcards: Type.Boolean({ description: 'Whether `*.` names may be ordered.' }),
  caa: Type.Enum(['ignored', 'checked'], {
    description: 'Whether CAA records of DNS names must let this server issue.',
  }),
  caaIdentities: Type.Array(Type.String({ minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9.-]+$' }), {
    ...list,
    description: 'Names that CAA records call this server by.',
    maxItems: 16,
  }),
  profiles: Type.Array(profile, { description: 'Profiles that orders may name.', maxItems: 32 }),
  commonName: Type.Enum(['as-requested', 'first-name'], {
    description: 'What a request without a common name gets: none, or the first DNS name.',
  }),
  resolvers: Type.Array(Type.String({ minLength: 2, maxLength: 64, pattern: '^[0-9A-Fa-f.:\\[\\]]+$' }), {
    description: "Name servers that validation asks; none: this host's.",
    maxItems: 8,
  }),
  allowedNetworks: Type.Array(network, { description: 'Private networks validation may reach (CIDR).', maxItems: 256 }),
  deniedNetworks: Type.Array(network, { description: 'Networks it may not reach (CIDR).', maxItems: 256 }),
  specialAddresses: Type.Enum(['never', 'as-listed'], {
    description: 'Whether allowedNetworks may name loopback and link-local addresses: for tests.',
  }),
  httpPort: port('Port of http-01.'),
  httpsPort: port('Port that a redirect to https may lead to.'),
  tlsAlpnPort: port('Port of tls-alpn-01.'),
  validationAttempts: Type.Integer({ description: 'Looks at a challenge before it failed.', minimum: 1, maximum: 20 }),
  validationRetrySeconds: Type.Integer({ description: 'Between two of them.', minimum: 1, maximum: 600 }),
  validationTimeoutSeconds: Type.Integer({ description: 'For each of them.', minimum: 1, maximum: 30 }),
  orderLifetimeSeconds: Type.Integer({ description: 'An order waits so long.', minimum: 60, maximum: 31_536_000 }),
  authorizationReuseSeconds: Type.Integer({
    description: 'A validated name serves further orders so long.',
    minimum: 0,
    maximum: 31_536_000,
  }),
  answerWithinSeconds: Type.Integer({
    description: 'After this long finalize answers `processing`.',
    minimum: 0,
    maximum: 60,
  }),
  renewalPollSeconds: Type.Integer({
    description: 'Clients ask for renewal information so often.',
    minimum: 60,
    maximum: 604_800,
  }),
  renewalInfoPerMinute: quota('Questions for renewal information from one address in a minute.'),
  accountsPerHour: quota('New accounts of one source address in an hour.'),
  ordersPerHour: quota('New orders of one account in an hour.'),
  failedValidationsPerHour: quota('Failed validations of one account in an hour.'),
  rehearsal: Type.Enum(['off', 'on'], { description: 'Slow answers and every fifth nonce refused once: for tests.' }),
};

/** Members that may be absent; null takes them away. */
export const optionalAcmeMembers = {
  termsOfService: Type.String({ ...url, description: 'URL of terms that accounts agree to.' }),
  website: Type.String({ ...url, description: 'URL of a page about this server.' }),
  renewIssuedBefore: Type.String({
    description: 'Certificates from before this time are renewed at once.',
    format: 'date-time',
  }),
  renewalExplanation: Type.String({ ...url, description: 'URL of a page about that.' }),
};
