import { Type } from 'typebox';

import { CMP_AUTHENTICATORS, CMP_MACS, CMP_OPERATIONS } from '../../core/enrollment/cmp-settings.ts';

const members = { additionalProperties: false } as const;

const iterationCount = (description: string) => Type.Integer({ description, minimum: 1, maximum: 1_000_000 });

/** The members of CMP's settings on an endpoint. */
export const cmpMembers = {
  authenticators: Type.Array(Type.Enum(CMP_AUTHENTICATORS, { description: 'A kind of proof.' }), {
    description: 'Which proofs of who asks are accepted.',
    uniqueItems: true,
  }),
  operations: Type.Array(Type.Enum(CMP_OPERATIONS, { description: 'A request by its name in PKIBody.' }), {
    description: 'Requests that are served; others are refused.',
    uniqueItems: true,
  }),
  conformance: Type.Enum(['lightweight', 'tolerant'], {
    description: 'All header rules of RFC 9483, or leave for what OpenSSL and base stations omit.',
  }),
  macs: Type.Array(Type.Enum(CMP_MACS, { description: 'A kind of message authentication code.' }), {
    description: 'MACs that are accepted.',
    uniqueItems: true,
  }),
  iterations: Type.Object(
    { min: iterationCount('Fewest iterations of PBM or PBKDF2.'), max: iterationCount('Most iterations.') },
    { ...members, description: 'Bounds checked before anything is derived.' },
  ),
  clockSkewSeconds: Type.Integer({
    description: 'By how much messageTime may be off; 0 does not look.',
    minimum: 0,
    maximum: 31_536_000,
  }),
  confirmation: Type.Object(
    {
      implicit: Type.Boolean({ description: 'Whether implicitConfirm is granted.' }),
      waitSeconds: Type.Integer({ description: 'How long a certConf is awaited.', minimum: 1, maximum: 2_592_000 }),
      unconfirmed: Type.Enum(['keep', 'revoke'], { description: 'What becomes of a certificate never confirmed.' }),
    },
    members,
  ),
  answerWithinSeconds: Type.Integer({
    description: 'After this long a request still worked on is answered with `waiting`.',
    minimum: 1,
    maximum: 120,
  }),
  centralKeyGeneration: Type.Boolean({ description: 'Whether the server may make key pairs (RFC 9483 §4.1.6).' }),
  indirectProof: Type.Boolean({ description: 'Whether certificates may be sent encrypted to their key.' }),
  caPubs: Type.Boolean({ description: 'Whether ip carries the root certificate where a MAC protects it.' }),
  extraCerts: Type.Enum(['chain', 'with-root'], { description: 'Whether extraCerts holds the root as well.' }),
  missingSubject: Type.Enum(['as-requested', 'from-signer'], {
    description: 'What a request without subject gets: none, or the subject of the certificate it is signed with.',
  }),
  updatedCertificates: Type.Enum(['accepted', 'refused'], {
    description: 'Whether a certificate that was updated may still sign requests.',
  }),
  certProfiles: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
    description: 'Names of certProfile that mean the profile of this endpoint.',
    maxItems: 32,
  }),
};

const oid = (description: string) =>
  Type.String({ description, pattern: '^[0-2](\\.(0|[1-9][0-9]*))+$', maxLength: 128 });

/** Members of CMP's settings that may be absent. */
export const optionalCmpMembers = {
  nonceTypes: Type.Object(
    { request: oid('Information type of nonceRequest.'), response: oid('Information type of nonceResponse.') },
    { ...members, description: 'Numbers of the nonces for evidence; without them CMP gives none.' },
  ),
};
