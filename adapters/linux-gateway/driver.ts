import { PolicyError } from '../../core/errors/muster-error.ts';
import type { FailureCode } from '../sdk/failure.ts';
import type { Action, Driver, Phase, PlanContext, PlanStep, PlannedService } from '../sdk/plan.ts';
import { SERVICE_KINDS } from './kinds.ts';
import * as scripts from './scripts.ts';

/** Seconds the clock of a device may be off: our certificates begin this long before now. */
const CLOCK_LIMIT_SECONDS = 300;
/** Seconds within which a service must serve what it was told to. */
const SERVED_WITHIN_SECONDS = 15;
const COMMAND_SECONDS = 30;
/** Making RSA keys takes small boxes minutes. */
const KEY_SECONDS = 300;

/**
 * Linux gateways over SSH: keys made on the device by openssl, a folder a version, one link that is flipped, a reload. Tried
 * with OpenSSH's sshd, nginx, stunnel and mosquitto on one machine; see adapters/README.md.
 */
export const linuxGateway: Driver = {
  id: 'linux-gateway',
  title: 'Linux gateway (nginx, stunnel, mosquitto, uhttpd)',
  maturity: 'lab',
  services: Object.keys(SERVICE_KINDS),
  plan(context) {
    const all = context.services.map((service) => stepsOf(context, requireUsable(context, service)));
    const of = (...phases: readonly Phase[]) =>
      all.flatMap((steps) => steps.filter(({ phase }) => phases.includes(phase)));
    return {
      driver: 'linux-gateway',
      // Everything that can fail without touching a service comes first; then one service after the other; nothing is final before all are.
      steps: [
        ...of('discover'),
        ...of('key', 'csr', 'sign', 'install'),
        ...of('arm-rollback', 'bind', 'probe'),
        ...of('finalize'),
        ...of('retire'),
      ],
      services: Object.fromEntries(context.services.map(({ name, at }) => [name, at])),
    };
  },
};

function requireUsable({ device }: PlanContext, service: PlannedService): PlannedService {
  const refuse = (message: string): never => {
    throw new PolicyError('policy-refused', `service ${service.name}: ${message}`);
  };
  if (!Object.hasOwn(SERVICE_KINDS, service.kind)) refuse(`linux-gateway knows no ${service.kind}`);
  // openssl reads "/" and "+" in -subj, and "," in subjectAltName, as syntax.
  if (!/^[A-Za-z0-9][A-Za-z0-9 ._:@-]{0,62}$/.test(device)) refuse('the name of the device does not fit into a CN');
  for (const name of service.names) {
    if (!/^(dns:[A-Za-z0-9.*_-]+|ip:[0-9a-fA-F.:]+)$/i.test(name)) refuse(`${name} is no dns: or ip: name`);
  }
  return service;
}

function stepsOf(context: PlanContext, service: PlannedService): readonly PlanStep[] {
  // Short, and in the order of plans: ids are UUIDv7.
  const place = { service, version: `muster-${context.planId}` };
  const run = (script: string, more: Partial<Extract<Action, { do: 'run' }>> = {}): Action => ({
    do: 'run',
    script,
    failures: scripts.STATUS as Readonly<Record<string, FailureCode>>,
    timeoutSeconds: COMMAND_SECONDS,
    ...more,
  });
  const step = (
    phase: Phase,
    title: string,
    actions: readonly Action[],
    compensation: readonly Action[] = [],
  ): PlanStep => ({
    id: `${service.name}/${phase}`,
    phase,
    service: service.name,
    title,
    danger: phase === 'bind' ? 'service-reload' : 'none',
    actions,
    compensation,
  });
  const { name, at, settings, endpoint, names } = service;
  return [
    step('discover', `look at ${name}: clock, room, what it serves`, [
      run(scripts.discover(place), { captures: DISCOVERED }),
      { do: 'clock', value: 'clock', limitSeconds: CLOCK_LIMIT_SECONDS },
      { do: 'look', at, into: 'served' },
      { do: 'compare', values: ['served', 'filed'], failure: 'served-is-another' },
    ]),
    step(
      'key',
      `make a key of ${settings.key} on the device`,
      [run(scripts.makeKey(place), { timeoutSeconds: KEY_SECONDS })],
      [run(scripts.discard(place))],
    ),
    step('csr', 'have the device ask for a certificate', [
      run(scripts.makeRequest(place, context.device), { whole: 'csr' }),
    ]),
    step('sign', `issue at endpoint ${endpoint}`, [{ do: 'enroll', endpoint, commonName: context.device, names }]),
    step('install', 'put the certificate beside its key', [
      { do: 'put', path: `${settings.directory}/versions/${place.version}/certificate.pem`, value: 'certificate' },
      run(scripts.matchKey(place)),
    ]),
    step(
      'arm-rollback',
      `have the device put the old one back by itself in ${context.deadManSeconds} s`,
      [run(scripts.arm(place, context.deadManSeconds))],
      [run(scripts.standDown(place))],
    ),
    step('bind', `flip ${name} to the new certificate`, [run(scripts.bind(place))], [run(scripts.unbind(place))]),
    step('probe', `see from outside that ${name} serves it`, [
      { do: 'await', at, value: 'leaf', timeoutSeconds: SERVED_WITHIN_SECONDS },
      run(scripts.readBack(place), { captures: { readBack: FINGERPRINT } }),
      { do: 'compare', values: ['readBack', 'leaf'], failure: 'not-served' },
    ]),
    step('finalize', `confirm ${name}: the device keeps it`, [run(scripts.confirm(place))]),
    step('retire', 'take the old key and certificate away', [run(scripts.retire(place))]),
  ];
}

const FINGERPRINT = '[0-9a-f]{64}';
const DISCOVERED = { clock: '\\d{9,11}', old: '[A-Za-z0-9_./][A-Za-z0-9_./-]{0,199}', filed: FINGERPRINT };
