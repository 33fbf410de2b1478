import { createHash, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

import { latin1, NotAsExpected } from './scep-cisco-asn1.ts';
import { type CiscoCertificate, ciscoSubject, hasKeyUsage, temporaryCertificate } from './scep-cisco-certificate.ts';
import { certificationRequest, type CiscoSigner, OIDS, pkiMessage } from './scep-cisco-messages.ts';
import { checkMessage, readCertsOnly } from './scep-cisco-replies.ts';
import { ChosenEnvelopes, type EnvelopeKind } from './scep-chosen-envelopes.ts';

/** One transaction and one nonce for all: whatever differs between two answers then comes from the server. */
const TRANSACTION_ID = 'AAAABBBBCCCCDDDDEEEEFFFF00001111';
const SENDER_NONCE = 'nonce of 16 octs';

/** An answer without what is random in it. */
export interface ComparableAnswer {
  readonly status: number;
  /** The names of the headers, as they came, and what they say but for the time. */
  readonly headers: string;
  /** SHA-256 of the reply with zeros for its nonce and signature. */
  readonly body: string;
  readonly failInfo: string | undefined;
}

/**
 * An attacker who signs messages of his own making around envelopes that he chose: PKCSReq, all of one length, transaction and
 * nonce. The good one among them holds a request whose key did not sign it, which must not be told from one that is garbage.
 */
export class ChosenMessages {
  readonly #ra: CiscoCertificate;
  readonly #signer: CiscoSigner;
  readonly #envelopes: ChosenEnvelopes;
  readonly #signedEnvelopes: ChosenEnvelopes;

  private constructor(caCertificates: Uint8Array, privateKey: KeyObject) {
    const { certificates } = readCertsOnly(Buffer.from(caCertificates).toString('latin1'));
    this.#ra = certificates.find((certificate) => hasKeyUsage(certificate, 'digitalSignature'))!;
    const encryption = certificates.find((certificate) => hasKeyUsage(certificate, 'keyEncipherment'))!;
    const subject = ciscoSubject('attacker.example');
    this.#signer = { privateKey, certificate: temporaryCertificate(privateKey, subject, 'sha256') };
    const request = latin1(certificationRequest(privateKey, subject, 'sha256', 'a guess of twenty-six octe'));
    this.#signedEnvelopes = new ChosenEnvelopes(encryption, new Uint8Array(request));
    request[request.length - 1]! ^= 1;
    this.#envelopes = new ChosenEnvelopes(encryption, request);
  }

  /** @param caCertificates the body of GetCACert, several certificates */
  static async create(caCertificates: Uint8Array): Promise<ChosenMessages> {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
    return new ChosenMessages(caCertificates, privateKey);
  }

  /** A message with one fault, besides that of its request. */
  make(kind: EnvelopeKind): Uint8Array {
    return this.#sign(this.#envelopes.make(kind));
  }

  /** A message without a fault: only its challenge is a guess. */
  makeGood(): Uint8Array {
    return this.#sign(this.#signedEnvelopes.make('valid'));
  }

  /** What an attacker can compare. Throws {@link NotAsExpected} for what is not a well-signed CertRep. */
  compare(status: number, headers: Iterable<readonly [string, string]>, body: Uint8Array): ComparableAnswer {
    const reply = Buffer.from(body).toString('latin1');
    const { attributes } = checkMessage(reply, this.#ra);
    if (attributes.get(OIDS.recipientNonce) !== SENDER_NONCE) throw new NotAsExpected('my nonce');
    const signature = reply.slice(-SIGNATURE_OCTETS);
    const comparable = [attributes.get(OIDS.senderNonce)!, signature].reduce(
      (text, random) => text.replace(random, () => '\0'.repeat(random.length)),
      reply,
    );
    // messageDigest covers content alone, and there is none: it does not change.
    return {
      status,
      headers: [...headers].map(([name, value]) => (VARYING.test(name) ? name : `${name}: ${value}`)).join('\n'),
      body: createHash('sha256').update(latin1(comparable)).digest('hex'),
      failInfo: attributes.get(OIDS.failInfo),
    };
  }

  #sign(envelope: Buffer): Uint8Array {
    const attributes = { messageType: '19', transactionId: TRANSACTION_ID, senderNonce: SENDER_NONCE };
    return latin1(pkiMessage(envelope.toString('latin1'), attributes, this.#signer, 'sha256'));
  }
}

/** An RSA-2048 signature ends the message: unsignedAttrs are not there. */
const SIGNATURE_OCTETS = 256;
const VARYING = /^(date|x-request-id|request-id)$/i;
