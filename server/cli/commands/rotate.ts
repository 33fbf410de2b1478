import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session, SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount, readSecretFile } from '../values.ts';
import { printPlan, type ShownPlan } from './plan.ts';

interface AccessOptions {
  readonly host: string;
  readonly port?: number;
  readonly user: string;
  readonly keyFile?: string;
  readonly passwordFile?: string;
  readonly hostKey?: string;
  readonly trustFirstUse?: boolean;
}

interface ServiceOptions {
  readonly kind: string;
  readonly host: string;
  readonly port: number;
  readonly endpoint: string;
  readonly directory: string;
  readonly name?: readonly string[];
  readonly key?: string;
  readonly configFile?: string;
  readonly pidFile?: string;
  readonly group?: string;
}

interface PlannedStep {
  readonly id: string;
  readonly title: string;
  readonly danger: string;
  readonly sends: readonly string[];
  readonly undoes: readonly string[];
}

/** Milliseconds between two looks at a plan that is waited for. */
const LOOK_MS = 500;

const serviceColumns: readonly Column<{ name: string; kind: string; host: string; port: number; endpoint: string }>[] =
  [
    { title: 'name', value: (row) => row.name },
    { title: 'kind', value: (row) => row.kind },
    { title: 'host', value: (row) => row.host },
    { title: 'port', value: (row) => row.port },
    { title: 'endpoint', value: (row) => row.endpoint },
  ];

/** `muster device access|service-add|services|plan|rotate`: devices that do not enrol by themselves. */
export function rotationCommands(group: Command, sessionOf: SessionOf): void {
  addAccess(group, sessionOf);
  addServices(group, sessionOf);
  addPlanning(group, sessionOf);
}

function addAccess(group: Command, sessionOf: SessionOf): void {
  group
    .command('access <device>')
    .description('say how a device is reached over SSH (- reads the secret from the standard input)')
    .requiredOption('--host <host>', 'name or address')
    .option('--port <port>', 'SSH port', parseCount)
    .requiredOption('--user <name>', 'login')
    .addOption(new Option('--key-file <file>', 'private key').conflicts('passwordFile'))
    .option('--password-file <file>', 'its first line is the password')
    .addOption(
      new Option('--host-key <fingerprint>', 'SHA256:…, as ssh-keygen -lf prints it').conflicts('trustFirstUse'),
    )
    .option('--trust-first-use', 'take the first host key that is seen')
    .addHelpText(
      'after',
      '\nExample:\n  muster device access gw-1 --host 192.0.2.7 --user root --key-file id_ed25519 --host-key SHA256:…',
    )
    .action(async (name: string, options: AccessOptions, command: Command) => {
      const session = sessionOf(command);
      const { host, port, user: username, hostKey, trustFirstUse } = options;
      const body = { host, port, username, hostKey, trustFirstUse, ...credentialOf(options) };
      const path = `/devices/${await idOf(session, name)}/access`;
      session.printObject(await session.client().put<object>(path, body));
    });
}

function credentialOf({ keyFile, passwordFile }: AccessOptions): object {
  if (keyFile !== undefined) return { privateKey: readWhole(keyFile) };
  if (passwordFile === undefined) throw new CliError(EXIT.usage, 'expected --key-file or --password-file');
  return { password: passwordFile === '-' ? readWhole('-').split(/\r?\n/, 1)[0] : readSecretFile(passwordFile) };
}

function readWhole(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
  }
}

function addServices(group: Command, sessionOf: SessionOf): void {
  group
    .command('services <device>')
    .description('list what a device serves')
    .addHelpText('after', '\nExample:\n  muster device services gw-1')
    .action(async (name: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/devices/${await idOf(session, name)}/services`;
      const { items } = await session
        .client()
        .get<{ items: { name: string; kind: string; host: string; port: number; endpoint: string }[] }>(path);
      session.printRows(serviceColumns, items);
    });
  group
    .command('service-add <device> <service>')
    .description('add a service that shall get certificates')
    .addOption(
      new Option('--kind <kind>', 'software')
        .choices(['nginx', 'stunnel', 'mosquitto', 'uhttpd'])
        .makeOptionMandatory(),
    )
    .requiredOption('--host <host>', 'where it is looked at')
    .requiredOption('--port <port>', 'its TLS port', parseCount)
    .requiredOption('--endpoint <label>', 'endpoint, open for adapter')
    .requiredOption('--directory <path>', 'folder on the device with the link current')
    .option('--name <name...>', 'dns:… or ip:… of its certificate')
    .option('--key <kind>', 'ec-p256, ec-p384, rsa-2048 or rsa-3072')
    .option('--config-file <path>', 'nginx: its configuration')
    .option('--pid-file <path>', 'stunnel, mosquitto: its pid file')
    .option('--group <name>', 'Unix group that may read the key')
    .addHelpText(
      'after',
      '\nExample:\n  muster device service-add gw-1 web --kind nginx --host 192.0.2.7 --port 443 --endpoint gateways --directory /etc/nginx/muster --name dns:gw-1.example',
    )
    .action(async (device: string, service: string, options: ServiceOptions, command: Command) => {
      const session = sessionOf(command);
      const { name: names, kind, host, port, endpoint, directory, key, configFile, pidFile, group: readers } = options;
      const body = {
        name: service,
        kind,
        host,
        port,
        endpoint,
        directory,
        key,
        configFile,
        pidFile,
        group: readers,
        names,
      };
      session.printObject(
        await session.client().post<object>(`/devices/${await idOf(session, device)}/services`, body),
      );
    });
}

function addPlanning(group: Command, sessionOf: SessionOf): void {
  group
    .command('plan <device>')
    .description('show what a rotation would do; the device is not asked')
    .addHelpText('after', '\nExample:\n  muster device plan gw-1')
    .action(async (name: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/devices/${await idOf(session, name)}/plan`;
      const plan = await session.client().get<{ steps: readonly PlannedStep[] }>(path);
      if (session.options.json === true) session.printJson(plan);
      else session.print(plan.steps.map(textOf).join('\n'));
    });
  group
    .command('rotate <device>')
    .description('bring new certificates to every service of a device, or the old ones back')
    .option('--no-wait', 'return when it has begun')
    .addHelpText('after', '\nExample:\n  muster device rotate gw-1')
    .action(async (name: string, { wait }: { wait: boolean }, command: Command) => {
      const session = sessionOf(command);
      const client = session.client();
      let plan = await client.post<ShownPlan>(`/devices/${await idOf(session, name)}/rotate`, undefined);
      session.note(`plan ${plan.id}; if this is interrupted: muster plan show ${plan.id}`);
      while (wait && (plan.state === 'running' || plan.state === 'rolling-back')) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        plan = await client.get<ShownPlan>(`/plans/${plan.id}`);
      }
      printPlan(session, plan);
      if (wait && plan.state !== 'done')
        throw new CliError(EXIT.failed, `the plan ended as ${plan.state}`, plan.advice);
    });
}

function textOf({ id, title, danger, sends, undoes }: PlannedStep): string {
  const block = (heading: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `  ${heading}\n${lines.map((line) => `    ${line}\n`).join('')}`;
  return `${id}: ${title}${danger === 'none' ? '' : ` [${danger}]`}\n${block('sends', sends)}${block('undoes', undoes)}`;
}

/** Devices are named on the command line; who has an id may give that. */
async function idOf(session: Session, name: string): Promise<string> {
  const { items } = await session.client().list<{ id: string }>('/devices', { name }, 1);
  return encodeURIComponent(items[0]?.id ?? name);
}
