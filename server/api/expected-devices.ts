import { Type } from 'typebox';
import { InternalError, PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { announce, findExpected, listExpected } from '../../devices/inventory/expected-devices.ts';
import { deviceOfJson, ManifestFault } from '../../devices/inventory/manifest-line.ts';
import { blockExpected, expectAgain, type OwnershipChange, releaseDevice } from '../../devices/inventory/ownership.ts';
import { EXPECTED_STATES, type ExpectedDeviceRow } from '../../devices/inventory/tables.ts';
import { actOnResource, createResource } from './resource-changes.ts';
import { keyParameter, readResource, type ResourceKind } from './resource.ts';
import type { ApiScope } from './type-provider.ts';
import { present, timestamp, timeText } from './views.ts';

const sha256 = (description: string) =>
  Type.String({ description, pattern: '^[0-9a-f]{64}$', examples: ['9f'.repeat(32)] });
const state = Type.Enum(EXPECTED_STATES);

const announced = {
  serialNumber: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  ekSha256: Type.Optional(sha256('Of the SubjectPublicKeyInfo of the TPM’s endorsement key.')),
  idevidSha256: Type.Optional(sha256('Of the SubjectPublicKeyInfo of the IDevID, or of the Matter DAC.')),
  vendorId: Type.Optional(Type.String({ description: 'Matter.', pattern: '^[0-9A-F]{4}$', examples: ['FFF1'] })),
  productId: Type.Optional(Type.String({ description: 'Matter.', pattern: '^[0-9A-F]{4}$', examples: ['FFF1'] })),
  model: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  name: Type.Optional(
    Type.String({
      description: 'How its requests name it, where not by its serial number.',
      minLength: 1,
      maxLength: 255,
    }),
  ),
};

const view = Type.Object({
  id: Type.String(),
  ...announced,
  state,
  enrollment: Type.Optional(Type.String({ description: 'The enrolment that its evidence admitted.' })),
  device: Type.Optional(Type.String({ description: 'Id of the device, once it has a certificate.' })),
  manifest: Type.Optional(Type.String({ description: 'Id of the manifest it came with.' })),
  createdAt: timestamp('When it was announced.'),
  updatedAt: timestamp('When it last changed.'),
});

const kind: ResourceKind<ExpectedDeviceRow, typeof view> = {
  noun: 'expected device',
  path: '/expected-devices',
  tag: 'devices',
  key: keyParameter,
  access: { read: 'devices:read', write: 'devices:write' },
  view,
  viewOf,
  keyOf: ({ id }) => id,
  find: findExpected,
};

const nothing = Type.Object({}, { additionalProperties: false, default: {} });

/** Expected devices: what manifests announce, and how far each came. */
export function expectedDeviceRoutes(app: ApiScope, store: Store): void {
  const { serialNumber, ekSha256, idevidSha256 } = announced;
  readResource(app, store, kind, {
    filters: {
      state: Type.Optional(state),
      serialNumber,
      ekSha256,
      idevidSha256,
      manifest: Type.Optional(Type.String({ maxLength: 64 })),
    },
    read: (rows, tenant, page, { state: wanted, serialNumber: serial, ekSha256: ek, idevidSha256: idevid, manifest }) =>
      listExpected(rows, tenant, {
        ...page,
        state: wanted,
        serialNumber: serial,
        ekSha256: ek,
        idevidSha256: idevid,
        manifest,
      }),
    cursorOf: ({ id }) => id,
  });
  createResource(app, store, kind, {
    summary: 'Expect one device',
    body: Type.Object(announced, { additionalProperties: false }),
    create: async (draft, { tenant, at }) => {
      const device = announcedBy(draft);
      return async (tx) => {
        const [outcome] = await announce(tx, { tenant, manifest: null, devices: [device], at });
        if (outcome === undefined) throw new InternalError('nothing became of an announced device');
        if (outcome.kind === 'conflict')
          throw new StateError('conflict', 'something of it is known of another device, or otherwise of this one');
        return outcome.id;
      };
    },
  });
  addAction(app, store, 'release', 'Let a device go: revoke its certificates and admit it no more', releaseDevice);
  addAction(app, store, 'expect', 'Expect a device anew, after a repair, a reset or its return', expectAgain);
  addAction(app, store, 'block', 'Issue nothing more to a device, whatever it shows', blockExpected);
}

const DONE = { release: 'released', expect: 'expected', block: 'blocked' } as const;

function addAction(
  app: ApiScope,
  store: Store,
  verb: keyof typeof DONE,
  summary: string,
  change: (tx: Unit, row: ExpectedDeviceRow, by: OwnershipChange) => Promise<void>,
): void {
  actOnResource(app, store, kind, {
    verb,
    done: DONE[verb],
    summary,
    body: nothing,
    apply:
      async (_body, { tenant, actor, at }) =>
      (tx, row) =>
        change(tx, row, { tenant, actor, at }),
  });
}

/** One device as a line of a manifest says it: by the same rules. */
function announcedBy(draft: object) {
  try {
    return deviceOfJson(JSON.stringify(draft));
  } catch (error) {
    if (error instanceof ManifestFault) throw new PeerError('malformed-request', error.message);
    throw error;
  }
}

function viewOf(row: ExpectedDeviceRow) {
  return {
    id: row.id,
    ...present('serialNumber', row.serial_number),
    ...present('ekSha256', row.ek_sha256),
    ...present('idevidSha256', row.idevid_sha256),
    ...present('vendorId', row.vendor_id),
    ...present('productId', row.product_id),
    ...present('model', row.model),
    ...present('name', row.name),
    state: row.state,
    ...present('enrollment', row.enrollment),
    ...present('device', row.device),
    ...present('manifest', row.manifest),
    createdAt: timeText(row.created_at),
    updatedAt: timeText(row.updated_at),
  };
}
