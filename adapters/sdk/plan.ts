import type { FailureCode } from './failure.ts';

/** What a step is for, in the order of a rotation. */
export const PHASES = [
  'discover',
  'key',
  'csr',
  'sign',
  'install',
  'arm-rollback',
  'bind',
  'probe',
  'finalize',
  'retire',
] as const;
export type Phase = (typeof PHASES)[number];

/** Where a TLS service is looked at from outside. */
export interface ServiceAddress {
  readonly host: string;
  readonly port: number;
  /** For server name indication; absent: none is sent. */
  readonly serverName?: string;
}

/**
 * One thing that is done. Plain data: what a plan shows is what the engine does. Texts in scripts may hold `{{name}}`: the value
 * that an earlier action found, quoted for the shell.
 */
export type Action =
  | {
      /** A POSIX shell script, run with -eu and no input. */
      readonly do: 'run';
      readonly script: string;
      /** Lines `name=value` of its output that become values, with the pattern (of the whole value) they must match. */
      readonly captures?: Readonly<Record<string, string>>;
      /** The value that its whole output becomes: a PEM block. */
      readonly whole?: string;
      /** What its exit statuses mean; any other is `command-failed`. */
      readonly failures?: Readonly<Record<string, FailureCode>>;
      readonly timeoutSeconds: number;
    }
  | {
      /** Writes a value to a file, whole or not at all, and compares its SHA-256. */
      readonly do: 'put';
      readonly path: string;
      readonly value: string;
    }
  | {
      /** Has the request in the value `csr` issued; makes the values `certificate` (PEM, leaf first), `leaf` (SHA-256), `certificateId`. */
      readonly do: 'enroll';
      /** Label. */
      readonly endpoint: string;
      readonly commonName: string;
      /** Texts of GeneralName, as the request must hold them. */
      readonly names: readonly string[];
    }
  | {
      /** A new TLS handshake; makes the value `into`: the SHA-256 of the certificate that is served. */
      readonly do: 'look';
      readonly at: ServiceAddress;
      readonly into: string;
    }
  | {
      /** New TLS handshakes until the certificate with this value's SHA-256 is served. */
      readonly do: 'await';
      readonly at: ServiceAddress;
      readonly value: string;
      readonly timeoutSeconds: number;
    }
  | {
      /** Two values must be equal. */
      readonly do: 'compare';
      readonly values: readonly [string, string];
      readonly failure: FailureCode;
    }
  | {
      /** A value in epoch seconds must be near our time. */
      readonly do: 'clock';
      readonly value: string;
      readonly limitSeconds: number;
    };

/** One step: idempotent, so that it may be done again after a crash. */
export interface PlanStep {
  /** `service/phase`: unique in the plan. */
  readonly id: string;
  readonly phase: Phase;
  /** Name of the service. */
  readonly service: string;
  readonly title: string;
  readonly danger: 'none' | 'service-reload';
  readonly actions: readonly Action[];
  /** What undoes it, also when it was done in part or not at all. */
  readonly compensation: readonly Action[];
}

/** A service of a device that serves a certificate. */
export interface PlannedService {
  readonly name: string;
  readonly kind: string;
  readonly at: ServiceAddress;
  /** Label of the endpoint its certificates come from. */
  readonly endpoint: string;
  /** Texts of GeneralName for its certificate. */
  readonly names: readonly string[];
  readonly settings: ServiceSettings;
}

/** What a driver must know of a service. */
export interface ServiceSettings {
  /** Absolute folder with the link `current`. */
  readonly directory: string;
  readonly key: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-3072';
  /** Absolute path of its configuration file. */
  readonly configFile?: string;
  /** Absolute path of the file with its process id. */
  readonly pidFile?: string;
  /** Unix group that may read the key. */
  readonly group?: string;
}

/** What a plan is made from: nothing of it is read from the device. */
export interface PlanContext {
  readonly planId: string;
  readonly device: string;
  readonly services: readonly PlannedService[];
  /** Seconds after which the device puts the old certificate back by itself unless the new one was confirmed. */
  readonly deadManSeconds: number;
}

/** What a rotation would do: JSON, the same for the same input. */
export interface Plan {
  readonly driver: string;
  readonly steps: readonly PlanStep[];
  /** How each service is looked at, for the proof at the end of a rollback: name → address. */
  readonly services: Readonly<Record<string, ServiceAddress>>;
}

/** How far a driver was tried: against our own fake, a real implementation here, or devices in use. */
export type Maturity = 'simulated' | 'lab' | 'field';

/** A platform. Its `plan` is pure: no I/O, no clock. */
export interface Driver {
  readonly id: string;
  readonly title: string;
  readonly maturity: Maturity;
  /** Kinds of services it can bring certificates to. */
  readonly services: readonly string[];
  /** @throws PolicyError `policy-refused` for a service that it cannot do. */
  plan(context: PlanContext): Plan;
}
