import { UpstreamError } from '../../../core/errors/muster-error.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { linuxGateway } from '../../../adapters/linux-gateway/driver.ts';
import { DEAD_MAN_SECONDS, PlanOffice } from '../../../adapters/sdk/pusher.ts';
import { AuthorityOffice } from '../../../core/authority/authority-office.ts';
import { DataKeys } from '../../../core/authority/data-keys.ts';
import { AuthorityDirectory } from '../../../core/authority/directory.ts';
import { RolloverSightings } from '../../../core/authority/rollover-sightings.ts';
import { CaRollover } from '../../../core/authority/rollover.ts';
import { Rollovers } from '../../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../../core/authority/service-identities.ts';
import { ProfileDirectory } from '../../../core/authority/profiles.ts';
import { moveEndpoints, StoredEndpoints } from '../../../core/enrollment/endpoints.ts';
import { secretHash } from '../../../core/enrollment/secrets.ts';
import { Secret } from '../../../core/keys/secret.ts';
import type { Engine, Store } from '../../../core/store/store.ts';
import type { Role, Scope } from '../../../server/api/access.ts';
import { registerApi } from '../../../server/api/api.ts';
import { createToken } from '../../../server/api/tokens.ts';
import { openStore } from '../../../server/composition/storage.ts';
import { tenantPreparation } from '../../../server/installation/tenant-preparation.ts';
import { createAdminListener, type Listener } from '../../../server/http/listener.ts';
import { listen } from '../../../server/http/listening.ts';
import { createLog } from '../../../server/telemetry/log.ts';
import { Metrics } from '../../../server/telemetry/metrics.ts';
import { Telemetry } from '../../../server/telemetry/telemetry.ts';
import { FakeKeyStore } from '../../fakes/fake-key-store.ts';
import { freshDatabase } from '../../support/postgres.ts';
import { listenerContext } from './listener-context.ts';
import { seedCertificate, seedTenant } from './seed.ts';
import { selfSigned } from './tls-identity.ts';

const serverCertificate = selfSigned('ec');

/** Rollovers over a token that is empty: what they are and may be is tested elsewhere. */
function rolloverOf(store: Store) {
  const keys = new FakeKeyStore();
  const authorities = new AuthorityDirectory(store, keys, 'http://muster.example');
  const rollovers = new Rollovers({ store, authorities, report: () => undefined });
  const identities = new ServiceIdentities({ store, keys, authorities });
  const rollover = new CaRollover({ store, keys, rollovers, identities, moveEndpoints });
  return { rollover, sightings: new RolloverSightings({ store, rollovers }) };
}

/** A route as it was registered. */
export interface ServedRoute {
  readonly method: string;
  readonly url: string;
  readonly access: Scope | 'any' | 'public' | undefined;
  readonly about: 'tenant' | 'installation' | 'either';
}

/** An API over a store of its own with two tenants, `default` and `acme`, each with an object of every kind. */
export class ApiServer implements AsyncDisposable {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly logged: string[];
  readonly routes: readonly ServedRoute[];
  readonly #listener: Listener;
  readonly #folder: string;

  private constructor(listener: Listener, store: Store, folder: string, logged: string[], routes: ApiServer['routes']) {
    this.#listener = listener;
    this.app = listener.app;
    this.store = store;
    this.logged = logged;
    this.routes = routes;
    this.#folder = folder;
  }

  static async start(requestsPerMinute = 0, engine: Engine = 'sqlite'): Promise<ApiServer> {
    const folder = mkdtempSync(join(tmpdir(), 'muster-api-'));
    const store = await openStore(
      engine === 'sqlite'
        ? { engine, file: join(folder, 'muster.db') }
        : { engine, url: new Secret(await freshDatabase()) },
      () => undefined,
    );
    const keys = new FakeKeyStore();
    const office = new AuthorityOffice(keys, keys.health()[0]?.label ?? 'test');
    for (const tenant of ['default', 'acme']) await seedTenant(store, tenant);
    const logged: string[] = [];
    const log = createLog('debug', { write: (line: string) => void logged.push(line) });
    const metrics = new Metrics({
      version: 'test',
      tokens: () => [],
      store: () => store.statistics,
      eventLoopDelayMilliseconds: () => 0,
    });
    const listener = createAdminListener(
      { ...listenerContext({ bodyBytes: 1_048_576 }), logger: log },
      { certificates: [serverCertificate] },
    );
    const { app } = listener;
    const routes: ServedRoute[] = [];
    app.addHook('onRoute', ({ method, url, config = {} }) => {
      const { access, about = 'tenant' } = config;
      for (const name of [method].flat()) routes.push({ method: name, url, access, about });
    });
    const endpoints = new StoredEndpoints(store, new ProfileDirectory(store));
    await registerApi(app, {
      version: 'test',
      store,
      endpoints,
      authorities: { caCertificates: () => Promise.resolve([seedCertificate]), forget: () => undefined },
      office,
      prepareTenant: tenantPreparation(keys, office),
      credentials: { batch: noBatch },
      hall: { enroll: noBatch },
      plans: new PlanOffice({ store, endpoints, drivers: [linuxGateway], deadManSeconds: DEAD_MAN_SECONDS }),
      secretHash: secretHash(new Uint8Array(32)),
      dataKeys: new DataKeys(store, new FakeKeyStore()),
      auditPublicKey: new Uint8Array([0x30, 0x00]),
      deviceUrls: () => ({
        plain: 'http://muster.example:8080',
        mtls: 'https://muster.example:8443',
        tls: 'https://muster.example:8444',
      }),
      tlsRoot: seedCertificate,
      revocations: { look: () => Promise.resolve() },
      ...rolloverOf(store),
      doctor: () => Promise.resolve([{ check: 'test', state: 'ok', text: 'well' }]),
      telemetry: new Telemetry(log, metrics),
      metrics,
      requestsPerMinute,
    });
    await app.ready();
    return new ApiServer(listener, store, folder, logged, routes);
  }

  /** Listens on loopback and returns the folder that leads a command line there, like the server's data folder. */
  async listen(adminToken: string): Promise<string> {
    const port = await listen(this.#listener, { host: '127.0.0.1', port: 0 });
    writeFileSync(join(this.#folder, 'server.json'), JSON.stringify({ admin: `https://127.0.0.1:${port}` }));
    writeFileSync(join(this.#folder, 'admin-token'), `${adminToken}\n`);
    writeFileSync(join(this.#folder, 'root.pem'), serverCertificate.chain);
    return this.#folder;
  }

  /** A bearer token's text. */
  async token(role: Role, tenant?: string, scopes?: readonly Scope[], lifetimeSeconds?: number): Promise<string> {
    const request = { label: role, role, tenant, scopes, lifetimeSeconds, createdBy: 'test:test' };
    const { token } = await this.store.unit((tx) => createToken(tx, this.store.clock.now(), request));
    return token.reveal();
  }

  /** Sends a request, with a bearer token where one is given. */
  request(
    token: string | undefined,
    method: InjectOptions['method'],
    url: string,
    body?: object,
    headers: Record<string, string> = {},
  ) {
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return this.app.inject({
      method: method!,
      url,
      headers: { ...authorization, ...headers },
      ...(body && { payload: body }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.store.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** This server has no authority to issue by. */
function noBatch(): never {
  throw new UpstreamError('hsm-unavailable', 'this server issues nothing');
}
