import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { AuthorityTables } from '../../core/authority/tables.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import { createToken } from '../../server/api/tokens.ts';
import { type RunningServer, serve } from '../../server/composition/serve.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { type ProvisionedTenant, provisionTenant } from '../../server/installation/first-start.ts';
import { type Installation, readText } from './installation.ts';

/** A point in time that a test moves. */
export class MovableClock {
  /** Milliseconds it is ahead of the machine's. */
  ahead = 0;

  now(): number {
    return Date.now() + this.ahead;
  }
}

/** The tenants' CA keys: P-256 unless a test is about something else. */
const EC = { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' } as const;

type Algorithms = Pick<Parameters<typeof provisionTenant>[2], 'rootAlgorithm' | 'issuingAlgorithm'>;

/**
 * The whole server as server/main.ts composes it, in the test's process: its listeners for the peers, and its kernel for
 * what no door offers yet. At most one a process: a process sees the SoftHSM tokens of one folder only.
 */
export class ComposedServer implements Installation, AsyncDisposable {
  readonly server: RunningServer;
  readonly clock: MovableClock;
  /** A temporary folder; `data` in it is the server's. */
  readonly folder: string;
  readonly ca: string;
  readonly adminToken: string;

  private constructor(
    server: RunningServer,
    clock: MovableClock,
    folder: string,
    trust: Pick<Installation, 'ca' | 'adminToken'>,
  ) {
    this.server = server;
    this.clock = clock;
    this.folder = folder;
    this.ca = trust.ca;
    this.adminToken = trust.adminToken;
  }

  /** Starts it on free ports, with CA keys that are made quickly. */
  static async start(algorithms: Algorithms = EC): Promise<ComposedServer> {
    const folder = await mkdtemp(join(tmpdir(), 'muster-composed-'));
    const dataFolder = join(folder, 'data');
    const clock = new MovableClock();
    const noFlags = { portBase: undefined, readyFile: undefined, configFile: undefined, help: false };
    const configuration = loadConfiguration({
      arguments: { ...noFlags, dataFolder },
      environment: ENVIRONMENT,
      folder,
    });
    const server = await serve(configuration, { algorithms, sqlite: { clock } });
    const trust = {
      ca: await readText(join(dataFolder, 'root.pem')),
      adminToken: await readText(join(dataFolder, 'admin-token')),
    };
    return new ComposedServer(server, clock, folder, trust);
  }

  get plain(): string {
    return this.server.urls.plain;
  }

  get mtls(): string {
    return this.server.urls.mtls;
  }

  get admin(): string {
    return this.server.urls.admin;
  }

  /** A second tenant with authorities, profiles and the endpoints `<name>` and `<name>-ra`, as the first start makes one. */
  async addTenant(name: string, algorithms: Algorithms = EC): Promise<ProvisionedTenant> {
    const { kernel, keys } = this.server;
    const [token] = keys.health();
    return provisionTenant(kernel.store, keys, { name, token: token!.label, isDefault: false, ...algorithms });
  }

  /** A password that opens an endpoint of any tenant: one-time, or the standing one of a user name. */
  async password(label: string, username?: string): Promise<string> {
    const { store, endpoints, secretHash } = this.server.kernel;
    const endpoint = (await endpoints.resolve(label))!;
    const { secret } = await store.unit((tx) =>
      createSecret(tx, secretHash, store.clock.now(), {
        tenant: endpoint.tenant,
        endpoint: endpoint.id,
        ...(username === undefined ? { usage: 'one-time' } : { usage: 'device', username }),
        lifetimeSeconds: 3600,
        createdBy: 'test:integration',
      }),
    );
    return secret.reveal();
  }

  /** A bearer token of a tenant, with everything an administrator may. */
  async tenantToken(tenant: string): Promise<string> {
    const { store } = this.server.kernel;
    const draft = { label: 'test', role: 'admin', scopes: undefined, lifetimeSeconds: 3600 } as const;
    const { token } = await store.unit((tx) =>
      createToken(tx, Date.now(), { ...draft, tenant, createdBy: 'test:integration' }),
    );
    return token.reveal();
  }

  /** The stored certificates with this common name, oldest first. */
  certificatesOf(commonName: string) {
    return this.server.kernel.store
      .read<AuthorityTables>()
      .selectFrom('certificates')
      .selectAll()
      .where('subject', 'like', `%CN=${commonName}%`)
      .orderBy('id')
      .execute();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Port 0 takes any free one. What the test itself does holds up the event loop as well: that refuses nobody. */
const ENVIRONMENT = {
  MUSTER_LOG_LEVEL: 'silent',
  MUSTER_LIMITS_EVENT_LOOP_DELAY_MS: '0',
  MUSTER_LISTENERS_PLAIN_PORT: '0',
  MUSTER_LISTENERS_MTLS_PORT: '0',
  MUSTER_LISTENERS_TLS_PORT: '0',
  MUSTER_LISTENERS_ADMIN_PORT: '0',
};
