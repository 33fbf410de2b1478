import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { auditMigrations } from '../../../core/audit/migrations.ts';
import { insertAuthority, insertTenant } from '../../../core/authority/authorities.ts';
import { authorityMigrations } from '../../../core/authority/migrations.ts';
import { DEVICE_PROFILE } from '../../../core/authority/profile.ts';
import { insertProfile, ProfileDirectory } from '../../../core/authority/profiles.ts';
import { createEndpoint, StoredEndpoints } from '../../../core/enrollment/endpoints.ts';
import { enrollmentMigrations } from '../../../core/enrollment/migrations.ts';
import { secretHash } from '../../../core/enrollment/secrets.ts';
import { migrate } from '../../../core/store/migrations.ts';
import { openSqlite } from '../../../core/store/sqlite-store.ts';
import { storeMigrations } from '../../../core/store/store-migrations.ts';
import type { Store } from '../../../core/store/store.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import { inventoryMigrations } from '../../../devices/inventory/migrations.ts';
import type { Role, Scope } from '../../../server/api/access.ts';
import { registerApi } from '../../../server/api/api.ts';
import { CLOSED_ENDPOINT } from '../../../server/api/endpoint-schema.ts';
import { apiMigrations } from '../../../server/api/token-tables.ts';
import { createToken } from '../../../server/api/tokens.ts';
import { createAdminListener, type Listener } from '../../../server/http/listener.ts';
import { listen } from '../../../server/http/listening.ts';
import { createLog } from '../../../server/telemetry/log.ts';
import { Metrics } from '../../../server/telemetry/metrics.ts';
import { Telemetry } from '../../../server/telemetry/telemetry.ts';
import { listenerContext } from './listener-context.ts';
import { selfSigned } from './tls-identity.ts';

/** The objects of one tenant that tests ask for. */
export interface SeededTenant {
  readonly tenant: string;
  readonly endpoint: string;
  readonly authority: string;
  readonly device: string;
  readonly enrollment: string;
  readonly certificate: string;
}

const serverCertificate = selfSigned('ec');
const [caCertificate] = decodePem(selfSigned('ec', 'Test CA').chain);

/** An API over a store of its own with two tenants, `default` and `acme`, each with an object of every kind. */
export class ApiServer implements AsyncDisposable {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly logged: string[];
  readonly routes: readonly { readonly method: string; readonly url: string }[];
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

  static async start(requestsPerMinute = 0): Promise<ApiServer> {
    const folder = mkdtempSync(join(tmpdir(), 'muster-api-'));
    const store = await openSqlite({ file: join(folder, 'muster.db') });
    await migrate(store, [
      ...storeMigrations,
      ...auditMigrations,
      ...authorityMigrations,
      ...enrollmentMigrations,
      ...inventoryMigrations,
      ...apiMigrations,
    ]);
    for (const tenant of ['default', 'acme']) await seedTenant(store, tenant);
    const logged: string[] = [];
    const log = createLog('debug', { write: (line: string) => void logged.push(line) });
    const metrics = new Metrics({ version: 'test', tokens: () => [], store: () => store.statistics, eventLoopDelayMilliseconds: () => 0 });
    const listener = createAdminListener({ ...listenerContext({ bodyBytes: 1_048_576 }), logger: log }, { certificates: [serverCertificate] });
    const { app } = listener;
    const routes: { method: string; url: string }[] = [];
    app.addHook('onRoute', ({ method, url }) => {
      for (const name of [method].flat()) routes.push({ method: name, url });
    });
    await registerApi(app, {
      version: 'test',
      store,
      endpoints: new StoredEndpoints(store, new ProfileDirectory(store)),
      authorities: { caCertificates: () => Promise.resolve([caCertificate!.der]) },
      secretHash: secretHash(new Uint8Array(32)),
      auditPublicKey: new Uint8Array([0x30, 0x00]),
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
  request(token: string | undefined, method: InjectOptions['method'], url: string, body?: object, headers: Record<string, string> = {}) {
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return this.app.inject({ method: method!, url, headers: { ...authorization, ...headers }, ...(body && { payload: body }) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.close();
    await this.store.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** The ids of what {@link seedTenant} made. */
export function seeded(tenant: string): SeededTenant {
  return {
    tenant,
    endpoint: `${tenant}-routers`,
    authority: `ca-${tenant}`,
    device: `device-${tenant}`,
    enrollment: `enrollment-${tenant}`,
    certificate: `certificate-${tenant}`,
  };
}

async function seedTenant(store: Store, name: string): Promise<void> {
  const now = store.clock.now();
  const { tenant, authority, device, certificate, enrollment, endpoint: label } = seeded(name);
  await store.unit(async (tx) => {
    await insertTenant(tx, { id: tenant, name, created_at: now });
    const ca = { certificate: caCertificate!.der, spki_sha256: '00', key_uri: 'pkcs11:token=test', crl_shards: 1 };
    await insertAuthority(tx, { id: authority, tenant, name: 'Issuing CA', kind: 'issuing', parent: null, state: 'active', created_at: now, ...ca });
    await insertProfile(tx, { id: `profile-${name}`, tenant, name: 'device', settings: DEVICE_PROFILE }, now);
    const endpoint = await createEndpoint(
      tx,
      { tenant, label, profile: `profile-${name}`, authority, settings: CLOSED_ENDPOINT, isDefault: name === 'default' },
      now,
    );
    await insertRows(tx, { tenant, device, certificate, enrollment, authority, endpoint, now });
  });
}

async function insertRows(
  tx: Parameters<Parameters<Store['unit']>[0]>[0],
  row: { tenant: string; device: string; certificate: string; enrollment: string; authority: string; endpoint: string; now: number },
): Promise<void> {
  const { tenant, now } = row;
  await tx
    .db<Record<string, Record<string, unknown>>>()
    .insertInto('devices')
    .values({ id: row.device, tenant, name: 'router1', state: 'enrolled', certificate: row.certificate, certificate_not_after: now + 1e9, created_at: now, updated_at: now })
    .execute();
  await tx
    .db<Record<string, Record<string, unknown>>>()
    .insertInto('certificates')
    .values({
      ...{ id: row.certificate, tenant, kind: 'x509', authority: row.authority, serial_number: '01ab', device: row.device, profile: null, enrollment: null },
      ...{ subject: 'CN=router1', der: caCertificate!.der, fingerprint: `f-${tenant}`, spki_sha256: 'aa', key_algorithm: 'EC P-256', not_before: now, not_after: now + 1e9 },
      ...{ status: 'active', revoked_at: null, revocation_reason: null, replaced_by: null, source: 'issued', created_at: now },
    })
    .execute();
  await tx
    .db<Record<string, Record<string, unknown>>>()
    .insertInto('enrollments')
    .values({
      ...{ id: row.enrollment, tenant, endpoint: row.endpoint, endpoint_revision: 1, protocol: 'est', status: 'pending', idempotency_key: `key-${tenant}` },
      ...{ principal: 'password:1', device_name: 'router1', subject: 'CN=router1', names: '["dns:router1.example"]', spki_sha256: 'aa', server_generated: 0 },
      ...{ request: new Uint8Array([0x30, 0x00]), secret: null, authority: row.authority, profile: `profile-${tenant}`, serial_number: null, tbs: null },
      ...{ lease_owner: null, lease_until: null, certificate: null, replaces: null, reason: null, detail: null, decided_by: null },
      ...{ source_address: '192.0.2.1', created_at: now, updated_at: now, expires_at: now + 1e9 },
    })
    .execute();
}
