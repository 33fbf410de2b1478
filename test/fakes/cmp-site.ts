import type { KeyObject } from 'node:crypto';
import { Agent } from 'node:http';

import { insertProfile } from '../../core/authority/profiles.ts';
import { DEVICE_PROFILE, type ProfileSettings } from '../../core/authority/profile.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import type { EndpointSettings } from '../../core/enrollment/endpoint.ts';
import type { EnrollmentTables, TrustAnchorRow } from '../../core/enrollment/tables.ts';
import { newId } from '../../core/store/id.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { rest } from '../support/installation.ts';
import { type CmpPeer, CmpTransaction, type TransactionOptions } from './cmp-client.ts';
import { type MacSecret, passwordBasedMac, type Protection, type Signer } from './cmp-protection.ts';
import { certRequests, requestFor } from './cmp-request.ts';
import type { CmpResponse } from './cmp-response.ts';
import { newKey } from './cmp-signatures.ts';

/** What a test says of a new endpoint; CMP is open as it is by default, save for what is said here. */
export interface EndpointDraft extends Partial<Omit<EndpointSettings, 'protocols'>> {
  readonly label: string;
  readonly cmp?: Partial<CmpSettings>;
  /** Name of a profile of the tenant. */
  readonly profile?: string;
}

/** The whole server in this process, with what a CMP test asks of it: endpoints, secrets, profiles, anchors, devices. */
export class CmpSite implements AsyncDisposable {
  readonly server: ComposedServer;
  readonly #tokens = new Map<string, Promise<string>>();
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(server: ComposedServer) {
    this.server = server;
  }

  static async start(): Promise<CmpSite> {
    return new CmpSite(await ComposedServer.start());
  }

  /** Where an endpoint answers; an operation label goes into the path (RFC 9811 §3.4). */
  peer(label = 'default', operation?: string): CmpPeer {
    const path = `/.well-known/cmp/p/${label}${operation === undefined ? '' : `/${operation}`}`;
    return { url: `${this.server.plain}${path}`, agent: this.#agent };
  }

  /** A transaction at an endpoint. */
  transaction(label: string, protect?: Protection, options: TransactionOptions = {}): CmpTransaction {
    return new CmpTransaction(this.peer(label), { protect, ...options });
  }

  /** Makes an endpoint of the tenant that an endpoint belongs to (`default`, unless said). */
  async endpoint({ label, cmp = {}, ...settings }: EndpointDraft, neighbour = 'default'): Promise<string> {
    await this.#api(neighbour, 'POST', '/endpoints', { label, protocols: { cmp }, ...settings });
    return label;
  }

  /** Changes an endpoint's settings. */
  async change(label: string, changes: object): Promise<void> {
    await this.#api(label, 'PATCH', `/endpoints/${label}`, changes);
  }

  /** A MAC secret that opens an endpoint: a device's, for any number of requests, unless said otherwise. */
  async secret(label = 'default', usage: 'device' | 'one-time' = 'device', subject?: string): Promise<MacSecret> {
    const draft = { kind: 'mac', endpoint: label, usage, ...(subject !== undefined && { subject }) };
    return this.#api<{ reference: string; secret: string }>(label, 'POST', '/secrets', draft);
  }

  /** A device with a certificate, enrolled by ir with a MAC at an endpoint. */
  async device(commonName: string, label = 'default', key: KeyObject = newKey()): Promise<Signer> {
    const protect = passwordBasedMac(await this.secret(label), { iterations: 500 });
    const transaction = this.transaction(label, protect, { implicitConfirm: true });
    const response = await transaction.send(certRequests('ir', requestFor(`CN=${commonName}`, key)));
    return { key, certificate: response.certificate, chain: chainOf(response) };
  }

  /** Adds a profile like that of devices to the tenant of an endpoint. */
  async profile(name: string, changes: Partial<ProfileSettings>, neighbour = 'default'): Promise<string> {
    const { store } = this.server.server.kernel;
    const tenant = await this.tenantOf(neighbour);
    const settings = { ...DEVICE_PROFILE, ...changes };
    await store.unit((tx) => insertProfile(tx, { id: newId(), tenant, name, settings }, store.clock.now()));
    return name;
  }

  /** Has the tenant of an endpoint trust a foreign authority. */
  async anchor(certificate: Uint8Array, purpose: TrustAnchorRow['purpose'], neighbour = 'default'): Promise<void> {
    const { store } = this.server.server.kernel;
    const row = { id: newId(), tenant: await this.tenantOf(neighbour), purpose, name: purpose, created_at: 0 };
    await store.unit((tx) =>
      tx
        .db<EnrollmentTables>()
        .insertInto('trust_anchors')
        .values({ ...row, certificate: Buffer.from(certificate) })
        .execute(),
    );
  }

  /** The stored row of a certificate. */
  async recordOf(certificate: Uint8Array): Promise<AuthorityTables['certificates']> {
    const { store } = this.server.server.kernel;
    const rows = await store.read<AuthorityTables>().selectFrom('certificates').selectAll().execute();
    return rows.find(({ der }) => Buffer.from(der).equals(certificate))!;
  }

  /** How many certificates there are with a common name. */
  async countOf(commonName: string): Promise<number> {
    return (await this.server.certificatesOf(commonName)).length;
  }

  /** The id of the tenant an endpoint belongs to. */
  async tenantOf(label: string): Promise<string> {
    return (await this.server.server.kernel.endpoints.resolve(label))!.tenant;
  }

  /** A request of an administrator of the tenant that an endpoint belongs to. */
  async #api<T>(label: string, method: string, path: string, body: object): Promise<T> {
    const tenant = await this.tenantOf(label);
    if (!this.#tokens.has(tenant)) this.#tokens.set(tenant, this.server.tenantToken(tenant));
    const { status, text } = await rest(this.server, method, path, body, await this.#tokens.get(tenant)!);
    if (status >= 300) throw new RangeError(`${method} ${path}: ${status} ${text}`);
    return JSON.parse(text) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.server[Symbol.asyncDispose]();
  }
}

/** The certificates above the issued one that came with an answer. */
const chainOf = ({ extraCerts, caPubs, certificate }: CmpResponse): readonly Buffer[] =>
  [...extraCerts, ...caPubs].filter((other) => !other.equals(certificate));
