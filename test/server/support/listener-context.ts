import type { ListenerContext, ListenerLimits, ObservedRequest } from '../../../server/http/listener.ts';
import { createLog } from '../../../server/telemetry/log.ts';
import { Pressure } from '../../../server/http/pressure.ts';

const limits: ListenerLimits = {
  bodyBytes: 10_000,
  headersTimeoutSeconds: 1,
  requestTimeoutSeconds: 2,
  keepAliveSeconds: 5,
  connections: 0,
  connectionsPerSource: 0,
};

/** A listener context that keeps what it observes and logs. */
export interface RecordingContext extends ListenerContext {
  readonly observed: ObservedRequest[];
  readonly logged: string[];
}

/** A context for one test, with any limit changed. */
export function listenerContext(changed: Partial<ListenerLimits> = {}, pressure = new Pressure(0)): RecordingContext {
  const observed: ObservedRequest[] = [];
  const logged: string[] = [];
  return {
    logger: createLog('debug', { write: (line: string) => void logged.push(line) }),
    limits: { ...limits, ...changed },
    pressure,
    observe: (request) => void observed.push(request),
    observed,
    logged,
  };
}
