import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount, parseDuration } from '../values.ts';

interface EnrollmentSecret {
  readonly id: string;
  readonly endpoint: string;
  readonly usage: string;
  readonly username?: string;
  readonly subject?: string;
  readonly state: string;
  readonly expiresAt: string;
}

const columns: readonly Column<EnrollmentSecret>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'endpoint', value: (row) => row.endpoint },
  { title: 'usage', value: (row) => row.usage },
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
      new Option('--usage <usage>', 'admits one request, or all of one user')
        .choices(['one-time', 'device'])
        .default('one-time'),
    )
    .option('--username <name>', 'the only user name it goes with')
    .option('--subject <name>', 'the only device name it enrols')
    .option('--lifetime <duration>', 'how long it may be used first', parseDuration, 86_400)
    .addHelpText(
      'after',
      '\nExamples:\n  muster secret create --subject router1 --lifetime 2h\n  muster secret create --usage device --username ap-17 --lifetime 1y',
    )
    .action(async (options: { lifetime: number } & Record<string, unknown>, command: Command) => {
      const session = sessionOf(command);
      const { endpoint, usage, username, subject, lifetime } = options;
      session.printObject(
        await session
          .client()
          .post<object>('/secrets', { endpoint, usage, username, subject, lifetimeSeconds: lifetime }),
      );
    });
}
