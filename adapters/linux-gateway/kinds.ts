import { PolicyError } from '../../core/errors/muster-error.ts';
import type { PlannedService } from '../sdk/plan.ts';
import { shellWord } from '../sdk/render.ts';

/** How a kind of service is told that its certificate changed. */
interface ServiceKind {
  /** Lines that fail when the service would not start with what is on disk; none where it cannot say. */
  readonly check: (service: PlannedService) => readonly string[];
  readonly reload: (service: PlannedService) => readonly string[];
}

/** nginx tests a configuration with its certificates before it takes it, and keeps the old one when it is broken. */
const nginx: ServiceKind = {
  check: ({ settings }) => [`nginx -t -q${configuration(settings.configFile)}`],
  reload: ({ settings }) => [`nginx -s reload${configuration(settings.configFile)}`],
};

/** stunnel and mosquitto read configuration and certificates again at SIGHUP, and say nothing. */
const hangUp: ServiceKind = {
  check: () => [],
  reload: ({ name, settings: { pidFile } }) => {
    if (pidFile === undefined) throw new PolicyError('policy-refused', `the service ${name} needs its pidFile`);
    return [`kill -HUP "$(cat ${shellWord(pidFile)})"`];
  },
};

/** uhttpd reads its certificate at its start alone. */
const uhttpd: ServiceKind = { check: () => [], reload: () => ['/etc/init.d/uhttpd restart'] };

/** Every kind that is known; `uhttpd` was never tried here. */
export const SERVICE_KINDS: Readonly<Record<string, ServiceKind>> = {
  nginx,
  stunnel: hangUp,
  mosquitto: hangUp,
  uhttpd,
};

function configuration(file: string | undefined): string {
  return file === undefined ? '' : ` -c ${shellWord(file)}`;
}
