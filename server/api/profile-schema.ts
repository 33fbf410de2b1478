import { type Static, Type } from 'typebox';
import type { EcCurve, ProfileSettings } from '../../core/authority/profile.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { KeyUsageBit } from '../../core/x509/extensions.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';

const members = { additionalProperties: false } as const;
const list = { uniqueItems: true, maxItems: 64 } as const;
const OID = '^[0-2](\\.(0|[1-9]\\d{0,30})){1,30}$';
const oid = Type.String({ maxLength: 128, pattern: OID, examples: ['1.3.6.1.5.5.7.3.2'] });
const bits = (description: string) => Type.Integer({ description, minimum: 1024, maximum: 16_384 });

const CURVES = ['P-256', 'P-384', 'P-521'] as const satisfies readonly EcCurve[];
const NAME_KINDS = [
  'dnsName',
  'ipAddress',
  'uri',
  'rfc822Name',
  'otherName',
  'directoryName',
  'registeredId',
] as const satisfies readonly GeneralName['kind'][];
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
] as const satisfies readonly KeyUsageBit[];

const keys = Type.Object(
  {
    rsa: Type.Optional(Type.Object({ minBits: bits('Shortest modulus.'), maxBits: bits('Longest.') }, members)),
    ec: Type.Array(Type.Enum(CURVES), list),
    edwards: Type.Array(Type.Enum(['ed25519', 'ed448']), list),
    mlDsa: Type.Array(Type.Union([Type.Literal(44), Type.Literal(65), Type.Literal(87)]), list),
  },
  { ...members, description: 'Keys that are certified; what is absent is refused.' },
);

const subject = Type.Object(
  {
    attributes: Type.Union([Type.Literal('any'), Type.Array(oid, list)], {
      description: 'Attribute types that a subject may hold.',
    }),
    required: Type.Boolean({ description: 'Whether a request without a subject is refused.' }),
  },
  members,
);

const subjectAltName = Type.Object(
  {
    kinds: Type.Array(Type.Enum(NAME_KINDS), list),
    max: Type.Integer({ description: 'Most names of a certificate.', minimum: 0, maximum: 1_000 }),
    dnsSuffixes: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 253, examples: ['.example'] }), {
        ...list,
        description: 'DNS names must end in one of these; absent: any.',
      }),
    ),
  },
  members,
);

const settings = {
  validitySeconds: Type.Integer({
    description: "Cut to the issuer's own end.",
    minimum: 60,
    maximum: 50 * 31_536_000,
    examples: [31_536_000],
  }),
  backdateSeconds: Type.Integer({
    description: 'By which notBefore lies in the past, for slow clocks.',
    minimum: 0,
    maximum: 31_536_000,
  }),
  keys,
  keyReuse: Type.Enum(['allowed', 'renewal', 'refused'], {
    description: 'Whether a key that was certified before may be certified again.',
  }),
  subject,
  subjectAltName,
  extendedKeyUsage: Type.Array(
    Type.String({
      description: 'A dotted OID, or a name such as clientAuth.',
      minLength: 1,
      maxLength: 128,
      examples: ['1.3.6.1.5.5.7.3.2'],
    }),
    list,
  ),
  certificatePolicies: Type.Array(oid, list),
};

const optionalSettings = {
  keyUsage: Type.Array(Type.Enum(KEY_USAGES), {
    ...list,
    minItems: 1,
    description: 'Of every certificate; absent: what the kind of key allows.',
  }),
  ocspNoCheck: Type.Boolean({ description: 'Whether status of the certificates need not be asked for.' }),
};

/** A profile as the API shows it. */
export const profileView = Type.Object({
  id: Type.String(),
  name: Type.String({ examples: ['device'] }),
  revision: Type.Integer({ description: 'Counts changes; also the ETag.' }),
  ...settings,
  ...Type.Partial(Type.Object(optionalSettings)).properties,
});

/** Changes of a profile; null takes an optional setting away. */
export const profileChanges = Type.Object(
  {
    ...Type.Partial(Type.Object(settings)).properties,
    keyUsage: Type.Optional(Type.Union([optionalSettings.keyUsage, Type.Null()])),
    ocspNoCheck: Type.Optional(Type.Union([optionalSettings.ocspNoCheck, Type.Null()])),
  },
  members,
);
type ProfileChanges = Static<typeof profileChanges>;

/** A new profile: its name, and what differs from a device's. */
export const profileDraft = Type.Object(
  {
    name: Type.String({
      description: 'Unique in the tenant.',
      pattern: '^[a-z0-9][a-z0-9._-]{0,62}$',
      examples: ['router'],
    }),
    ...profileChanges.properties,
  },
  members,
);

/** The settings after changes. @throws PeerError `malformed-request` for what no certificate could satisfy. */
export function changedProfile(before: ProfileSettings, changes: ProfileChanges): ProfileSettings {
  const { keyUsage, ocspNoCheck, extendedKeyUsage, ...rest } = changes;
  const { keyUsage: oldUsage, ocspNoCheck: oldCheck, ...kept } = before;
  const usage = keyUsage === undefined ? oldUsage : keyUsage;
  const check = ocspNoCheck === undefined ? oldCheck : ocspNoCheck;
  const after: ProfileSettings = {
    ...kept,
    ...defined(rest),
    extendedKeyUsage: extendedKeyUsage === undefined ? kept.extendedKeyUsage : extendedKeyUsage.map(purposeOf),
    ...(usage !== null && usage !== undefined && { keyUsage: usage }),
    ...(check !== null && check !== undefined && { ocspNoCheck: check }),
  };
  requirePossible(after);
  return after;
}

function defined<T extends object>(changes: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as never;
}

function purposeOf(text: string): string {
  if (new RegExp(OID).test(text)) return text;
  const known = Object.entries(KEY_PURPOSE).find(([name]) => name === text);
  if (known !== undefined) return known[1];
  const names = Object.keys(KEY_PURPOSE).join(', ');
  throw new PeerError('malformed-request', `extendedKeyUsage: expected a dotted OID or one of ${names}, found ${text}`);
}

function requirePossible({ keys: rules, subjectAltName: names, subject: { required } }: ProfileSettings): void {
  const { rsa, ec, edwards, mlDsa } = rules;
  if (rsa === undefined && ec.length + edwards.length + mlDsa.length === 0)
    throw new PeerError('malformed-request', 'keys: at least one kind of key has to be allowed');
  if (rsa !== undefined && rsa.minBits > rsa.maxBits)
    throw new PeerError('malformed-request', 'keys.rsa: minBits is more than maxBits');
  if (!required && (names.max === 0 || names.kinds.length === 0) && names.dnsSuffixes !== undefined)
    throw new PeerError('malformed-request', 'subjectAltName: dnsSuffixes without room for a name');
}
