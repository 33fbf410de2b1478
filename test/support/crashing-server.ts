import type { FaultPoint } from '../../core/enrollment/issuance.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import { serve, type RunningServer } from '../../server/composition/serve.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import type { ListenerUrls } from '../../server/installation/announcement.ts';

/**
 * A program, not a module: the whole server as `npm start` composes it, with P-256 authorities and a place to die at.
 * Reads CrashingServerOptions from its first argument, tells its parent over the IPC channel when it listens, and ends
 * with its parent.
 */
export interface CrashingServerOptions {
  readonly dataFolder: string;
  /** Settings by the name of their environment variable. */
  readonly settings: Readonly<Record<string, string>>;
  /** Counts from the start; a message that is a Fault sets another one, which counts from then on. */
  readonly fault?: Fault;
  /** One-time passwords to make besides the device password. */
  readonly oneTimePasswords: number;
  readonly unsafeSynchronous?: 'OFF';
}

/** Where the server kills itself: when this point is reached for the `hit`-th time. */
export interface Fault {
  readonly point: FaultPoint;
  readonly hit: number;
}

/** What the parent learns once the server listens. */
export interface CrashingServerReady {
  readonly mtlsPort: number;
  readonly urls: ListenerUrls;
  readonly rootCertificate: string;
  /** Opens the default endpoint as often as one likes. */
  readonly device: Credential;
  /** Each opens it once. */
  readonly oneTime: readonly Credential[];
}

/** What a device authenticates with. */
export interface Credential {
  readonly username: string;
  readonly password: string;
}

const SECRET_LIFETIME_SECONDS = 3600;

async function main(options: CrashingServerOptions): Promise<void> {
  process.on('disconnect', () => process.exit(1));
  const { unsafeSynchronous } = options;
  const server = await serve(configuration(options), {
    algorithms: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' },
    ...(unsafeSynchronous && { sqlite: { unsafeSynchronous } }),
    faultPoint: dieAt(options.fault),
  });
  process.once('SIGTERM', () => void server.close().then(() => process.exit(0)));
  process.send?.(await ready(server, options));
}

function configuration({ dataFolder, settings }: CrashingServerOptions) {
  const noFlags = { portBase: undefined, readyFile: undefined, configFile: undefined, help: false };
  return loadConfiguration({ arguments: { ...noFlags, dataFolder }, environment: settings, folder: process.cwd() });
}

function dieAt(first: Fault | undefined): (reached: FaultPoint) => Promise<void> {
  let fault = first;
  let hits = 0;
  process.on('message', (armed) => {
    fault = armed as Fault;
    hits = 0;
  });
  return async (reached) => {
    if (reached === fault?.point && ++hits === fault.hit) process.kill(process.pid, 'SIGKILL');
  };
}

async function ready({ kernel, urls }: RunningServer, options: CrashingServerOptions): Promise<CrashingServerReady> {
  const { store, endpoints, secretHash } = kernel;
  const endpoint = await endpoints.resolve(undefined);
  if (!endpoint) throw new InternalError('there is no default endpoint');
  const common = {
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    lifetimeSeconds: SECRET_LIFETIME_SECONDS,
    createdBy: 'system:test',
  };
  return store.unit(async (tx) => {
    const now = store.clock.now();
    const username = 'fleet';
    const { secret: forAll } = await createSecret(tx, secretHash, now, { ...common, usage: 'device', username });
    const oneTime: Credential[] = [];
    for (let made = 0; made < options.oneTimePasswords; made += 1) {
      const { secret } = await createSecret(tx, secretHash, now, { ...common, usage: 'one-time' });
      oneTime.push({ username: `device-${made}`, password: secret.reveal() });
    }
    return {
      mtlsPort: Number(new URL(urls.mtls).port),
      urls,
      rootCertificate: `${options.dataFolder}/root.pem`,
      device: { username, password: forAll.reveal() },
      oneTime,
    };
  });
}

await main(JSON.parse(process.argv[2] ?? '{}') as CrashingServerOptions);
