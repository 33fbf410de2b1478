import { type EventFields, type EventName, EVENTS } from './events.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Where events of the process go: one call writes the log line and counts. The audit entry stands in its unit of work. */
export class Telemetry {
  readonly log: Log;
  readonly metrics: Metrics;

  constructor(log: Log, metrics: Metrics) {
    this.log = log;
    this.metrics = metrics;
  }

  /** Records an event; its severity is that of the table of events. */
  event(name: EventName, fields: EventFields = {}): void {
    this.log[EVENTS[name]]({ event: name, ...fields });
    this.metrics.countEvent(name);
  }
}
