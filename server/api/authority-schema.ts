import { Type } from 'typebox';
import { certificateTexts } from './pem-text.ts';
import { keyAlgorithm } from './tenant-schema.ts';
import { timestamp } from './views.ts';

const members = { additionalProperties: false } as const;
const name = Type.String({
  description: 'Unique in the tenant.',
  pattern: '^[A-Za-z0-9][A-Za-z0-9._ -]{0,62}$',
  examples: ['issuing'],
});
const subject = Type.String({
  description: 'RFC 4514. Default: from the names of tenant and authority.',
  minLength: 1,
  maxLength: 512,
  examples: ['CN=Branch issuing CA,O=Example'],
});
const token = Type.String({ description: 'Label of the token for its key.', minLength: 1, maxLength: 64 });
const crlShards = Type.Integer({
  description: 'CRLs that its certificates are spread over, for its life.',
  minimum: 1,
  maximum: 4_096,
  default: 16,
});

const ownKey = {
  name,
  subject: Type.Optional(subject),
  keyAlgorithm: Type.Optional(keyAlgorithm),
  token: Type.Optional(token),
  crlShards,
};

/** An authority as the API shows it. */
export const authorityView = Type.Object({
  id: Type.String(),
  name: Type.String({ examples: ['issuing'] }),
  kind: Type.Enum(['root', 'issuing', 'external'], {
    description: '`external`: a certificate above one of ours, whose key is elsewhere.',
  }),
  state: Type.Enum(['next', 'active', 'retiring', 'retired', 'elsewhere'], {
    description:
      '`next`: announced. `retiring`: issues no more; signs CRLs and OCSP answers. `elsewhere`: an external one.',
  }),
  parent: Type.Optional(Type.String({ description: 'Id of the authority above it; absent of a root.' })),
  subject: Type.String(),
  serialNumber: Type.String({ description: 'Hexadecimal, lower case.' }),
  keyAlgorithm: Type.String(),
  keyUri: Type.Optional(
    Type.String({
      description: 'RFC 7512; absent of an external one.',
      examples: ['pkcs11:token=muster;object=issuing'],
    }),
  ),
  fingerprint: Type.String({ description: 'SHA-256 of the certificate, hex.' }),
  publicKeySha256: Type.String(),
  pathLength: Type.Optional(Type.Integer({ description: 'pathLenConstraint of RFC 5280 §4.2.1.9.', minimum: 0 })),
  crlShards: Type.Integer(),
  notBefore: timestamp('When it begins.'),
  notAfter: timestamp('When it ends.'),
  createdAt: timestamp('When it was made here.'),
});

/** What `POST /authorities` takes. */
export const authorityDraft = Type.Object(
  {
    ...ownKey,
    kind: Type.Enum(['root', 'issuing'], { default: 'issuing' }),
    issuer: Type.Optional(
      Type.String({
        description:
          'Name or id of the authority that certifies an issuing one. Default: the active root of the tenant.',
        minLength: 1,
        maxLength: 64,
        examples: ['root'],
      }),
    ),
    validitySeconds: Type.Optional(
      Type.Integer({
        description: 'Default: 20 years of a root, 10 of an issuing one.',
        minimum: 3_600,
        maximum: 1_576_800_000,
      }),
    ),
  },
  members,
);

/** What `POST /authority-requests` takes. */
export const authorityRequestDraft = Type.Object(ownKey, members);

/** An authority that waits for its certificate. */
export const authorityRequestView = Type.Object({
  id: Type.String(),
  name: Type.String({ examples: ['issuing'] }),
  keyUri: Type.String({ examples: ['pkcs11:token=muster;object=issuing'] }),
  publicKeySha256: Type.String(),
  csr: Type.String({ description: 'PKCS #10, PEM (RFC 7468).' }),
  crlShards: Type.Integer(),
  createdBy: Type.String(),
  createdAt: timestamp('When it was made.'),
});

/** What `POST /authority-requests/{id}/install` takes. */
export const installBody = Type.Object({ certificates: certificateTexts }, members);

/** What `POST /authorities/adopt` takes. */
export const adoptionBody = Type.Object(
  {
    name,
    keyUri: Type.String({
      description: 'RFC 7512: the token by label, the key by object or id; no PIN.',
      minLength: 8,
      maxLength: 2_048,
      pattern: '^[Pp][Kk][Cc][Ss]11:',
      examples: ['pkcs11:token=muster;object=old-issuing'],
    }),
    certificates: certificateTexts,
    crlShards,
  },
  members,
);
