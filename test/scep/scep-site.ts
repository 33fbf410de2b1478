import type { KeyObject } from 'node:crypto';
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

import { findBySerial, revokeCertificate } from '../../core/authority/revocation.ts';
import { listProfiles } from '../../core/authority/profiles.ts';
import type { EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { type approve, listEnrollments } from '../../core/enrollment/enrollments.ts';
import { createEndpoint } from '../../core/enrollment/endpoints.ts';
import { OPEN_SCEP, type ScepSettings } from '../../core/enrollment/scep-settings.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { CLOSED_ENDPOINT } from '../../server/api/endpoint-schema.ts';
import { ComposedServer } from '../support/composed-server.ts';
import type { Answer, Call } from '../support/installation.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { buildMessage, type MessageOptions, selfSigned, type Signer } from './device.ts';
import { type CertRep, openReply, readCertRep } from './reply.ts';

/** What a test changes of an endpoint. */
export interface EndpointChanges extends Partial<Omit<EndpointSettings, 'protocols'>> {
  readonly scep?: Partial<ScepSettings>;
}

/** What a test says of a device. */
export interface DeviceOptions {
  readonly key?: KeyObject;
  readonly san?: readonly string[];
  /** Default: a fresh one-time challenge. */
  readonly challenge?: string;
}

/** A device before it enrols, and its PKCSReq. */
export interface Device {
  readonly name: string;
  readonly signer: Signer;
  readonly challenge: string;
  readonly transactionId: string;
  /** PKCS #10, DER. */
  readonly content: Uint8Array;
}

/** RSA keys take long to make: devices take turns with a few, each in a transaction of its own. */
const keys: KeyObject[] = [];
let devices = 0;
function sharedRsaKey(): KeyObject {
  if (keys.length < 3) keys.push(makeKey('rsa-2048'));
  return keys[devices % keys.length]!;
}

/** The whole server with endpoints for SCEP, and devices that speak to it over HTTP. */
export class ScepSite implements AsyncDisposable {
  readonly composed: ComposedServer;
  readonly #recipients = new Map<string, Uint8Array>();

  private constructor(composed: ComposedServer) {
    this.composed = composed;
  }

  static async start(): Promise<ScepSite> {
    return new ScepSite(await ComposedServer.start());
  }

  get kernel(): ComposedServer['server']['kernel'] {
    return this.composed.server.kernel;
  }

  /** Makes an endpoint of the default tenant. */
  addEndpoint(label: string, changes: EndpointChanges = {}): Promise<void> {
    return this.addEndpointOf('default', label, changes);
  }

  /** Makes an endpoint of the tenant of this name. */
  async addEndpointOf(name: string, label: string, { scep, ...changes }: EndpointChanges = {}): Promise<void> {
    const { store, endpoints } = this.kernel;
    const { tenant, authority } = (await endpoints.resolve(name))!;
    const [profile] = await listProfiles(store, tenant);
    const settings = { ...CLOSED_ENDPOINT, ...changes, protocols: { scep: { ...OPEN_SCEP, ...scep } } };
    const endpoint = { tenant, authority, profile: profile!.id, label, settings, isDefault: false };
    await store.unit((tx) => createEndpoint(tx, endpoint, store.clock.now()));
  }

  /** A one-time challenge, or the standing one of a device. */
  challenge(label = 'default', device?: string): Promise<string> {
    return this.composed.password(label, device);
  }

  /** The certificate of an endpoint's RA to encrypt for. */
  async recipient(label = 'default'): Promise<Uint8Array> {
    const known = this.#recipients.get(label);
    if (known !== undefined) return known;
    const { body } = await this.get(`${label}?operation=GetCACert`);
    const recipient = body[4] === 0x06 ? decodeCertsOnly(body).certificates[0]! : new Uint8Array(body);
    this.#recipients.set(label, recipient);
    return recipient;
  }

  /** A device with a certificate of its own making and, where it shall have one, a one-time challenge. */
  async device(name: string, label = 'default', options: DeviceOptions = {}): Promise<Device> {
    devices += 1;
    const { key = sharedRsaKey(), san } = options;
    const challenge = options.challenge ?? (await this.challenge(label));
    const signer = selfSigned({ subject: `CN=${name}`, key });
    const { der: content } = makeCsr({ subject: `CN=${name}`, key, challengePassword: challenge, ...(san && { san }) });
    return { name, signer, challenge, content, transactionId: `${name}-${devices}` };
  }

  /** Enrols a device and answers its certificate with its key, to sign later messages with. */
  async enrolled(name: string, label = 'default', options: DeviceOptions = {}): Promise<Signer> {
    const device = await this.device(name, label, options);
    const { signer, challenge } = device;
    const reply = await this.send(device, label);
    const isRsa = signer.privateKey.asymmetricKeyType === 'rsa';
    const [der] = await this.certificates(reply, signer, isRsa ? undefined : challenge);
    return { der: der!, privateKey: signer.privateKey };
  }

  /** Lets an operator decide about the enrolment that waits for a device. */
  async decide(name: string, how: typeof approve): Promise<void> {
    const { store, endpoints } = this.kernel;
    const { tenant } = (await endpoints.resolve('default'))!;
    const waiting = await listEnrollments(store, tenant, { limit: 500, status: 'pending' });
    const { id } = waiting.find((enrollment) => enrollment.device_name === name)!;
    await store.unit((tx) => how(tx, { tenant, id, actor: 'user:alice', comment: 'seen', now: store.clock.now() }));
  }

  /** Revokes a certificate of the default tenant. */
  async revoke(der: Uint8Array): Promise<void> {
    const { store, endpoints } = this.kernel;
    const { tenant, authority } = (await endpoints.resolve('default'))!;
    const { certificateId } = (await findBySerial(store, tenant, authority, parseCertificate(der).serialNumber))!;
    const at = store.clock.now();
    await store.unit((tx) =>
      revokeCertificate(tx, { tenant, certificateId, reason: 'superseded', actor: 'test:scep', at }),
    );
  }

  /** A message to an endpoint's RA, posted. */
  async send(
    options: Omit<MessageOptions, 'recipient'> & { readonly recipient?: Uint8Array },
    label = 'default',
  ): Promise<CertRep> {
    const recipient = options.recipient ?? (await this.recipient(label));
    return this.post(await buildMessage({ ...options, recipient }), label);
  }

  /** Posts a message that must be answered with a CertRep. */
  async post(message: Uint8Array, label = 'default'): Promise<CertRep> {
    const answer = await this.call(`${label}?operation=PKIOperation`, { method: 'POST', body: message });
    if (answer.status !== 200) throw new UnexpectedAnswer(`${answer.status} ${answer.text}`);
    return readCertRep(answer.body);
  }

  /** The certificates of a success. */
  async certificates(reply: CertRep, signer: Signer, challenge?: string): Promise<readonly Uint8Array[]> {
    if (reply.pkiStatus !== '0')
      throw new UnexpectedAnswer(`${reply.pkiStatus} ${reply.failInfo} ${reply.failInfoText}`);
    return (await openReply(reply, signer, challenge)).certificates;
  }

  get(path: string): Promise<Answer> {
    return this.call(path, {});
  }

  /** What the server counted. */
  metrics(): Promise<Answer> {
    const headers = { Authorization: `Bearer ${this.composed.adminToken}` };
    return this.call('/metrics', { headers }, this.composed.admin);
  }

  /** Asks as a patient device does: a busy server is asked again. Paths are below `/scep/`, or begin with a slash. */
  async call(path: string, call: Call, base = this.composed.plain): Promise<Answer> {
    for (let attempt = 0; attempt < PATIENCE; attempt++) {
      const answer = await this.#once(path, call, base);
      if (answer.status !== 503) return answer;
      await delay(250);
    }
    return this.#once(path, call, base);
  }

  #once(path: string, { method = 'GET', headers = {}, body }: Call, base: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const url = path.startsWith('/') ? `${base}${path}` : `${base}/scep/${path}`;
    const send = url.startsWith('https:') ? requestTls : request;
    const options = { method, headers, ca: this.composed.ca, agent: false, signal: AbortSignal.timeout(20_000) };
    const outgoing = send(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const whole = Buffer.concat(chunks);
        const received = Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')]);
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(received) as Record<string, string>,
          body: whole,
          text: whole.toString('latin1'),
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
    return promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.composed[Symbol.asyncDispose]();
  }
}

/** How often a device asks a server again that has too much to do. */
const PATIENCE = 20;

class UnexpectedAnswer extends Error {}
