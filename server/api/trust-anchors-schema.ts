import { type TProperties, type TSchema, Type } from 'typebox';
import { type AnchorPurpose, ANCHOR_PURPOSES, EXPIRY_POLICIES } from '../../devices/attestation/anchors.ts';

const closed = { additionalProperties: false } as const;
const text = (description: string) => Type.String({ description, maxLength: 255 });
const hexWords = (description: string, digits: number) =>
  Type.Array(Type.String({ pattern: `^[0-9A-F]{${digits}}$` }), { description, maxItems: 1_000, uniqueItems: true });

const deviceCertificate = {
  expiry: Type.Enum(EXPIRY_POLICIES, {
    description:
      'What an expired certificate means: refused; taken when it is the device’s own, as made for its lifetime; taken, its CAs’, too.',
  }),
  allowSha1: Type.Boolean({ description: 'Take signatures with SHA-1: for chains of old devices alone.' }),
};

const serialExtractor = Type.Union(
  [
    Type.Object({ kind: Type.Literal('subject-serial-number') }, closed),
    Type.Object({ kind: Type.Literal('common-name-prefix'), prefix: Type.String({ maxLength: 64 }) }, closed),
    Type.Object({ kind: Type.Literal('hardware-module-name') }, closed),
    Type.Object({ kind: Type.Literal('pid-sn') }, closed),
  ],
  { description: 'Where the manufacturer writes the serial number of a device.' },
);

const idevidSettings = {
  ...deviceCertificate,
  manufacturer: text('What its devices are said to be made by.'),
  serialExtractor,
  hardwareTypes: Type.Array(Type.String({ pattern: '^[0-9]+([.][0-9]+)+$', maxLength: 128 }), {
    description: 'OIDs that hwType may begin with; empty: any.',
    maxItems: 100,
  }),
};
const ekSettings = {
  ...deviceCertificate,
  manufacturers: hexWords('TPM manufacturer ids it may speak for; empty: any.', 8),
  requireKeyPurpose: Type.Boolean({ description: 'Refuse certificates without the purpose of an endorsement key.' }),
};
const paaSettings = {
  vendorIds: hexWords('Vendor ids it may speak for; empty: as its certificate says.', 4),
  test: Type.Boolean({ description: 'A test authority: counts where the endpoint allows test devices.' }),
  requireDeclaration: Type.Boolean({ description: 'Its devices must bring a Certification Declaration.' }),
};
const cdSettings = {
  test: Type.Boolean({ description: 'A test key: counts where the endpoint allows test devices.' }),
};
const androidSettings = {
  requireVerifiedBoot: Type.Boolean({ description: 'Refuse devices whose boot was not verified.' }),
  minimumSecurityLevel: Type.Enum(['trusted-environment', 'strongbox'], {
    description: 'Where the key must at least stand.',
  }),
};
const eatSettings = {
  manufacturer: text('What its devices are said to be made by.'),
  keyId: Type.String({ description: 'kid of the tokens it signs, hex; empty: any.', pattern: '^([0-9a-f]{2}){0,64}$' }),
  profiles: Type.Array(Type.String({ maxLength: 255 }), {
    description: 'eat_profile values it may claim; empty: any.',
    maxItems: 100,
  }),
};

/** Any of the members, and no other. */
const someOf = (members: TProperties) => Type.Object(Type.Partial(Type.Object(members)).properties, closed);

/** The settings of each purpose; every member may be left out. */
export const ANCHOR_SETTINGS_SCHEMAS: Readonly<Record<AnchorPurpose, TSchema>> = {
  idevid: someOf(idevidSettings),
  ek: someOf(ekSettings),
  paa: someOf(paaSettings),
  cd: someOf(cdSettings),
  'attestation-ca': someOf(deviceCertificate),
  apple: Type.Object({}, closed),
  android: someOf(androidSettings),
  eat: someOf(eatSettings),
};

const purpose = Type.Enum(['client', 'ra', ...ANCHOR_PURPOSES], {
  description:
    'What it vouches for: devices and registration authorities that may ask (client, ra); or evidence: IDevIDs, TPM endorsement keys, Matter’s product attestation authorities and declaration signers, attestation keys, Apple, Android, entity attestation tokens.',
});

const settings = Type.Record(Type.String({ maxLength: 32 }), Type.Unknown(), {
  description: 'What the gate is told of it; which members there are goes by the purpose.',
  maxProperties: 16,
});

/** A trust anchor as the API shows it. */
export const trustAnchorView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  purpose,
  subject: Type.Optional(Type.String({ description: 'Of its certificate; absent where it is a bare key.' })),
  notAfter: Type.Optional(Type.String({ format: 'date-time' })),
  sha256: Type.String({ description: 'SHA-256 of the certificate, or of the SubjectPublicKeyInfo of a bare key.' }),
  pem: Type.String(),
  settings,
  createdAt: Type.String({ format: 'date-time' }),
});

/** A trust anchor that is to be. */
export const trustAnchorDraft = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64, pattern: '^[\\w.@-]+$' }),
    purpose,
    pem: Type.String({
      description: 'PEM of one certificate; for `eat` also of a public key.',
      minLength: 1,
      maxLength: 65_536,
    }),
    settings: Type.Optional(settings),
  },
  closed,
);

/** Changes to what the gate is told of an anchor. */
export const trustAnchorChanges = Type.Object(
  { name: Type.Optional(trustAnchorDraft.properties.name), settings: Type.Optional(settings) },
  closed,
);
