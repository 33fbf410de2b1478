import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { encode } from '../../core/asn1/codec.ts';
import { octetString, printableString } from '../../core/asn1/schema.ts';
import { attribute } from '../../core/cms/attribute.ts';
import { buildEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { buildSignedData } from '../../core/cms/signed-data.ts';
import { SCEP_ATTRIBUTE } from '../../protocols/scep/vocabulary.ts';
import { makeCsr, signWith, TestAuthority } from '../support/test-pki.ts';

/** What prepared requests are made for. */
export interface ScepTarget {
  /** The certificate to encrypt for, DER. */
  readonly recipient: Uint8Array;
  /** A challenge for each request. */
  challenge(): string;
}

/** A device's key: one for all, as the time of making keys is nobody's business here. */
export class ScepFleet {
  readonly #key: KeyObject;
  readonly #certificate: Uint8Array;
  #made = 0;

  constructor() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#key = privateKey;
    this.#certificate = TestAuthority.root({ name: 'CN=device', key: this.#key }).der;
  }

  /** PKCSReq messages with SHA-256 and AES-128, each of a name and transaction of its own. */
  async requests(target: ScepTarget, count: number): Promise<Uint8Array[]> {
    const messages = [];
    while (messages.length < count) messages.push(await this.#request(target));
    return messages;
  }

  async #request({ recipient, challenge }: ScepTarget): Promise<Uint8Array> {
    const name = `router${this.#made++}.example`;
    const csr = makeCsr({ subject: `CN=${name}`, key: this.#key, challengePassword: challenge() });
    const content = await buildEnvelopedData({
      content: csr.der,
      cipher: 'aes-128-cbc',
      recipients: [{ kind: 'rsa', certificate: recipient, keyTransport: 'pkcs1' }],
    });
    const transactionId = createHash('sha1').update(name).digest('hex');
    const signatureAlgorithm = 'sha256WithRSAEncryption';
    return buildSignedData({
      content,
      signer: {
        certificate: this.#certificate,
        signatureAlgorithm,
        sign: async (data) => signWith(this.#key, signatureAlgorithm, data),
      },
      signedAttributes: [
        attribute(SCEP_ATTRIBUTE.messageType, encode(printableString, '19')),
        attribute(SCEP_ATTRIBUTE.transactionID, encode(printableString, transactionId)),
        attribute(SCEP_ATTRIBUTE.senderNonce, encode(octetString, randomBytes(16))),
      ],
    });
  }
}

/** What came back for one message. */
export interface ScepAnswer {
  readonly status: number;
  /** Header names and values, as they came. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** A kept-alive HTTP connection that sends one request at a time and reads the answer by its Content-Length. */
export class ScepConnection {
  readonly #socket: Socket;
  readonly #path: string;
  #received: Buffer = Buffer.alloc(0);
  #answered: ((answer: ScepAnswer) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new RangeError('the server closed the connection')));
  }

  /** Connects to the server of a SCEP URL. */
  static async open(url: string): Promise<ScepConnection> {
    const { hostname, port, pathname } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new ScepConnection(socket, pathname);
  }

  /** POSTs a message to PKIOperation. */
  send(message: Uint8Array): Promise<ScepAnswer> {
    this.#socket.write(
      `POST ${this.#path}?operation=PKIOperation HTTP/1.1\r\nHost: localhost\r\n` +
        `Content-Type: application/x-pki-message\r\nContent-Length: ${message.length}\r\n\r\n`,
    );
    this.#socket.write(message);
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    // scepserver sends long answers in chunks; they are long enough that one frame more or less in them does not matter.
    const complete =
      length === undefined
        ? this.#received.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)
        : this.#received.length >= end + 4 + Number(length);
    if (!complete) return;
    const body = this.#received.subarray(end + 4);
    this.#received = Buffer.alloc(0);
    const lines = head
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(': ', 2) as [string, string]);
    this.#answered?.({ status: Number(head.slice(9, 12)), headers: lines, body });
  }
}

const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');

/** pkiStatus SUCCESS as a signed attribute in DER (RFC 8894 §3.2.1.3). */
const SUCCESS = Buffer.from('060a6086480186f8450109033103130130', 'hex');

/** Whether an answer is a CertRep that says SUCCESS. */
export function isSuccess({ status, body }: ScepAnswer): boolean {
  return status === 200 && body.includes(SUCCESS);
}
