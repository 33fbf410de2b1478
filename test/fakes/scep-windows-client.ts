import { generateKeyPair, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

import { ask, type HttpCall } from './scep-http.ts';
import {
  certificatesOf,
  envelope,
  isFor,
  OIDS,
  openEnvelope,
  pkiMessage,
  readSignedData,
  signedAttribute,
  textOf,
  UnexpectedReply,
  type WindowsCipher,
} from './scep-windows-messages.ts';
import {
  certificationRequest,
  protocolCertificate,
  transactionIdOf,
  type WindowsDigest,
  type WindowsIdentity,
  type WindowsRequest,
} from './scep-windows-requests.ts';

/** How the client is set up, as an MDM profile does it. */
export interface WindowsOptions {
  /** The URL of the profile, to which nothing is added but the query. */
  readonly url: string;
  /** SHA-256 of the root's certificate in lower-case hex: the profile's thumbprint of the CA. */
  readonly rootFingerprint: string;
  readonly digest?: WindowsDigest;
  readonly cipher?: WindowsCipher;
  /** PEM of the root to trust, where the URL is one of HTTPS. */
  readonly ca?: string | undefined;
}

/** What Windows makes of a CertRep. */
export type WindowsReply =
  | { readonly status: 'issued'; readonly certificate: X509Certificate }
  | { readonly status: 'pending' }
  | { readonly status: 'failed'; readonly failInfo: string; readonly failInfoText: string | undefined };

/** What the client took from GetCACert: the root by its thumbprint, and the RA certificates that lead to it. */
interface Authorities {
  readonly all: readonly pkijs.Certificate[];
  readonly root: pkijs.Certificate;
  readonly signing: pkijs.Certificate;
  readonly encryption: pkijs.Certificate;
}

const USER_AGENT = 'Mozilla/4.0 (compatible; Win32; NDES client 10.0.22631.2506/ni_release_svc_prod3)';

/**
 * A client of the shape of Windows' own SCEP (IX509SCEPEnrollment, as Intune drives it): everything by HTTP/1.1 or HTTPS, PKIOperation by
 * POST, the message signed by a "SCEP Protocol Certificate" whose subject is never that of the request, SHA-1 with 3DES or
 * SHA-256 with AES. It trusts a chain from the RA to the root of the profile's thumbprint, and throws {@link UnexpectedReply}
 * where Windows would stop.
 */
export class WindowsClient {
  readonly options: Required<WindowsOptions>;
  privateKey: KeyObject;
  /** What it was given, when it was. */
  identity: WindowsIdentity | undefined;
  #authorities: Authorities | undefined;
  #pending: { readonly signer: WindowsIdentity; readonly request: pkijs.CertificationRequest } | undefined;

  private constructor(options: WindowsOptions, privateKey: KeyObject) {
    this.options = { digest: 'SHA-1', cipher: 'des-ede3-cbc', ca: undefined, ...options };
    this.privateKey = privateKey;
  }

  /** A client with a new key. */
  static async create(options: WindowsOptions): Promise<WindowsClient> {
    return new WindowsClient(options, await newKey());
  }

  /** Capabilities and certificates; chooses and checks the RA. */
  async initialize(): Promise<readonly string[]> {
    const capabilities = await this.#get('GetCACaps', 'text/plain');
    const octets = await this.#get('GetCACert', 'application/x-x509-ca-ra-cert');
    const all = certificatesOf(octets);
    const root = all.find((certificate) => fingerprintOf(certificate) === this.options.rootFingerprint);
    if (root === undefined) throw new UnexpectedReply('the root of the thumbprint in the chain');
    const signing = all.find((certificate) => hasKeyUsage(certificate, 0x80) && !isAuthority(certificate));
    const encryption = all.find((certificate) => hasKeyUsage(certificate, 0x20) && !isAuthority(certificate));
    if (signing === undefined || encryption === undefined)
      throw new UnexpectedReply('an RA to sign and to encrypt for');
    for (const ra of new Set([signing, encryption])) await assertChain(ra, all, root);
    this.#authorities = { all, root, signing, encryption };
    return Buffer.from(capabilities).toString('latin1').trimEnd().split('\n');
  }

  /** The first request: PKCSReq with a challenge, signed by a certificate made for it. */
  async enroll(request: WindowsRequest): Promise<WindowsReply> {
    const { digest } = this.options;
    const signer = { privateKey: this.privateKey, certificate: await protocolCertificate(this.privateKey, digest) };
    return this.#request('19', request, signer);
  }

  /** RenewalReq with a new key, signed by the certificate it has. */
  async renew(request: WindowsRequest): Promise<WindowsReply> {
    if (this.identity === undefined) throw new UnexpectedReply('a certificate to renew');
    const old = this.identity;
    this.privateKey = await newKey();
    return this.#request('17', request, old);
  }

  /** CertPoll for the last request, signed as it was. */
  async poll(): Promise<WindowsReply> {
    if (this.#pending === undefined) throw new UnexpectedReply('a pending request');
    const { signer, request } = this.#pending;
    const { issuer } = this.#trusted().signing;
    const issuerAndSubject = new asn1js.Sequence({ value: [issuer.toSchema(), request.subject.toSchema()] });
    return this.#exchange('20', issuerAndSubject.toBER(), signer, request);
  }

  async #request(messageType: string, names: WindowsRequest, signer: WindowsIdentity): Promise<WindowsReply> {
    const request = await certificationRequest(this.privateKey, names, this.options.digest);
    this.#pending = { signer, request };
    return this.#exchange(messageType, request.toSchema().toBER(), signer, request);
  }

  async #exchange(
    messageType: string,
    content: ArrayBuffer,
    signer: WindowsIdentity,
    request: pkijs.CertificationRequest,
  ): Promise<WindowsReply> {
    const { digest, cipher } = this.options;
    const transactionId = transactionIdOf(request);
    const senderNonce = new Uint8Array(randomBytes(16));
    const enveloped = envelope(content, this.#trusted().encryption, cipher);
    const message = await pkiMessage(enveloped, { messageType, transactionId, senderNonce }, signer, digest);
    const reply = readSignedData(await this.#post(message));
    await this.#check(reply, transactionId, senderNonce);
    switch (textOf(signedAttribute(reply, OIDS.pkiStatus))) {
      case '0':
        return this.#issued(reply, signer, request);
      case '2':
        return {
          status: 'failed',
          failInfo: textOf(signedAttribute(reply, OIDS.failInfo)) ?? 'absent',
          failInfoText: textOf(signedAttribute(reply, OIDS.failInfoText)),
        };
      case '3':
        return { status: 'pending' };
      case undefined:
      default:
        throw new UnexpectedReply('a pkiStatus of 0, 2 or 3');
    }
  }

  /** Signature by the RA that was looked up, and the attributes that bind the reply to the request. */
  async #check(reply: pkijs.SignedData, transactionId: string, senderNonce: Uint8Array): Promise<void> {
    const { all, root, signing } = this.#trusted();
    reply.certificates = [...all];
    const sid = reply.signerInfos[0]?.sid as pkijs.IssuerAndSerialNumber;
    if (!sid.serialNumber.isEqual(signing.serialNumber)) throw new UnexpectedReply('a signature of the RA');
    if (!(await reply.verify({ signer: 0, trustedCerts: [root] })))
      throw new UnexpectedReply('a signature that is right');
    if (textOf(signedAttribute(reply, OIDS.messageType)) !== '3') throw new UnexpectedReply('CertRep');
    if (textOf(signedAttribute(reply, OIDS.transactionId)) !== transactionId)
      throw new UnexpectedReply('my transactionID');
    const nonce = signedAttribute(reply, OIDS.recipientNonce);
    if (!(nonce instanceof asn1js.OctetString) || !Buffer.from(nonce.getValue()).equals(senderNonce)) {
      throw new UnexpectedReply('my nonce');
    }
  }

  /** The certificate of the new key, with a chain to the root that the profile names. */
  async #issued(
    reply: pkijs.SignedData,
    signer: WindowsIdentity,
    request: pkijs.CertificationRequest,
  ): Promise<WindowsReply> {
    const opened = openEnvelope(reply.encapContentInfo.eContent!.getValue(), signer, this.options.cipher);
    const certificates = certificatesOf(opened);
    const own = certificates.find((certificate) => isFor(request, certificate));
    if (own === undefined) throw new UnexpectedReply('a certificate of my key');
    const { all, root } = this.#trusted();
    await assertChain(own, [...certificates, ...all], root);
    this.identity = { privateKey: this.privateKey, certificate: own };
    return { status: 'issued', certificate: new X509Certificate(Buffer.from(own.toSchema().toBER())) };
  }

  async #get(operation: string, type: string): Promise<ArrayBuffer> {
    return this.#answer(`${operation}&message=default`, type, { headers: { 'User-Agent': USER_AGENT } });
  }

  async #post(body: Uint8Array): Promise<ArrayBuffer> {
    const headers = {
      'User-Agent': USER_AGENT,
      'Content-Type': 'application/x-pki-message',
      'Content-Length': String(body.length),
    };
    return this.#answer('PKIOperation', 'application/x-pki-message', { headers, body });
  }

  async #answer(query: string, type: string, call: HttpCall): Promise<ArrayBuffer> {
    const { url, ca } = this.options;
    const { statusLine, status, headers, body } = await ask(`${url}?operation=${query}`, { ...call, ca });
    const found = headers.get('Content-Type');
    if (status !== 200 || found !== type) {
      throw new UnexpectedReply(`200 ${type}, found ${statusLine} ${found} ${body.toString('latin1')}`);
    }
    return new Uint8Array(body).buffer;
  }

  #trusted(): Authorities {
    if (this.#authorities === undefined) throw new UnexpectedReply('certificates of the authority');
    return this.#authorities;
  }
}

/** Made beside the event loop: a server in this process would take the wait for too much work. */
async function newKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return privateKey;
}

function fingerprintOf(certificate: pkijs.Certificate): string {
  const { fingerprint256 } = new X509Certificate(Buffer.from(certificate.toSchema().toBER()));
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

function extensionValue({ extensions = [] }: pkijs.Certificate, oid: string): unknown {
  return extensions.find(({ extnID }) => extnID === oid)?.parsedValue;
}

function hasKeyUsage(certificate: pkijs.Certificate, bit: number): boolean {
  const usage = extensionValue(certificate, '2.5.29.15');
  return usage instanceof asn1js.BitString && (usage.valueBlock.valueHexView[0]! & bit) !== 0;
}

function isAuthority(certificate: pkijs.Certificate): boolean {
  const constraints = extensionValue(certificate, '2.5.29.19');
  return constraints instanceof pkijs.BasicConstraints && constraints.cA;
}

async function assertChain(
  leaf: pkijs.Certificate,
  certificates: readonly pkijs.Certificate[],
  root: pkijs.Certificate,
): Promise<void> {
  const engine = new pkijs.CertificateChainValidationEngine({ certs: [...certificates, leaf], trustedCerts: [root] });
  const { result, resultMessage } = await engine.verify();
  if (!result) throw new UnexpectedReply(`a chain to the root: ${resultMessage}`);
}
