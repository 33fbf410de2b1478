import { randomBytes } from 'node:crypto';

import {
  type EnginePatience,
  type EngineParts,
  type PlanFaultPoint,
  retirePlan,
  runPlan,
} from '../../adapters/sdk/engine.ts';
import { putAccess } from '../../adapters/sdk/device-access.ts';
import { loadPlan, transcriptOf } from '../../adapters/sdk/journal.ts';
import { linuxGateway } from '../../adapters/linux-gateway/driver.ts';
import { adapterMigrations } from '../../adapters/sdk/migrations.ts';
import { PlanOffice } from '../../adapters/sdk/pusher.ts';
import { addService } from '../../adapters/sdk/services.ts';
import { type Sealer, sealer } from '../../core/keys/sealing.ts';
import { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import type { JobTurn } from '../../core/store/job-runner.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Engine } from '../../core/store/store.ts';
import { announceDevice } from '../../devices/inventory/announce.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from '../enrollment/site.ts';
import type { DeviceGateway, GatewayService } from '../fakes/device-gateway.ts';

/** Stops a turn as a crash would: nothing after it is recorded. */
class Crash extends Error {}

/** Where a turn is to be stopped, once. */
export interface CrashAt {
  readonly step: string;
  readonly point: PlanFaultPoint;
  readonly way?: 'apply' | 'compensate';
}

const PATIENCE: EnginePatience = { connectMs: 3_000, retryMs: 100, rollbackMs: 2_000, holdMs: 0 };

/** One device in the inventory of a site, with what brings certificates to it. */
export class GatewaySite implements AsyncDisposable {
  readonly site: Site;
  readonly tenant: SiteTenant;
  readonly device: string;
  readonly office: PlanOffice;
  /** Its data key is wrapped by no token: making an RSA key for each site would take most of the time. */
  readonly #sealer: Sealer;

  private constructor(site: Site, tenant: SiteTenant, device: string, deadManSeconds: number) {
    this.site = site;
    this.tenant = tenant;
    this.device = device;
    const dataKey = { number: 1, key: randomBytes(32) };
    this.#sealer = sealer(tenant.id, dataKey, [dataKey]);
    const { store, endpoints } = site;
    this.office = new PlanOffice({ store, endpoints, drivers: [linuxGateway], deadManSeconds });
  }

  static async open(engine: Engine, { deadManSeconds = 120 } = {}): Promise<GatewaySite> {
    const site = await Site.open(engine, adapterMigrations);
    const tenant = await site.tenant('gateways');
    await site.changeEndpoint(tenant.endpoint, {
      protocols: { ...OPEN_ENDPOINT.protocols, adapter: { authenticators: ['adapter'] } },
    });
    const id = newId();
    await site.store.unit((tx) => announceDevice(tx, { id, tenant: tenant.id, name: 'gw-1', now: Date.now() }));
    return new GatewaySite(site, tenant, id, deadManSeconds);
  }

  /** Says how the device is reached. */
  async reachBy(
    { sshPort, username, loginKey }: Pick<DeviceGateway, 'sshPort' | 'username' | 'loginKey'>,
    hostKey: string | null,
  ): Promise<void> {
    const draft = {
      tenant: this.tenant.id,
      device: this.device,
      driver: 'linux-gateway',
      host: '127.0.0.1',
      port: sshPort,
      username,
      host_key: hostKey,
      credential_kind: 'key',
      trustFirstUse: hostKey === null,
      credential: new Secret(loginKey),
    } as const;
    await this.site.store.unit((tx) => putAccess(tx, this.#sealer, draft, Date.now()));
  }

  /** Adds a service of the gateway. */
  async serve(name: string, { kind, port, directory, configFile, pidFile }: GatewayService): Promise<void> {
    const settings = { directory, key: 'ec-p256', configFile, pidFile };
    await this.site.store.unit((tx) =>
      addService(tx, {
        id: newId(),
        tenant: this.tenant.id,
        device: this.device,
        name,
        kind,
        host: '127.0.0.1',
        port,
        server_name: null,
        endpoint: this.tenant.endpoint.id,
        names: JSON.stringify(['dns:gw-1.example', 'ip:127.0.0.1']),
        settings: JSON.stringify(settings),
        created_at: Date.now(),
      }),
    );
  }

  rotate(): Promise<string> {
    return this.office.rotate(this.tenant.id, this.device, 'user:test');
  }

  /** One turn at a plan, until it ends or crashes. */
  async turn(plan: string, crash?: CrashAt, turn: Partial<JobTurn> = {}): Promise<void> {
    try {
      await runPlan(this.#parts(crash))({ tenant: this.tenant.id, plan }, { ...TURN, ...turn });
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
  }

  /** What is done after the hold time. */
  async retire(plan: string): Promise<void> {
    await retirePlan(this.#parts(undefined))({ tenant: this.tenant.id, plan }, TURN);
  }

  plan(id: string) {
    return loadPlan(this.site.store, this.tenant.id, id);
  }

  /** Rotates to the end, and returns how it ended. */
  async rotated() {
    const id = await this.rotate();
    await this.turn(id);
    return this.plan(id);
  }

  /** All that was said, in order. */
  async transcript(id: string): Promise<string> {
    const entries = await transcriptOf(durableRows(this.site.store), this.tenant.id, id, { limit: 1_000 });
    return entries.map(({ step, way, text }) => `${way} ${step}\n${text}`).join('');
  }

  #parts(crash: CrashAt | undefined): EngineParts {
    const { store, endpoints, credentials, hall, authorities } = this.site;
    let armed = crash;
    return {
      store,
      dataKeys: { sealer: () => Promise.resolve(this.#sealer) },
      endpoints,
      credentials,
      hall,
      authorities,
      patience: PATIENCE,
      faultPoint: async (step, point, way) => {
        if (armed?.step !== step || armed.point !== point || (armed.way ?? 'apply') !== way) return;
        armed = undefined;
        throw new Crash(`${step} ${point}`);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}

const TURN: JobTurn = {
  signal: new AbortController().signal,
  attempt: 1,
  fencingToken: 1,
  confirm: () => Promise.resolve(),
};
