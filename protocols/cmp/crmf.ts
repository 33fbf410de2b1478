import {
  bitString,
  choice,
  explicit,
  implicit,
  type Infer,
  nullValue,
  optional,
  sequence,
  sequenceOf,
  smallInteger,
  withDer,
  any,
  oid,
} from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { generalNameSchema } from '../../core/x509/general-name.ts';
import { certTemplate, controls } from './cert-template.ts';
import { contextSequence } from './context-sequence.ts';

/** CertRequest (RFC 4211 §5). The template keeps its octets: they are what is stored of a request. */
const certRequest = sequence('CertRequest', {
  certReqId: smallInteger,
  certTemplate: withDer(certTemplate),
  controls: optional(controls),
});

/** PKMACValue (RFC 4211 §4.4): a MAC over a public key, to show that its sender knows a secret. */
const pkMacValue = sequence('PKMACValue', { algId: algorithmIdentifierSchema, value: bitString });

/** POPOSigningKeyInput (RFC 4211 §4.1). The key is compared octet by octet. */
const popoSigningKeyInput = sequence('POPOSigningKeyInput', {
  authInfo: choice('authInfo', { sender: explicit(0, generalNameSchema), publicKeyMAC: pkMacValue }),
  publicKey: any,
});

const popoSigningKey = sequence('POPOSigningKey', {
  poposkInput: optional(withDer(implicit(0, popoSigningKeyInput))),
  algorithmIdentifier: any,
  signature: bitString,
});

/** SubsequentMessage (RFC 4211 §4.2): how possession of a key that does not sign is shown later. */
export const SUBSEQUENT_MESSAGE = { encrCert: 0, challengeResp: 1 } as const;

// RFC 4211 §4.2; thisMessage and dhMAC are deprecated, all but subsequentMessage are refused.
const popoPrivKey = choice('POPOPrivKey', {
  thisMessage: implicit(0, bitString),
  subsequentMessage: implicit(1, smallInteger),
  dhMAC: implicit(2, bitString),
  agreeMAC: implicit(3, pkMacValue),
  encryptedKey: contextSequence(4),
});

const proofOfPossession = choice('ProofOfPossession', {
  raVerified: implicit(0, nullValue),
  signature: implicit(1, popoSigningKey),
  keyEncipherment: explicit(2, popoPrivKey),
  keyAgreement: explicit(3, popoPrivKey),
});

const certReqMsg = sequence('CertReqMsg', {
  certReq: withDer(certRequest),
  popo: optional(proofOfPossession),
  regInfo: optional(sequenceOf(sequence('AttributeTypeAndValue', { type: oid, value: any }), { min: 1, max: 32 })),
});

/** CertReqMessages (RFC 4211 §3). RFC 9483 §4.1.1 wants exactly one; how many there are is for the rules to say. */
export const certReqMessages = sequenceOf(certReqMsg, { min: 1, max: 16 });

/** A decoded CertReqMsg. */
export type CertReqMsg = Infer<typeof certReqMsg>;
/** A decoded ProofOfPossession. */
export type PoposkProof = Infer<typeof popoSigningKey>;
