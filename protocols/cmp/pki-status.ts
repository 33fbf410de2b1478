import {
  sequenceOf,
  type Infer,
  namedBits,
  optional,
  sequence,
  smallInteger,
  utf8String,
} from '../../core/asn1/schema.ts';

/** PKIStatus (RFC 9810 §5.2.3). */
export const PKI_STATUS = {
  accepted: 0,
  grantedWithMods: 1,
  rejection: 2,
  waiting: 3,
  revocationWarning: 4,
  revocationNotification: 5,
  keyUpdateWarning: 6,
} as const;

/** The bits of PKIFailureInfo (RFC 9810 §5.2.3). */
const FAILURE_BITS = {
  badAlg: 0,
  badMessageCheck: 1,
  badRequest: 2,
  badTime: 3,
  badCertId: 4,
  badDataFormat: 5,
  wrongAuthority: 6,
  incorrectData: 7,
  missingTimeStamp: 8,
  badPOP: 9,
  certRevoked: 10,
  certConfirmed: 11,
  wrongIntegrity: 12,
  badRecipientNonce: 13,
  timeNotAvailable: 14,
  unacceptedPolicy: 15,
  unacceptedExtension: 16,
  addInfoNotAvailable: 17,
  badSenderNonce: 18,
  badCertTemplate: 19,
  signerNotTrusted: 20,
  transactionIdInUse: 21,
  unsupportedVersion: 22,
  notAuthorized: 23,
  systemUnavail: 24,
  systemFailure: 25,
  duplicateCertReq: 26,
} as const;

/** One bit of PKIFailureInfo. */
export type FailureBit = keyof typeof FAILURE_BITS;

/** PKIFreeText (RFC 9810 §5.1.1). */
export const pkiFreeText = sequenceOf(utf8String, { min: 1, max: 16 });

/** PKIStatusInfo (RFC 9810 §5.2.3). */
export const pkiStatusInfo = sequence('PKIStatusInfo', {
  status: smallInteger,
  statusString: optional(pkiFreeText),
  failInfo: optional(namedBits(FAILURE_BITS)),
});

/** A decoded PKIStatusInfo. */
export type PkiStatusInfo = Infer<typeof pkiStatusInfo>;

/** The status of a refusal; an empty text is left out. */
export function rejectionStatus(failInfo: FailureBit, text: string): PkiStatusInfo {
  return {
    status: PKI_STATUS.rejection,
    statusString: text === '' ? undefined : [text],
    failInfo: new Set([failInfo]),
  };
}
