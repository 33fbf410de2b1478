import type { DataKeys } from '../../core/authority/data-keys.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { JobHandler } from '../../core/store/job-runner.ts';
import { enqueueJob, type JobPayload } from '../../core/store/jobs.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { type Channel, channelOf } from './channel-settings.ts';
import { findChannel } from './channels.ts';
import { tellByEmail } from './email.ts';
import type { Notification } from './notification.ts';
import { tellSyslog } from './syslog.ts';
import type { NotifyTables } from './tables.ts';
import { tellSlack, tellWebhook } from './webhook.ts';

/** The kind of job that tells one channel of one thing. */
export const DELIVER = 'deliver-notification';

/** A receiver that is away for about two days is given up; an operator may retry. */
const MAX_ATTEMPTS = 50;

/** What deliveries are made with. */
export interface DeliveryParts {
  readonly store: Store;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  /** Of Muster, for CEF. */
  readonly version: string;
}

/** Has every enabled channel of a tenant told, once the unit has committed. */
export async function notify(tx: Unit, tenant: string, notification: Notification): Promise<void> {
  const channels = await tx
    .forTenant<NotifyTables>(tenant)
    .selectFrom('notification_channels')
    .select('id')
    .where('enabled', '=', 1)
    .execute();
  for (const { id } of channels)
    await enqueueJob(tx, {
      kind: DELIVER,
      key: `${id}/${notification.id}`,
      payload: { tenant, channel: id, notification },
      maxAttempts: MAX_ATTEMPTS,
    });
}

/** Works on deliveries; the runner repeats what fails, and sets aside what fails for good. */
export function deliveryHandler(parts: DeliveryParts): JobHandler {
  return async (payload) => {
    const { tenant, channel: id, notification } = deliveryOf(payload);
    const row = await findChannel(durableRows(parts.store), tenant, id);
    // Deleted or switched off meanwhile: nobody wants to be told.
    if (row === undefined || row.enabled === 0) return;
    await deliver(parts, channelOf(row), notification);
  };
}

/** Tells one channel now. @throws DeliveryError when it cannot be told */
export async function deliver(parts: DeliveryParts, channel: Channel, notification: Notification): Promise<void> {
  const secret = await secretOf(parts, channel);
  switch (channel.kind) {
    case 'webhook':
      return tellWebhook(channel.settings.url, required(secret), notification, parts.store.clock.now());
    case 'slack':
      return tellSlack(required(secret), notification);
    case 'email':
      return tellByEmail(channel, secret, notification);
    case 'syslog':
      return tellSyslog(channel, notification, parts.version);
  }
}

/** Where the secret of a channel is sealed. */
export function channelPlace(id: string): { readonly table: string; readonly row: string } {
  return { table: 'notification_channels', row: id };
}

async function secretOf({ dataKeys }: DeliveryParts, { tenant, id, sealed }: Channel): Promise<Secret | undefined> {
  if (sealed === null) return undefined;
  return (await dataKeys.sealer(tenant)).open(channelPlace(id), sealed);
}

function required(secret: Secret | undefined): Secret {
  if (secret === undefined) throw new InternalError('a channel of this kind has a secret');
  return secret;
}

interface Delivery {
  readonly tenant: string;
  readonly channel: string;
  readonly notification: Notification;
}

/** The payload that {@link notify} wrote. */
function deliveryOf(payload: JobPayload): Delivery {
  return payload as JobPayload & Delivery;
}
