import { createHash } from 'node:crypto';
import { type Agent, request } from 'node:http';
import { type Agent as TlsAgent, request as tlsRequest } from 'node:https';

import { nullValue } from './cmp-der.ts';
import { type Body, buildMessage, ID_IT, info, type MessageChanges, nonce } from './cmp-message.ts';
import type { Protection } from './cmp-protection.ts';
import { readCertificate } from './cmp-reader.ts';
import { certConf, type Confirmation, pollReq } from './cmp-request.ts';
import { CmpResponse } from './cmp-response.ts';
import { certificateHash, hashIdentifier } from './cmp-signatures.ts';

/** Where a client sends to. */
export interface CmpPeer {
  /** The whole URL. */
  readonly url: string;
  /** For https: its trust and identity; for http: an agent that keeps connections. Default: a new connection each time. */
  readonly agent?: Agent | TlsAgent;
}

/** What the server answered over HTTP. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Ends a test in which a server stopped to answer. */
const ANSWER_LIMIT_MS = 20_000;

/** POSTs octets as application/pkixcmp. */
export function post(
  { url, agent }: CmpPeer,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const options = {
    method: 'POST',
    headers: { 'Content-Type': 'application/pkixcmp', 'Content-Length': body.length, ...headers },
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    agent: agent ?? false,
  };
  const outgoing = (url.startsWith('https:') ? tlsRequest : request)(url, options, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
    );
  });
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}

/** A PKIMessage there and back; whatever is no 200 with a PKIMessage is an error. */
export async function exchange(peer: CmpPeer, message: Uint8Array): Promise<CmpResponse> {
  const { status, headers, body } = await post(peer, message);
  if (status !== 200 || headers['content-type'] !== 'application/pkixcmp') {
    throw new UnexpectedAnswer(
      `${status} ${[headers['content-type']].flat().join(', ')} ${body.toString('latin1').slice(0, 200)}`,
    );
  }
  return new CmpResponse(body);
}

/** What a transaction is about from its start to its end. */
export interface TransactionOptions {
  /** How the messages are protected; nothing leaves them without. */
  readonly protect?: Protection | undefined;
  readonly implicitConfirm?: boolean;
  readonly pvno?: 2 | 3;
  readonly transactionID?: Uint8Array;
}

/** What may be otherwise in one message of a transaction. */
export interface SendChanges extends MessageChanges {
  readonly protect?: Protection;
}

/** One transaction of a client: the header fields that tie its messages together (RFC 9483 §3.1). */
export class CmpTransaction {
  readonly transactionID: Uint8Array;
  /** What was sent last. */
  request: Uint8Array = Buffer.alloc(0);
  senderNonce: Uint8Array = Buffer.alloc(0);
  readonly #peer: CmpPeer;
  readonly #options: TransactionOptions;
  #recipNonce: Uint8Array | undefined;

  constructor(peer: CmpPeer, options: TransactionOptions = {}) {
    this.#peer = peer;
    this.#options = options;
    this.transactionID = options.transactionID ?? nonce();
  }

  /** The same transaction with the server at another address. */
  at(peer: CmpPeer): CmpTransaction {
    const moved = new CmpTransaction(peer, { ...this.#options, transactionID: this.transactionID });
    moved.#recipNonce = this.#recipNonce;
    return moved;
  }

  /** The next message with its body, without sending it. */
  build(content: Body, changes: SendChanges = {}): Uint8Array {
    const { implicitConfirm = false, pvno = 2, protect } = this.#options;
    this.senderNonce = nonce();
    this.request = buildMessage({
      content,
      protect,
      ...changes,
      header: {
        pvno,
        transactionID: this.transactionID,
        senderNonce: this.senderNonce,
        recipNonce: this.#recipNonce ?? null,
        generalInfo:
          implicitConfirm && this.#recipNonce === undefined ? [info(ID_IT.implicitConfirm, nullValue())] : null,
        ...changes.header,
      },
    });
    return this.request;
  }

  /** Sends the next message. */
  send(content: Body, changes: SendChanges = {}): Promise<CmpResponse> {
    return this.sendAsIs(this.build(content, changes));
  }

  /** Sends a message that was built before. */
  async sendAsIs(message: Uint8Array): Promise<CmpResponse> {
    const response = await exchange(this.#peer, message);
    // An error says nothing about the transaction: the next message goes on from the last answer that did.
    if (response.kind !== 'error') this.#recipNonce = response.header.senderNonce;
    return response;
  }

  /** certConf for a certificate; `changes` may say anything else. */
  confirm(
    certificate: Uint8Array,
    { confirmation = {}, ...changes }: SendChanges & { readonly confirmation?: Partial<Confirmation> } = {},
  ): Promise<CmpResponse> {
    return this.send(certConf({ certHash: certHash(certificate), ...confirmation }), changes);
  }

  /** pollReq for the one request. */
  poll(changes: SendChanges = {}, certReqId = 0): Promise<CmpResponse> {
    return this.send(pollReq(certReqId), changes);
  }
}

/** The hash of a certificate for certConf: with the hash function of its signature (RFC 9810 §5.3.18). */
function certHash(certificate: Uint8Array): Buffer {
  return createHash(certificateHash(readCertificate(certificate).signatureAlgorithm))
    .update(certificate)
    .digest();
}

/** hashAlg of CMPv3 with the hash made by it. */
export const certHashWith = (certificate: Uint8Array, hash: 'sha256' | 'sha384' | 'sha512'): Partial<Confirmation> => ({
  certHash: createHash(hash).update(certificate).digest(),
  hashAlg: hashIdentifier(hash),
});

class UnexpectedAnswer extends Error {}
