import {
  any,
  choice,
  explicit,
  type Infer,
  nullValue,
  octetString,
  optional,
  sequence,
  sequenceOf,
  smallInteger,
} from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { extensionsSchema } from '../../core/x509/extensions.ts';
import { certId, certTemplate } from './cert-template.ts';
import { certReqMessages } from './crmf.ts';
import { encryptedKey } from './encrypted-key.ts';
import { infoTypeAndValue } from './pki-header.ts';
import { pkiFreeText, pkiStatusInfo } from './pki-status.ts';

/** More than anybody sends in one message; each entry costs work. */
const MANY = 64;

// RFC 9810 §5.3.4
const certifiedKeyPair = sequence('CertifiedKeyPair', {
  certOrEncCert: choice('CertOrEncCert', {
    certificate: explicit(0, any),
    encryptedCert: explicit(1, encryptedKey),
  }),
  privateKey: optional(explicit(0, encryptedKey)),
  publicationInfo: optional(explicit(1, any)),
});
const certResponse = sequence('CertResponse', {
  certReqId: smallInteger,
  status: pkiStatusInfo,
  certifiedKeyPair: optional(certifiedKeyPair),
  rspInfo: optional(octetString),
});
const certRepMessage = sequence('CertRepMessage', {
  caPubs: optional(explicit(1, sequenceOf(any, { min: 1, max: MANY }))),
  response: sequenceOf(certResponse, { max: MANY }),
});

// RFC 9810 §5.3.9, §5.3.10
const revReqContent = sequenceOf(
  sequence('RevDetails', { certDetails: certTemplate, crlEntryDetails: optional(extensionsSchema) }),
  { max: MANY },
);
const revRepContent = sequence('RevRepContent', {
  status: sequenceOf(pkiStatusInfo, { min: 1, max: MANY }),
  revCerts: optional(explicit(0, sequenceOf(certId, { min: 1, max: MANY }))),
  crls: optional(explicit(1, sequenceOf(any, { min: 1, max: MANY }))),
});

// RFC 9810 §5.3.18
const certStatus = sequence('CertStatus', {
  certHash: octetString,
  certReqId: smallInteger,
  statusInfo: optional(pkiStatusInfo),
  hashAlg: optional(explicit(0, algorithmIdentifierSchema)),
});

// RFC 9810 §5.3.21
const errorMsgContent = sequence('ErrorMsgContent', {
  pKIStatusInfo: pkiStatusInfo,
  errorCode: optional(smallInteger),
  errorDetails: optional(pkiFreeText),
});

// RFC 9810 §5.3.22
const pollReqContent = sequenceOf(sequence('PollReq', { certReqId: smallInteger }), { max: MANY });
const pollRepContent = sequenceOf(
  sequence('PollRep', { certReqId: smallInteger, checkAfter: smallInteger, reason: optional(pkiFreeText) }),
  { max: MANY },
);

const genMsgContent = sequenceOf(infoTypeAndValue, { max: MANY });

/** PKIBody (RFC 9810 §5.1.2), EXPLICIT TAGS. What is refused whatever it holds is not decoded. */
export const pkiBody = choice('PKIBody', {
  ir: explicit(0, certReqMessages),
  ip: explicit(1, certRepMessage),
  cr: explicit(2, certReqMessages),
  cp: explicit(3, certRepMessage),
  p10cr: explicit(4, any),
  popdecc: explicit(5, any),
  popdecr: explicit(6, any),
  kur: explicit(7, certReqMessages),
  kup: explicit(8, certRepMessage),
  krr: explicit(9, any),
  krp: explicit(10, any),
  rr: explicit(11, revReqContent),
  rp: explicit(12, revRepContent),
  ccr: explicit(13, any),
  ccp: explicit(14, any),
  ckuann: explicit(15, any),
  cann: explicit(16, any),
  rann: explicit(17, any),
  crlann: explicit(18, any),
  pkiconf: explicit(19, nullValue),
  nested: explicit(20, sequenceOf(any, { min: 1, max: MANY })),
  genm: explicit(21, genMsgContent),
  genp: explicit(22, genMsgContent),
  error: explicit(23, errorMsgContent),
  certConf: explicit(24, sequenceOf(certStatus, { max: MANY })),
  pollReq: explicit(25, pollReqContent),
  pollRep: explicit(26, pollRepContent),
});

/** A decoded PKIBody. */
export type PkiBody = Infer<typeof pkiBody>;
/** The name of an alternative of PKIBody. */
export type BodyKind = PkiBody['kind'];
/** The content of one alternative of PKIBody. */
export type BodyOf<K extends BodyKind> = Extract<PkiBody, { readonly kind: K }>['value'];
/** A decoded CertResponse. */
export type CertResponse = Infer<typeof certResponse>;
/** A decoded CertStatus. */
export type CertStatus = Infer<typeof certStatus>;
