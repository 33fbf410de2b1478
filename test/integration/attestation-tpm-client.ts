import { createHash, randomBytes } from 'node:crypto';

import { encode } from '../../core/asn1/codec.ts';
import { octetString } from '../../core/asn1/schema.ts';
import { attribute } from '../../core/cms/attribute.ts';
import { buildEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { buildSignedData, decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { type AttestationBundle, attestationExtension } from '../../core/x509/attestation-bundle.ts';
import { assembleSigned, type Certificate, encodeTbsCertificate } from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { AcmeClient, type AuthorizationView, json, type OrderView } from '../acme/acme-client.ts';
import { bitString, extension, implicit, sequence } from '../fakes/cmp-der.ts';
import type { Body } from '../fakes/cmp-message.ts';
import { passwordBasedMac } from '../fakes/cmp-protection.ts';
import { certRequests, p10cr, type Proof } from '../fakes/cmp-request.ts';
import { SIGNATURES } from '../fakes/cmp-signatures.ts';
import { ask } from '../fakes/scep-http.ts';
import { signatureAlgorithmOf, SwtpmDevice, type TpmKey } from '../fakes/swtpm-device.ts';
import {
  akRegistration,
  tpmAttestationObject,
  tpmBundle,
  type TpmEvidenceParts,
  tpmRequest,
} from '../fakes/tpm-evidence.ts';
import type { TpmManufacturer } from '../fakes/tpm-manufacturer.ts';
import { OID, printable } from '../scep/device.ts';
import { openReply, readCertRep } from '../scep/reply.ts';
import { send } from '../support/installation.ts';
import { type AttestationSite, octetsOf } from './attestation-site.ts';

/** What a device says that it should not. */
interface AcmeChange {
  /** The key that the TPM certifies instead. */
  readonly attested?: TpmKey;
  /** What the evidence is fresh for instead. */
  readonly keyAuthorization?: string;
}

/** What came of a request: a certificate, or what the device was told. */
export interface Attempt {
  readonly certificate: Uint8Array | undefined;
  readonly told: string;
}

/** RFC 4514 text of a subject with this common name. */
export function subjectOf(commonName: string): string {
  return `CN=${commonName.replaceAll(/[,+"\\<>;=]/g, String.raw`\$&`)}`;
}

/** A device with a TPM: it has an attestation key certified and shows what its TPM says by whichever protocol. */
export class TpmClient implements AsyncDisposable {
  readonly tpm: SwtpmDevice;
  readonly ek: TpmKey;
  readonly #site: AttestationSite;
  readonly #ekCertificates: readonly Uint8Array[];

  private constructor(site: AttestationSite, tpm: SwtpmDevice, ek: TpmKey, ekCertificates: readonly Uint8Array[]) {
    this.#site = site;
    this.tpm = tpm;
    this.ek = ek;
    this.#ekCertificates = ekCertificates;
  }

  /** A fresh TPM, its EK certified by its maker. */
  static async start(site: AttestationSite, maker: TpmManufacturer): Promise<TpmClient> {
    const tpm = await SwtpmDevice.start();
    const ek = await tpm.createEndorsementKey();
    return new TpmClient(site, tpm, ek, [maker.ekCertificate(ek.publicKey).der, maker.issuer.der]);
  }

  /** Asks for the activation of a key, as go-attestation's clients write it. */
  async register(label: string, ak: TpmKey) {
    const registration = await akRegistration(this.tpm, this.ek, ak, this.#ekCertificates);
    return this.#site.ask(label, 'attest', {
      tpmInfo: { version: 2, manufacturer: '0', model: '', firmwareVersion: '' },
      ek: registration.endorsementKey,
      ekCerts: registration.endorsementCertificates,
      akCert: null,
      params: {
        public: registration.publicArea,
        useTCSDActivationFormat: false,
        createData: registration.creationData,
        createAttestation: registration.creationAttest,
        createSignature: registration.creationSignature,
      },
    });
  }

  /** The certificate path of an attestation key, by activation. */
  async certifyAttestationKey(label: string, ak: TpmKey): Promise<readonly Uint8Array[]> {
    const begun = (await this.register(label, ak)).json;
    const wrapped = { credential: octetsOf(begun.credential), secret: octetsOf(begun.secret) };
    const secret = await this.tpm.activateCredential(ak, this.ek, wrapped);
    const { json, status, text } = await this.#site.ask(label, 'secret', { secret });
    if (status !== 200) throw new RangeError(`${status} ${text}`);
    return json.chain.map(octetsOf);
  }

  /** What the TPM says of a key. */
  async bundle(key: TpmKey, ak: TpmKey, nonce: Uint8Array, more: Omit<TpmEvidenceParts, 'certify'> = {}) {
    const certify = { ...(await this.tpm.certify(key, ak, nonce)), publicArea: key.publicArea };
    return tpmBundle({ certify, ...more });
  }

  /** EST: the bundle as the attribute of the request, a password for who asks. */
  async byEst(label: string, key: TpmKey, subject: string, bundle?: AttestationBundle): Promise<Attempt> {
    return this.estWith(label, key, subject, await this.#site.server.password(label), bundle);
  }

  /** EST with a password. */
  async estWith(
    label: string,
    key: TpmKey,
    subject: string,
    password: string,
    bundle?: AttestationBundle,
  ): Promise<Attempt> {
    const answer = await send(this.#site.server, `${this.#site.server.mtls}/.well-known/est/${label}/simpleenroll`, {
      method: 'POST',
      body: await tpmRequest(this.tpm, key, { subject, ...(bundle && { bundle }) }),
      headers: {
        'Content-Type': 'application/pkcs10',
        Authorization: `Basic ${Buffer.from(`any:${password}`).toString('base64')}`,
      },
    });
    const [certificate] = answer.status === 200 ? decodeCertsOnly(Buffer.from(answer.text, 'base64')).certificates : [];
    return { certificate, told: `${answer.status} ${answer.text}` };
  }

  /** ACME device-attest-01, format `tpm`: what the TPM signs is fresh for the key authorization. */
  async byAcme(
    label: string,
    key: TpmKey,
    ak: TpmKey,
    akPath: readonly Certificate[],
    change: AcmeChange = {},
  ): Promise<Attempt> {
    const { server } = this.#site;
    const acme = await new AcmeClient(server, `${server.server.urls.tls}/acme/${label}/directory`).start();
    try {
      await acme.register();
      const identifiers = [{ type: 'permanent-identifier', value: this.ekSha256 }];
      const order = json<OrderView>(await acme.post(acme.directory['newOrder']!, { identifiers }));
      const authorization = json<AuthorizationView>(await acme.post(order.authorizations[0]!));
      const { token, url } = authorization.challenges[0]!;
      const nonce = createHash('sha256')
        .update(change.keyAuthorization ?? acme.keyAuthorization(token))
        .digest();
      const statement = await this.tpm.certify(change.attested ?? key, ak, nonce);
      const object = tpmAttestationObject(statement, change.attested ?? key, akPath);
      await acme.post(url, { attObj: Buffer.from(object).toString('base64url') });
      const proved = await acme.settled<AuthorizationView>(order.authorizations[0]!);
      if (proved.status !== 'valid') return { certificate: undefined, told: JSON.stringify(proved) };
      const finalized = await acme.finalize(order, await tpmRequest(this.tpm, key, { subject: `CN=${this.ekSha256}` }));
      if (finalized.status !== 200) return { certificate: undefined, told: finalized.text };
      const [leaf] = decodePem((await acme.post(json<OrderView>(finalized).certificate!)).text);
      return { certificate: leaf!.der, told: finalized.text };
    } finally {
      acme.close();
    }
  }

  /** How ACME names the device: the hash of its EK, hex. */
  get ekSha256(): string {
    return createHash('sha256').update(this.ek.publicKey.der).digest('hex');
  }

  /** CMP p10cr: the bundle as the attribute of the request, under a MAC. */
  async byP10cr(label: string, key: TpmKey, subject: string, bundle?: AttestationBundle): Promise<Attempt> {
    const request = await tpmRequest(this.tpm, key, { subject, ...(bundle && { bundle }) });
    return this.#byCmp(label, p10cr(request));
  }

  /** CMP ir: the bundle as an extension of the template; the TPM signs the CertRequest. */
  async byIr(label: string, key: TpmKey, subject: string, bundle?: AttestationBundle): Promise<Attempt> {
    const extensions = bundle === undefined ? [] : [attestationExtension(bundle)];
    const template = {
      subject,
      publicKey: key.publicKey.der,
      ...(extensions.length > 0 && { extensions: extensions.map(({ oid, value }) => extension(oid, value)) }),
    };
    let signed: Buffer = Buffer.alloc(0);
    const capture: Proof = (certRequest) => {
      signed = certRequest;
      return Buffer.alloc(0);
    };
    certRequests('ir', { template, proof: capture });
    const signature = await this.tpm.sign(key, signed);
    const proof: Proof = () => implicit(1, sequence(SIGNATURES['ecdsa-sha256'].identifier, bitString(signature)));
    return this.#byCmp(label, certRequests('ir', { template, proof }));
  }

  async #byCmp(label: string, body: Body) {
    const protect = passwordBasedMac(await this.#site.cmp.secret(label, 'one-time'), { iterations: 500 });
    const response = await this.#site.cmp.transaction(label, protect, { implicitConfirm: true }).send(body);
    const accepted = response.status?.status === 'accepted';
    return { certificate: accepted ? response.certificate : undefined, told: response.summary };
  }

  /** SCEP by a ticket: evidence to the front door, the challenge it gives into the request, nothing else of SCEP changed. */
  async byScep(label: string, key: TpmKey, device: string, bundle: Uint8Array): Promise<Attempt> {
    const evidence = { type: 'tpm-certify', bytes: bundle };
    const ticket = await this.#site.ask(label, 'ticket', { evidence, publicKey: key.publicKey.der, device });
    if (ticket.status !== 200) return { certificate: undefined, told: `${ticket.status} ${ticket.text}` };
    return this.scepWith(label, key, subjectOf(ticket.json.device), ticket.json.challengePassword);
  }

  /** PKCSReq with a challenge, message and request signed in the TPM. */
  async scepWith(
    label: string,
    key: TpmKey,
    subject: string,
    challengePassword: string,
    bundle?: AttestationBundle,
  ): Promise<Attempt> {
    const url = `${this.#site.server.plain}/scep/${label}`;
    const ca = await ask(`${url}?operation=GetCACert`, { headers: {} });
    const [recipient] = decodeCertsOnly(ca.body).certificates;
    const certificate = await this.#selfSigned(key, subject);
    const content = await tpmRequest(this.tpm, key, { subject, challengePassword, ...(bundle && { bundle }) });
    const recipients = [{ kind: 'rsa', certificate: recipient!, keyTransport: 'pkcs1' } as const];
    const message = await buildSignedData({
      content: await buildEnvelopedData({ content, cipher: 'aes-128-cbc', recipients }),
      signer: {
        certificate,
        signatureAlgorithm: signatureAlgorithmOf(key),
        sign: (data) => this.tpm.sign(key, data),
      },
      signedAttributes: [
        printable(OID.messageType, '19'),
        printable(OID.transactionID, randomBytes(16).toString('hex')),
        attribute(OID.senderNonce, encode(octetString, randomBytes(16))),
      ],
    });
    const answer = await ask(`${url}?operation=PKIOperation`, {
      headers: { 'Content-Type': 'application/x-pki-message' },
      body: message,
    });
    const reply = readCertRep(answer.body);
    if (reply.pkiStatus !== '0') return { certificate: undefined, told: `${reply.failInfo} ${reply.failInfoText}` };
    const { certificates } = await openReply(reply, undefined as never, challengePassword);
    return { certificate: certificates[0], told: 'SUCCESS' };
  }

  async #selfSigned(key: TpmKey, subject: string): Promise<Uint8Array> {
    const signatureAlgorithm = signatureAlgorithmOf(key);
    const name = nameFromText(subject);
    const tbs = encodeTbsCertificate({
      serialNumber: parseSerialNumber('01'),
      signatureAlgorithm,
      issuer: name,
      subject: name,
      validity: { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) },
      publicKey: key.publicKey,
      extensions: [EXTENSIONS.keyUsage.encode(new Set(['digitalSignature']))],
    });
    return assembleSigned(tbs, signatureAlgorithm, await this.tpm.sign(key, tbs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tpm[Symbol.asyncDispose]();
  }
}
