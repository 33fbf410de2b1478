import { encodeCertsOnly } from '../../core/cms/signed-data.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { ReasonCode } from '../../core/errors/reasons.ts';
import type { Secret } from '../../core/keys/secret.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { canReceive } from './cert-rep.ts';
import { decodeCertificateReference } from './certificate-reference.ts';
import { decodeRequest, type ReceivedRequest } from './certification-request.ts';
import { contentExamples } from './content-examples.ts';
import { challengeOf, checkSigner, enroll, type EnrollmentDependencies, poll } from './enrollment.ts';
import { type Envelope, readEnvelope } from './envelope.ts';
import { failureOf } from './errors.ts';
import { readEvenly, verifyEvenly } from './even-work.ts';
import { type Exchange, type Failed, type Reply, UNREADABLE } from './exchange.ts';
import { legacyUse, type ScepObserver } from './legacy.ts';
import { getCertificate, getCrl, type QueryDependencies } from './queries.ts';
import { type RaKey, recipientKeys } from './registration-authority.ts';
import { isMessageType, MESSAGE_TYPE, type MessageType } from './vocabulary.ts';

/** What answering a message stands on. */
export interface OperationDependencies extends EnrollmentDependencies, Omit<QueryDependencies, 'credentials'> {
  readonly observer: ScepObserver;
}

/**
 * Answers a verified message by its type (RFC 8894 §3.3).
 * @throws MusterError for what the service renders, as a CertRep or by HTTP
 */
export async function answerMessage(dependencies: OperationDependencies, exchange: Exchange): Promise<Reply> {
  const { messageType } = exchange.message.attributes;
  // SC-23, V1: a type that is not on the list does nothing, whatever a later version makes of it.
  if (!isMessageType(messageType)) return failed('unsupported-operation', 'this messageType is not answered here');
  const envelope = readEnvelope(exchange.message.content, recipientKeys(exchange.ra, exchange.endpoint.tenant), true);
  if ('failInfo' in envelope)
    return { kind: 'failed', failInfo: envelope.failInfo, text: CLOSED, detail: envelope.detail };
  if (envelope.encryption.cipher === 'des-cbc') {
    const { observer } = dependencies;
    observer.legacyUsed(legacyUse('des', exchange.legacy, exchange, exchange.call));
    if (!exchange.legacy) return failed('bad-algorithm', 'single DES is not accepted here');
  }
  const reply = await answerByType(dependencies, exchange, envelope, messageType);
  return { ...reply, recipient: envelope.key.identity };
}

const CLOSED = 'the envelope of the message cannot be opened here';

function answerByType(
  dependencies: OperationDependencies,
  exchange: Exchange,
  envelope: Envelope<RaKey>,
  messageType: MessageType,
): Promise<Reply> {
  switch (messageType) {
    case MESSAGE_TYPE.PKCSReq:
    case MESSAGE_TYPE.RenewalReq:
      return answerRequest(dependencies, exchange, envelope);
    case MESSAGE_TYPE.CertPoll:
      return answerPoll(dependencies, exchange, envelope);
    case MESSAGE_TYPE.GetCert:
    case MESSAGE_TYPE.GetCRL:
      return answerQuery(dependencies, exchange, envelope, messageType);
  }
}

async function answerRequest(
  dependencies: OperationDependencies,
  exchange: Exchange,
  envelope: Envelope<RaKey>,
): Promise<Reply> {
  const signer = await checkSigner(dependencies, exchange);
  const received = await openRequest(exchange, envelope, signer.fact !== undefined);
  if (received === undefined) {
    if (signer.refusal === undefined) return UNREADABLE;
    return { ...failed(signer.refusal.reason, signer.refusal.message), isUnreadable: true };
  }
  if (received.md5 !== undefined) {
    dependencies.observer.legacyUsed(legacyUse('md5', true, exchange, exchange.call));
  }
  const challenge = challengeOf(received.request);
  const { algorithm } = exchange.message.signerPublicKey;
  if (!canReceive({ algorithm, challenge }, envelope.encryption)) {
    return failed('bad-algorithm', 'no answer can be encrypted for the key that signed the message');
  }
  const outcome = await enroll(dependencies, exchange, received.request, signer);
  return replyOf(dependencies, exchange, envelope, outcome, challenge);
}

/**
 * The request of a message, if the RA could decrypt it, it can be read and its key signed it. SC-27, SC-28: unless the signer
 * is known by his certificate, his key is the requested one. Every fault takes the same work and has the same result.
 */
async function openRequest(
  { message, legacy }: Exchange,
  envelope: Envelope<RaKey>,
  isKnownSigner: boolean,
): Promise<ReceivedRequest | undefined> {
  const content = await envelope.open();
  const { request: example } = contentExamples(envelope.key.identity.certificate);
  const read = readEvenly(content, (der) => decodeRequest(der, legacy), example);
  const mayAsk = isKnownSigner || (read && publicKeysEqual(read.request.publicKey, message.signerPublicKey));
  const received = mayAsk ? read : undefined;
  return (await verifyEvenly(received, content, message.signature)) ? received : undefined;
}

/**
 * CertPoll (RFC 8894 §3.3.3). Transaction and key say which enrolment is meant; the IssuerAndSubject in the envelope adds
 * nothing, comes wrong from old clients (S39), and is not decrypted: an answer that hung on it would tell of its padding.
 */
async function answerPoll(
  dependencies: OperationDependencies,
  exchange: Exchange,
  envelope: Envelope<RaKey>,
): Promise<Reply> {
  const { algorithm } = exchange.message.signerPublicKey;
  if (!canReceive({ algorithm, challenge: undefined }, envelope.encryption)) {
    return failed('bad-algorithm', 'no answer can be encrypted for the key that signed the message');
  }
  const outcome = await poll(dependencies, exchange);
  if (outcome === undefined) return failed('not-found', 'no request is known under this transactionID and key');
  return replyOf(dependencies, exchange, envelope, outcome, undefined);
}

async function answerQuery(
  dependencies: OperationDependencies,
  exchange: Exchange,
  envelope: Envelope<RaKey>,
  messageType: typeof MESSAGE_TYPE.GetCert | typeof MESSAGE_TYPE.GetCRL,
): Promise<Reply> {
  const { algorithm } = exchange.message.signerPublicKey;
  if (!canReceive({ algorithm, challenge: undefined }, envelope.encryption)) {
    return failed('bad-algorithm', 'no answer can be encrypted for the key that signed the message');
  }
  const content = await envelope.open();
  const { reference: example } = contentExamples(envelope.key.identity.certificate);
  const reference = readEvenly(content, decodeCertificateReference, example) ?? decodeCertificateReference(example);
  const look = messageType === MESSAGE_TYPE.GetCert ? getCertificate : getCrl;
  const certsOnly = await look(dependencies, exchange, reference);
  // What cannot be read is answered like what cannot be found: in a query the difference would be a padding oracle.
  if (certsOnly === undefined) {
    const text = 'nothing to be seen here goes by this issuer and serial number';
    return { ...failed('not-found', text), isUnreadable: true };
  }
  return { kind: 'granted', certsOnly, encryption: envelope.encryption, challenge: undefined };
}

async function replyOf(
  dependencies: OperationDependencies,
  exchange: Exchange,
  envelope: Envelope<RaKey>,
  outcome: Outcome,
  challenge: Secret | undefined,
): Promise<Reply> {
  switch (outcome.kind) {
    case 'issued': {
      const certsOnly = encodeCertsOnly([outcome.certificate, ...(await furtherCertificates(dependencies, exchange))]);
      return { kind: 'granted', certsOnly, encryption: envelope.encryption, challenge };
    }
    case 'pending':
      return { kind: 'pending' };
    case 'rejected':
      return failed(outcome.reason, outcome.message);
  }
}

/** S21: the end entity's certificate comes first in any case. */
async function furtherCertificates(
  { authorities }: OperationDependencies,
  { endpoint, settings }: Exchange,
): Promise<readonly Uint8Array[]> {
  return settings.replyCertificates === 'issued' ? [] : authorities.caCertificates(endpoint.tenant, endpoint.authority);
}

/** A failure in the words of the table of errors. */
function failed(reason: ReasonCode, message: string): Failed {
  const { failInfo = 'badRequest', text } = failureOf(reason, message);
  return { kind: 'failed', failInfo, text };
}
