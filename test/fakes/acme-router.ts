import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { request } from 'node:https';

import forge from 'node-forge';

/** What a router's operator types in. */
export interface RouterSettings {
  readonly directory: string;
  /** PEM of the root it trusts. */
  readonly ca: string;
  readonly keyId: string;
  /** base64url, as the server printed it. */
  readonly hmacKey: string;
}

/** A problem document as the router keeps it for its operator. */
export interface RouterProblem {
  readonly type: string;
  readonly detail: string;
  readonly status: number;
  readonly subproblems?: readonly { readonly type: string; readonly identifier: { readonly value: string } }[];
}

/** How an enrolment ended. */
export type RouterOutcome =
  | { readonly kind: 'enrolled'; readonly chain: string; readonly challenges: number }
  | { readonly kind: 'refused'; readonly by: string; readonly problem: RouterProblem };

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/**
 * An ACME client as small routers have one: RSA keys, a connection a request, no User-Agent (A1), base64 with padding in the CSR
 * (A2), an account bound to the key it was given, and no way to answer a challenge. Nothing of it is the server's.
 */
export class AcmeRouter {
  readonly #settings: RouterSettings;
  readonly #accountKey = rsaKey();
  /** Every path that was asked. */
  readonly asked: string[] = [];
  #account: string | undefined;
  #nonce: string | undefined;

  constructor(settings: RouterSettings) {
    this.#settings = settings;
  }

  /** Orders a certificate for the names, with a CSR for `requested` where that differs. */
  async enroll(names: readonly string[], requested = names): Promise<RouterOutcome> {
    const directory = JSON.parse((await this.#send('GET', this.#settings.directory)).text) as Record<string, string>;
    this.#nonce = String((await this.#send('HEAD', directory['newNonce']!)).headers['replay-nonce']);
    const account = await this.#post(directory['newAccount']!, {
      termsOfServiceAgreed: true,
      externalAccountBinding: this.#binding(directory['newAccount']!),
    });
    if (account.status !== 201) return refusal('newAccount', account);
    this.#account = String(account.headers['location']);
    const identifiers = names.map((value) => ({ type: 'dns', value }));
    const ordered = await this.#post(directory['newOrder']!, { identifiers });
    if (ordered.status !== 201) return refusal('newOrder', ordered);
    const order = JSON.parse(ordered.text) as { authorizations: string[]; finalize: string };
    let challenges = 0;
    for (const url of order.authorizations) {
      const { challenges: offered } = JSON.parse((await this.#post(url)).text) as { challenges: unknown[] };
      challenges += offered.length;
    }
    return this.#finish(order.finalize, String(ordered.headers['location']), requested, challenges);
  }

  async #finish(finalize: string, order: string, names: readonly string[], challenges: number): Promise<RouterOutcome> {
    let answer = await this.#post(finalize, { csr: requestFor(names) });
    for (let polls = 0; polls < 10 && answer.status === 200; polls += 1) {
      const { certificate, status } = JSON.parse(answer.text) as { status: string; certificate?: string };
      if (status === 'valid') return { kind: 'enrolled', chain: (await this.#post(certificate!)).text, challenges };
      await new Promise((resolve) => setTimeout(resolve, 500));
      answer = await this.#post(order);
    }
    return refusal('finalize', answer);
  }

  #binding(url: string): object {
    const head = encode(JSON.stringify({ alg: 'HS256', kid: this.#settings.keyId, url }));
    const body = encode(JSON.stringify(publicJwk(this.#accountKey)));
    const mac = createHmac('sha256', Buffer.from(this.#settings.hmacKey, 'base64url')).update(`${head}.${body}`);
    return { protected: head, payload: body, signature: mac.digest('base64url') };
  }

  #post(url: string, payload?: object): Promise<Reply> {
    const signer = this.#account === undefined ? { jwk: publicJwk(this.#accountKey) } : { kid: this.#account };
    const head = encode(JSON.stringify({ alg: 'RS256', nonce: this.#nonce, url, ...signer }));
    const body = payload === undefined ? '' : encode(JSON.stringify(payload));
    const signature = createSign('sha256').update(`${head}.${body}`).sign(this.#accountKey, 'base64url');
    return this.#send('POST', url, JSON.stringify({ protected: head, payload: body, signature }));
  }

  #send(method: string, url: string, body?: string): Promise<Reply> {
    this.asked.push(`${method} ${new URL(url).pathname}`);
    const headers = body === undefined ? {} : { 'content-type': 'application/jose+json' };
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const options = { method, headers, ca: this.#settings.ca, agent: false } as const;
    const outgoing = request(url, options, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        this.#nonce = String(incoming.headers['replay-nonce'] ?? this.#nonce);
        const text = Buffer.concat(chunks).toString();
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
    return promise;
  }
}

function refusal(by: string, { text }: Reply): RouterOutcome {
  return { kind: 'refused', by, problem: JSON.parse(text) as RouterProblem };
}

/** A PKCS #10 request with a new RSA key, base64url with padding. */
function requestFor(names: readonly string[]): string {
  const pem = rsaKey().export({ type: 'pkcs1', format: 'pem' }).toString();
  const privateKey = forge.pki.privateKeyFromPem(pem);
  const request = forge.pki.createCertificationRequest();
  request.publicKey = forge.pki.setRsaPublicKey(privateKey.n, privateKey.e);
  request.setSubject([{ name: 'commonName', value: names[0]! }]);
  const altNames = names.map((value) => ({ type: 2, value }));
  request.setAttributes([{ name: 'extensionRequest', extensions: [{ name: 'subjectAltName', altNames }] }]);
  request.sign(privateKey, forge.md.sha256.create());
  const der = forge.asn1.toDer(forge.pki.certificationRequestToAsn1(request)).getBytes();
  return Buffer.from(der, 'latin1').toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

function rsaKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
}

function publicJwk(key: KeyObject): object {
  const { e, kty, n } = key.export({ format: 'jwk' });
  return { e, kty, n };
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
