import { Type } from 'typebox';

import { SCEP_AUTHENTICATORS, SCEP_CAPABILITIES } from '../../core/enrollment/scep-settings.ts';

/** RFC 3339, as `Date.prototype.toISOString` writes it, with or without fractions. */
const TIMESTAMP = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,6})?(Z|[+-]\\d{2}:\\d{2})$';

/** The members of SCEP's settings, as the API takes and shows them. */
export const scepMembers = {
  authenticators: Type.Array(Type.Enum(SCEP_AUTHENTICATORS, { description: 'A kind of proof.' }), {
    description: 'Which proofs of who asks are accepted.',
    uniqueItems: true,
  }),
  raCertificates: Type.Enum(['single', 'pair'], {
    description: 'One RA certificate for both uses, or one to sign and one to encrypt for.',
  }),
  legacy: Type.Union(
    [
      Type.Literal('off'),
      Type.Object(
        { until: Type.String({ description: 'When it ends, RFC 3339.', pattern: TIMESTAMP }) },
        { additionalProperties: false },
      ),
    ],
    { description: 'Whether MD5 and single DES are accepted, and until when.' },
  ),
  replyCertificates: Type.Enum(['issued', 'chain'], {
    description: 'What a reply holds: the issued certificate, or the path with it.',
  }),
  caCertificates: Type.Enum(['chain', 'without-root', 'ra-only'], {
    description: 'What GetCACert answers besides the RA certificates.',
  }),
  withheldCapabilities: Type.Array(Type.Enum(SCEP_CAPABILITIES), {
    description: 'What works and GetCACaps does not announce.',
    uniqueItems: true,
  }),
  ndesPage: Type.Enum(['off', 'utf-8', 'utf-16'], {
    description: 'The page of one-time challenges at certsrv/mscep_admin, and its encoding.',
  }),
  signingTimeToleranceSeconds: Type.Integer({
    description: 'How far a signingTime may be off; 0 looks at none.',
    minimum: 0,
    maximum: 315_360_000,
  }),
  badMessagesPerMinute: Type.Integer({
    description: 'Undecipherable messages from one address before more are refused; 0: no limit.',
    minimum: 0,
    maximum: 1_000_000,
  }),
};
