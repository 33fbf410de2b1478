import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import forge from 'node-forge';

import { type Asn1, der, latin1, NotAsExpected } from './scep-cisco-asn1.ts';
import {
  type CiscoCertificate,
  type CiscoDigest,
  ciscoSubject,
  hasKeyUsage,
  publicKeyInfo,
  readCertificate,
  temporaryCertificate,
} from './scep-cisco-certificate.ts';
import {
  certificationRequest,
  type CiscoCipher,
  type CiscoSigner,
  ciscoTransactionId,
  envelope,
  issuerAndSerialNumber,
  issuerAndSubject,
  type MessageType,
  OIDS,
  pkiMessage,
} from './scep-cisco-messages.ts';
import { checkMessage, type CheckedMessage, openEnvelope, readCertsOnly } from './scep-cisco-replies.ts';
import { type HttpAnswer, speak } from './scep-http.ts';

/** How a router is configured. */
export interface CiscoOptions {
  /** `enrollment url`: the base that the client appends its own path to. */
  readonly url: string;
  readonly hostname: string;
  readonly commonName?: string;
  readonly digest?: CiscoDigest;
  readonly cipher?: CiscoCipher;
  /** Octets of senderNonce; some images send eight. */
  readonly nonceOctets?: 8 | 16;
  /** Name of the trustpoint, sent with GetCACert. */
  readonly trustpoint?: string;
  /** What it appends to the URL; empty for servers that know one path only. */
  readonly program?: '/pkiclient.exe' | '';
}

/** What a router makes of a CertRep. */
export type CiscoReply =
  | { readonly status: 'granted'; readonly certificates: readonly CiscoCertificate[]; readonly crls: readonly string[] }
  | { readonly status: 'pending' }
  | {
      readonly status: 'rejected';
      readonly failInfo: string;
      readonly failInfoText: string | undefined;
      /** The digest that the server signed with. */
      readonly digest: CiscoDigest;
    };

/** The certificates of GetCACert, by what they are for. */
interface CaCertificates {
  readonly all: readonly CiscoCertificate[];
  readonly signing: CiscoCertificate;
  readonly encryption: CiscoCertificate;
  /** Who issued the RA certificates: what IssuerAndSubject names. */
  readonly issuer: string;
}

/**
 * A router of Cisco's shape, as IOS speaks SCEP: HTTP/1.0 without Host, `/pkiclient.exe`, PKIOperation by GET with a line feed every
 * 64 characters of base64, MD5 and single DES unless told otherwise, a negative serial number in the certificate it signs with, and
 * a new one of those for every poll. It checks replies as strictly as IOS does and throws {@link NotAsExpected} where IOS would fail.
 */
export class CiscoRouter {
  readonly options: Required<Omit<CiscoOptions, 'commonName'>>;
  readonly subject: Asn1;
  privateKey: KeyObject;
  /** The certificate it was given, when it was. */
  certificate: CiscoCertificate | undefined;
  /** What it signed its messages with, in order. */
  readonly signers: CiscoCertificate[] = [];
  transactionId: string;
  #ca: CaCertificates | undefined;

  private constructor({ commonName, ...options }: CiscoOptions, privateKey: KeyObject) {
    this.options = {
      digest: 'md5',
      cipher: 'des',
      nonceOctets: 16,
      trustpoint: `TP-${options.hostname}`,
      program: '/pkiclient.exe',
      ...options,
    };
    this.subject = ciscoSubject(options.hostname, commonName);
    this.privateKey = privateKey;
    this.transactionId = ciscoTransactionId(der(publicKeyInfo(this.privateKey)));
  }

  /** A router with a new key. */
  static async create(options: CiscoOptions): Promise<CiscoRouter> {
    return new CiscoRouter(options, await newKey());
  }

  /** The capabilities, a line each. */
  async capabilities(): Promise<string[]> {
    const answer = await this.get(`operation=GetCACaps&message=${this.options.trustpoint}`);
    if (answer.status !== 200) throw new NotAsExpected(`capabilities, found ${answer.statusLine}`);
    return answer.body.toString('latin1').trimEnd().split('\n');
  }

  /** `crypto pki authenticate`: takes the CA's and RA's certificates as they come. */
  async authenticate(): Promise<readonly CiscoCertificate[]> {
    const answer = await this.get(`operation=GetCACert&message=${this.options.trustpoint}`);
    const type = contentType(answer);
    const octets = answer.body.toString('latin1');
    if (type === 'application/x-x509-ca-cert') this.#trust([readCertificate(octets)]);
    else if (type === 'application/x-x509-ca-ra-cert') this.#trust(readCertsOnly(octets).certificates);
    else throw new NotAsExpected(`CA certificates, found ${answer.statusLine} ${type}`);
    return this.#ca!.all;
  }

  /** `crypto pki enroll`: PKCSReq signed by a temporary certificate. */
  enroll(challenge?: string): Promise<CiscoReply> {
    const { digest } = this.options;
    const request = certificationRequest(this.privateKey, this.subject, digest, challenge);
    return this.exchange('19', request, this.#temporary());
  }

  /** CertPoll (GetCertInitial), signed by another temporary certificate than the request was. */
  poll(): Promise<CiscoReply> {
    const { issuer } = this.#trusted();
    return this.exchange('20', issuerAndSubject(issuer, der(this.subject)), this.#temporary());
  }

  /** A new key for the same name, signed by the certificate it has: RenewalReq, or PKCSReq where the server has no Renewal. */
  async renew(messageType: '17' | '19' = '17', challenge?: string): Promise<CiscoReply> {
    const old = this.#ownSigner();
    const privateKey = await newKey();
    this.transactionId = ciscoTransactionId(der(publicKeyInfo(privateKey)));
    const request = certificationRequest(privateKey, this.subject, this.options.digest, challenge);
    const reply = await this.exchange(messageType, request, old, privateKey);
    if (reply.status === 'granted') this.privateKey = privateKey;
    return reply;
  }

  /** Takes over the key and certificate of another, as after a change of configuration. */
  adopt({ privateKey, certificate, transactionId }: CiscoRouter): void {
    this.privateKey = privateKey;
    this.certificate = certificate;
    this.transactionId = transactionId;
  }

  /** GetCert (21) for the certificate it has. */
  getCertificate(): Promise<CiscoReply> {
    return this.exchange('21', der(issuerAndSerialNumber(this.#ownSigner().certificate)), this.#ownSigner());
  }

  /** GetCRL (22) of the authority that issued its certificate. */
  getCrl(): Promise<CiscoReply> {
    return this.exchange('22', der(issuerAndSerialNumber(this.#ownSigner().certificate)), this.#ownSigner());
  }

  /** A request for its own names and key under any messageType, signed by the certificate it has. */
  send(messageType: MessageType): Promise<CiscoReply> {
    const request = certificationRequest(this.privateKey, this.subject, this.options.digest, undefined);
    return this.exchange(messageType, request, this.#ownSigner());
  }

  /** Rollover: the next CA's certificates, out of a SignedData that the current RA signed (RFC 8894 §4.7.1). */
  async nextCa(): Promise<readonly CiscoCertificate[]> {
    const answer = await this.get(`operation=GetNextCACert&message=${this.options.trustpoint}`);
    if (contentType(answer) !== 'application/x-x509-next-ca-cert') throw new NotAsExpected(answer.statusLine);
    const checked = checkMessage(answer.body.toString('latin1'), this.#trusted().signing);
    return readCertsOnly(checked.content).certificates;
  }

  /** Sends one pkiMessage and reads the CertRep. A granted certificate of `key` becomes its own. */
  async exchange(
    messageType: MessageType,
    content: string,
    signer: CiscoSigner,
    key: KeyObject = this.privateKey,
  ): Promise<CiscoReply> {
    const { digest, cipher, nonceOctets } = this.options;
    const { encryption } = this.#trusted();
    const senderNonce = forge.random.getBytesSync(nonceOctets);
    const attributes = { messageType, transactionId: this.transactionId, senderNonce };
    const message = pkiMessage(envelope(content, encryption, cipher), attributes, signer, digest);
    const answer = await this.get(`operation=PKIOperation&message=${queryForm(message)}`);
    const reply = this.#read(answer, senderNonce, signer);
    if (reply.status === 'granted') {
      const own = der(publicKeyInfo(key));
      this.certificate = reply.certificates.find(({ publicKey }) => publicKey === own) ?? this.certificate;
    }
    return reply;
  }

  /** One HTTP/1.0 GET, exactly as IOS writes it. */
  get(query: string): Promise<HttpAnswer> {
    const { pathname } = new URL(this.options.url);
    const path = `${pathname.replace(/\/$/, '')}${this.options.program}?${query}`;
    return speak(
      this.options.url,
      `GET ${path} HTTP/1.0\r\nUser-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Cisco PKI)\r\n\r\n`,
    );
  }

  #read(answer: HttpAnswer, senderNonce: string, signer: CiscoSigner): CiscoReply {
    if (answer.status !== 200)
      throw new NotAsExpected(`HTTP 200, found ${answer.statusLine} ${answer.body.toString()}`);
    if (contentType(answer) !== 'application/x-pki-message') throw new NotAsExpected('application/x-pki-message');
    const checked = checkMessage(answer.body.toString('latin1'), this.#trusted().signing);
    const { attributes, digest } = checked;
    if (attributes.get(OIDS.messageType) !== '3') throw new NotAsExpected('CertRep');
    if (attributes.get(OIDS.transactionId) !== this.transactionId) throw new NotAsExpected('my transactionID');
    if (attributes.get(OIDS.recipientNonce) !== senderNonce) throw new NotAsExpected('my nonce');
    if ((attributes.get(OIDS.senderNonce) ?? '').length !== 16) throw new NotAsExpected('a senderNonce of 16 octets');
    switch (attributes.get(OIDS.pkiStatus)) {
      case '0':
        return this.#granted(checked, signer);
      case '2':
        return { status: 'rejected', failInfo: failInfoOf(checked), failInfoText: failInfoTextOf(checked), digest };
      case '3':
        if (checked.content !== '') throw new NotAsExpected('no envelope with PENDING');
        return { status: 'pending' };
      case undefined:
      default:
        throw new NotAsExpected('a pkiStatus of 0, 2 or 3');
    }
  }

  /** IOS knows no other digest or cipher than those it was configured for: a reply must use what the request used. */
  #granted(checked: CheckedMessage, signer: CiscoSigner): CiscoReply {
    if (checked.digest !== this.options.digest)
      throw new NotAsExpected(`${this.options.digest}, found ${checked.digest}`);
    const opened = openEnvelope(checked.content, signer);
    if (opened.cipher !== this.options.cipher)
      throw new NotAsExpected(`${this.options.cipher}, found ${opened.cipher}`);
    return { status: 'granted', ...readCertsOnly(opened.content) };
  }

  #temporary(): CiscoSigner {
    const certificate = temporaryCertificate(this.privateKey, this.subject, this.options.digest);
    this.signers.push(certificate);
    return { privateKey: this.privateKey, certificate };
  }

  #ownSigner(): CiscoSigner {
    if (this.certificate === undefined) throw new NotAsExpected('a certificate of my own');
    return { privateKey: this.privateKey, certificate: this.certificate };
  }

  #trust(all: readonly CiscoCertificate[]): void {
    const ofUse = (usage: 'digitalSignature' | 'keyEncipherment'): CiscoCertificate =>
      all.find((certificate) => hasKeyUsage(certificate, usage)) ?? all[0]!;
    const signing = ofUse('digitalSignature');
    this.#ca = { all, signing, encryption: ofUse('keyEncipherment'), issuer: signing.issuer };
  }

  #trusted(): CaCertificates {
    if (this.#ca === undefined) throw new NotAsExpected('an authenticated trustpoint');
    return this.#ca;
  }
}

/** An RSA-2048 key, made beside the event loop: a server in this process would take the wait for too much work. */
async function newKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return privateKey;
}

/** Base64 with a line feed every 64 characters and at the end; `+` and `=` escaped, `/` not. */
function queryForm(message: string): string {
  const base64 = latin1(message).toString('base64');
  const lines = base64.replaceAll(/.{1,64}/g, '$&\n');
  return lines.replaceAll('\n', '%0A').replaceAll('+', '%2B').replaceAll('=', '%3D');
}

/** Content-Type as it came; the old ones compare it octet by octet (no parameter, name in its usual case). */
function contentType(answer: HttpAnswer): string | undefined {
  return answer.headers.get('Content-Type');
}

function failInfoOf({ attributes, content }: CheckedMessage): string {
  const failInfo = attributes.get(OIDS.failInfo);
  if (failInfo === undefined || !/^[0-4]$/.test(failInfo)) throw new NotAsExpected('a failInfo from 0 to 4');
  if (content !== '') throw new NotAsExpected('no envelope with FAILURE');
  return failInfo;
}

function failInfoTextOf({ attributes }: CheckedMessage): string | undefined {
  const text = attributes.get(OIDS.failInfoText);
  return text === undefined ? undefined : latin1(text).toString('utf8');
}
