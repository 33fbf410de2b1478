/** SCEP's signed attributes (RFC 8894 §3.2.1, arcs of VeriSign), dotted. */
export const SCEP_ATTRIBUTE = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionID: '2.16.840.1.113733.1.9.7',
  /** RFC 8894 §3.2.1.4.1: an id-pkix arc of its own. */
  failInfoText: '1.3.6.1.5.5.7.24.1',
} as const;

/** messageType (RFC 8894 §3.2.1.2): the message types of a client that are answered. Every other one is refused. */
export const MESSAGE_TYPE = {
  RenewalReq: '17',
  PKCSReq: '19',
  CertPoll: '20',
  GetCert: '21',
  GetCRL: '22',
} as const;
export type MessageType = (typeof MESSAGE_TYPE)[keyof typeof MESSAGE_TYPE];

/** messageType of every answer. */
export const CERT_REP = '3';

/** pkiStatus (RFC 8894 §3.2.1.3). */
export const PKI_STATUS = { SUCCESS: '0', FAILURE: '2', PENDING: '3' } as const;

/** failInfo (RFC 8894 §3.2.1.4). */
export const FAIL_INFO = {
  badAlg: '0',
  badMessageCheck: '1',
  badRequest: '2',
  badTime: '3',
  badCertId: '4',
} as const;
export type FailInfo = keyof typeof FAIL_INFO;

/** Whether a message of this type is one that is answered; the type of the text narrows. */
export function isMessageType(text: string): text is MessageType {
  return Object.values<string>(MESSAGE_TYPE).includes(text);
}
