import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { CmpFault } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { BodyOf } from './pki-body.ts';
import { parsePkiMessage, type PkiMessage } from './pki-message.ts';

/** What a nested message means (RFC 9483 §5.2.2). */
export type Nested =
  /** §5.2.2.1: a registration authority vouches for one message, by its signature around it. */
  | { readonly kind: 'added-protection'; readonly message: PkiMessage }
  /** §5.2.2.2: it sends several on at once. */
  | { readonly kind: 'batch'; readonly messages: readonly PkiMessage[] };

/**
 * Reads a nested message and judges what holds it together; each inner message is still to be answered by itself.
 *
 * @throws CmpFault `wrongIntegrity`, `notAuthorized`, `badDataFormat`, `badRequest`, `badSenderNonce`, `transactionIdInUse`
 */
export function readNested(outer: Exchange, content: BodyOf<'nested'>): Nested {
  requireRegistrationAuthority(outer);
  const messages = content.map(readInner);
  const [first, ...others] = messages;
  if (first !== undefined && others.length === 0) {
    checkAddedProtection(outer, first);
    return { kind: 'added-protection', message: first };
  }
  checkBatch(outer, messages);
  return { kind: 'batch', messages };
}

function requireRegistrationAuthority({ sender, settings }: Exchange): void {
  if (sender.kind !== 'signature') {
    throw new CmpFault('wrongIntegrity', 'nested: expected the signature of a registration authority, found a MAC');
  }
  if (sender.fact.registrationAuthority && settings.authenticators.includes('ra')) return;
  throw new CmpFault('notAuthorized', 'nested: expected the signature of a registration authority');
}

function readInner(der: Uint8Array): PkiMessage {
  try {
    return parsePkiMessage(der);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badDataFormat', `nested: ${error.message}`);
  }
}

/** RFC 9483 §5.2.2.1: transactionID and senderNonce are copied from the message inside. */
function checkAddedProtection({ message: { header } }: Exchange, { header: inner }: PkiMessage): void {
  if (!equal(header.transactionID, inner.transactionID)) {
    throw new CmpFault('badRequest', 'nested: expected the transactionID of the message inside');
  }
  if (!equal(header.senderNonce, inner.senderNonce)) {
    throw new CmpFault('badSenderNonce', 'nested: expected the senderNonce of the message inside');
  }
}

/** RFC 9483 §5.2.2.2: a batch has ids of its own. */
function checkBatch({ message: { header } }: Exchange, messages: readonly PkiMessage[]): void {
  const ids = [header, ...messages.map((message) => message.header)].map(({ transactionID }) =>
    Buffer.from(transactionID ?? []).toString('hex'),
  );
  if (new Set(ids).size !== ids.length) {
    throw new CmpFault('transactionIdInUse', 'nested: expected transactionIDs that differ from each other');
  }
  const nonces = messages.map((message) => Buffer.from(message.header.senderNonce ?? []).toString('hex'));
  if (new Set(nonces).size !== nonces.length) {
    throw new CmpFault('badSenderNonce', 'nested: expected senderNonces that differ from each other');
  }
}

function equal(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  return left !== undefined && right !== undefined && octetsEqual(left, right);
}
