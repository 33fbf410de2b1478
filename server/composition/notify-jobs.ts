import type { JobHandler } from '../../core/store/job-runner.ts';
import type { Schedule } from '../../core/store/schedule.ts';
import { DELIVER, type DeliveryParts, deliveryHandler } from '../notify/delivery.ts';
import { type ExpiryWindow, watchExpiry } from '../notify/expiry-watch.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

const WATCH = 'watch-expiry';
const WATCH_EVERY_MS = 60_000;

/** The jobs that announce certificates which are about to end. */
export function notifyJobs(
  parts: DeliveryParts,
  window: ExpiryWindow,
  telemetry: Telemetry,
): { readonly handlers: Readonly<Record<string, JobHandler>>; readonly schedules: readonly Schedule[] } {
  return {
    handlers: {
      [DELIVER]: deliveryHandler(parts),
      [WATCH]: () => watchExpiry(parts.store, window, (event, fields) => telemetry.event(event, fields)),
    },
    schedules: [{ name: WATCH, kind: WATCH, payload: {}, everyMs: WATCH_EVERY_MS }],
  };
}
