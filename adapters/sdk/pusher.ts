import { PeerError, PolicyError, StateError } from '../../core/errors/muster-error.ts';
import type { StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import { newId } from '../../core/store/id.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store } from '../../core/store/store.ts';
import { getDevice } from '../../devices/inventory/devices.ts';
import type { CertificatePusher } from '../../devices/pusher.ts';
import { findAccess } from './device-access.ts';
import { openPlan } from './journal.ts';
import type { Driver, Plan } from './plan.ts';
import { listServices, plannedService } from './services.ts';
import type { AdapterTables } from './tables.ts';

/** What plans are made from. */
export interface PlanningParts {
  readonly store: Store;
  readonly endpoints: Pick<StoredEndpoints, 'list'>;
  readonly drivers: readonly Driver[];
  /** Seconds of the timer on the device. */
  readonly deadManSeconds: number;
}

/** Seconds after which a device puts the old certificate back, unless it is told to keep the new one. */
export const DEAD_MAN_SECONDS = 300;

/** Plans rotations and starts them. */
export class PlanOffice implements CertificatePusher {
  readonly #parts: PlanningParts;

  constructor(parts: PlanningParts) {
    this.#parts = parts;
  }

  /** The driver of this id. */
  driver(id: string): Driver | undefined {
    return this.#parts.drivers.find((driver) => driver.id === id);
  }

  get drivers(): readonly Driver[] {
    return this.#parts.drivers;
  }

  /**
   * What {@link CertificatePusher.rotate} would do, from what is stored: the device is not asked.
   * @throws as `rotate` does.
   */
  async plan(tenant: string, device: string, planId: string = newId()): Promise<Plan> {
    return (await this.#draft(tenant, device, planId)).plan;
  }

  async rotate(tenant: string, device: string, actor: string): Promise<string> {
    const { store } = this.#parts;
    const id = newId();
    const { plan, name } = await this.#draft(tenant, device, id);
    await store.unit(async (tx) => {
      const held = await tx
        .forTenant<AdapterTables>(tenant)
        .selectFrom('plans')
        .select('id')
        .where('holds', '=', device)
        .executeTakeFirst();
      if (held) throw new StateError('conflict', `plan ${held.id} of this device is under way`);
      await openPlan(tx, { id, tenant, device, device_name: name, created_by: actor }, plan, store.clock.now());
    });
    return id;
  }

  async #draft(tenant: string, id: string, planId: string): Promise<{ readonly plan: Plan; readonly name: string }> {
    const { store, endpoints, deadManSeconds } = this.#parts;
    const device = await getDevice(store, tenant, id);
    if (device === undefined) throw new PeerError('not-found', 'no such device');
    const rows = durableRows(store);
    const access = await findAccess(rows, tenant, id);
    const driver = access && this.driver(access.driver);
    if (driver === undefined) throw new PolicyError('policy-refused', 'nothing is known of how to reach the device');
    const services = await listServices(rows, tenant, id);
    if (services.length === 0) throw new PolicyError('policy-refused', 'the device has no services');
    const labels = new Map((await endpoints.list(tenant)).map((endpoint) => [endpoint.id, endpoint.label]));
    const planned = services.map((row) => plannedService(row, labels));
    return { plan: driver.plan({ planId, device: device.name, services: planned, deadManSeconds }), name: device.name };
  }
}
