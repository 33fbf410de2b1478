import { type Command, Option } from 'commander';
import { ROLES, SCOPES } from '../../api/access.ts';
import type { OfflineTokenOptions } from '../offline-token.ts';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount, parseDuration } from '../values.ts';

interface TokenView {
  readonly id: string;
  readonly label: string;
  readonly role: string;
  readonly tenant?: string;
  readonly state: string;
  readonly expiresAt?: string;
  readonly lastUsedAt?: string;
}

const columns: readonly Column<TokenView>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'label', value: (row) => row.label },
  { title: 'role', value: (row) => row.role },
  { title: 'tenant', value: (row) => row.tenant ?? 'all' },
  { title: 'state', value: (row) => row.state },
  { title: 'expires', value: (row) => row.expiresAt ?? 'never' },
  { title: 'last used', value: (row) => row.lastUsedAt },
];

/** `muster token …` */
export function tokenCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('token').description('bearer tokens for the REST API and this program');
  group
    .command('list')
    .description('list tokens (never their text)')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster token list')
    .action((options: { limit: number }, command: Command) =>
      sessionOf(command).printList(columns, '/tokens', {}, options.limit),
    );
  addCreate(group, sessionOf);
  group
    .command('revoke <id>')
    .description('revoke a token at once')
    .addHelpText('after', '\nExample:\n  muster token revoke 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.client().delete(`/tokens/${encodeURIComponent(id)}`);
      session.confirm(`token ${id} revoked`, { id });
    });
}

interface CreateOptions extends OfflineTokenOptions {
  readonly offline: boolean;
  readonly user?: string;
}

function addCreate(group: Command, sessionOf: SessionOf): void {
  group
    .command('create')
    .description('make a token; its text is printed this once')
    .requiredOption('--label <text>', 'whose it is or what for')
    .addOption(new Option('--role <role>', 'the most it may do').choices(ROLES).makeOptionMandatory())
    .addOption(new Option('--scope <scope...>', 'narrow the role to these').choices(SCOPES))
    .option('--user <name>', 'whose it is: it never does more than that user may')
    .option('--lifetime <duration>', 'how long it is valid (default: until revoked)', parseDuration)
    .option('--offline', 'without the server, on its own host, through its database (when every token is lost)', false)
    .option('--config <file>', 'with --offline: the configuration file of the server')
    .addHelpText(
      'after',
      '\nExamples:\n  muster token create --label prometheus --role auditor --scope metrics:read\n  muster token create --label alice --role operator --lifetime 90d --tenant acme\n  muster token create --label rescue --role admin --lifetime 1h --offline',
    )
    .action(async (options: CreateOptions, command: Command) => {
      const session = sessionOf(command);
      if (options.offline) {
        // Loaded here alone: the database drivers would slow down every other command.
        const { createTokenOffline } = await import('../offline-token.ts');
        return createTokenOffline(session, options);
      }
      const { label, role, user, scope: scopes, lifetime: lifetimeSeconds } = options;
      session.printObject(
        await session.client().post<object>('/tokens', { label, role, user, scopes, lifetimeSeconds }),
      );
    });
}
