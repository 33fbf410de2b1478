import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount, parseDuration, readSecretFile } from '../values.ts';

interface EnrollmentSecret {
  readonly id: string;
  readonly endpoint: string;
  readonly kind: string;
  readonly reference?: string;
  readonly username?: string;
  readonly subject?: string;
  readonly state: string;
  readonly expiresAt: string;
}

const columns: readonly Column<EnrollmentSecret>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'endpoint', value: (row) => row.endpoint },
  { title: 'kind', value: (row) => row.kind },
  { title: 'reference', value: (row) => row.reference },
  { title: 'user', value: (row) => row.username },
  { title: 'subject', value: (row) => row.subject },
  { title: 'state', value: (row) => row.state },
  { title: 'expires', value: (row) => row.expiresAt },
];

/** `muster secret …` */
export function secretCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('secret').description('secrets that devices enrol with');
  group
    .command('list')
    .description('list enrolment secrets (never their text)')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster secret list')
    .action((options: { limit: number }, command: Command) =>
      sessionOf(command).printList(columns, '/secrets', {}, options.limit),
    );
  addCreate(group, sessionOf);
  addDerive(group, sessionOf);
  group
    .command('revoke <id>')
    .description('revoke a secret that is not spent')
    .addHelpText('after', '\nExample:\n  muster secret revoke 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.client().delete(`/secrets/${encodeURIComponent(id)}`);
      session.confirm(`secret ${id} revoked`, { id });
    });
}

function addCreate(group: Command, sessionOf: SessionOf): void {
  group
    .command('create')
    .description('make an enrolment secret; its text is printed this once')
    .option('--endpoint <label>', 'endpoint it opens', 'default')
    .addOption(
      new Option(
        '--kind <kind>',
        'one request, one user, a list of devices, a key to derive challenges from, a MAC, a key for the decider, ACME accounts',
      )
        .choices(['one-time', 'device', 'static', 'derived', 'mac', 'decider', 'eab'])
        .default('one-time'),
    )
    .addOption(
      new Option('--usage <usage>', 'of a MAC secret or an EAB key: one request or account, or all').choices([
        'one-time',
        'device',
      ]),
    )
    .option('--username <name>', 'the only user name it goes with')
    .option('--subject <name>', 'the only device name it enrols')
    .option(
      '--allow <names...>',
      'devices a static secret enrols, or names an EAB key vouches for; * stands for any run of characters',
    )
    .option('--secret-file <file>', 'a static secret that was chosen (first line of the file); default: one is made')
    .option('--lifetime <duration>', 'default: a day for what serves once, a year for the rest', parseDuration)
    .addHelpText(
      'after',
      `
Examples:
  muster secret create --subject router1 --lifetime 2h
  muster secret create --kind device --username ap-17 --lifetime 1y
  muster secret create --kind static --allow 'branch-*' hub1 --secret-file challenge.txt
  muster secret create --kind mac --subject router1
  muster secret create --kind eab --subject router1.branch.example
  muster secret create --kind eab --usage device --allow '*.branch.example'
  muster secret create --kind derived`,
    )
    .action(async ({ allow, secretFile, lifetime, ...options }: CreateOptions, command: Command) => {
      const session = sessionOf(command);
      const body = {
        ...options,
        allowed: allow,
        ...(secretFile !== undefined && { secret: readSecretFile(secretFile) }),
        lifetimeSeconds: lifetime,
      };
      session.printObject(await session.client().post<object>('/secrets', body));
    });
}

interface CreateOptions {
  readonly endpoint: string;
  readonly kind: string;
  readonly usage?: string;
  readonly username?: string;
  readonly subject?: string;
  readonly allow?: readonly string[];
  readonly secretFile?: string;
  readonly lifetime?: number;
}

function addDerive(group: Command, sessionOf: SessionOf): void {
  group
    .command('derive <id>')
    .description('print the challenge of one device, from a key of kind derived')
    .requiredOption('--subject <name>', 'the device name')
    .option('--lifetime <duration>', 'it serves until the end of the day (UTC) this ends on', parseDuration, 86_400)
    .addHelpText('after', '\nExample:\n  muster secret derive 0190b2a4-… --subject router1 --lifetime 30d')
    .action(async (id: string, { subject, lifetime }: { subject: string; lifetime: number }, command: Command) => {
      const session = sessionOf(command);
      const path = `/secrets/${encodeURIComponent(id)}/derive`;
      session.printObject(await session.client().post<object>(path, { subject, lifetimeSeconds: lifetime }));
    });
}
