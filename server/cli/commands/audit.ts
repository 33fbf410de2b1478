import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount } from '../values.ts';
import { addAuditVerification } from './audit-verification.ts';

interface Entry {
  readonly index: number;
  readonly intact: boolean;
  readonly at?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly object?: string;
  readonly outcome?: string;
}

const columns: readonly Column<Entry>[] = [
  { title: 'index', value: (row) => row.index },
  { title: 'at', value: (row) => row.at },
  { title: 'action', value: (row) => (row.intact ? row.action : 'NOT AS RECORDED') },
  { title: 'outcome', value: (row) => row.outcome },
  { title: 'object', value: (row) => row.object },
  { title: 'actor', value: (row) => row.actor },
];

/** The flag that chooses a log. */
function logOption(): Option {
  return new Option('--log <log>', 'the log of the tenant, or that of the installation')
    .choices(['tenant', 'installation'])
    .default('tenant');
}

/** `muster audit …` */
export function auditCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('audit').description('what was done by whom, and the proof that nobody changed it');
  addList(group, sessionOf);
  addExport(group, sessionOf);
  addCheckpoint(group, sessionOf);
  addAuditVerification(group, sessionOf, logOption());
}

function addList(group: Command, sessionOf: SessionOf): void {
  group
    .command('list')
    .description('list entries, newest first')
    .addOption(logOption())
    .option('--action <action>', 'only these, as noun.verb')
    .option('--object <object>', 'only about this one, as kind:id')
    .option('--limit <n>', 'at most this many', parseCount, 50)
    .addHelpText(
      'after',
      '\nExamples:\n  muster audit list --action certificate.issued\n  muster audit list --log installation --json',
    )
    .action(
      (
        { limit, log, action, object }: { limit: number; log: string; action?: string; object?: string },
        command: Command,
      ) => sessionOf(command).printList(columns, '/audit', { log, action, object }, limit),
    );
}

function addExport(group: Command, sessionOf: SessionOf): void {
  group
    .command('export')
    .description('write a whole log, newline-delimited JSON, for `audit verify --entries`')
    .addOption(logOption())
    .option('--out <file>', 'write to a file instead of standard output')
    .addHelpText('after', '\nExample:\n  muster audit export --out audit.ndjson')
    .action(async ({ log, out }: { log: string; out?: string }, command: Command) => {
      const session = sessionOf(command);
      const body = await session.client().stream('/audit/export', { log });
      const target = out === undefined ? session.terminal.stdout : createWriteStream(out, { mode: 0o600 });
      await pipeline(body, target, { end: out !== undefined });
    });
}

function addCheckpoint(group: Command, sessionOf: SessionOf): void {
  group
    .command('checkpoint')
    .description(
      'print the newest signed checkpoint: keep it elsewhere, and `audit verify --since` proves the log continues it',
    )
    .addOption(logOption())
    .addHelpText('after', '\nExample:\n  muster audit checkpoint > yesterday.checkpoint')
    .action(async ({ log }: { log: string }, command: Command) => {
      const session = sessionOf(command);
      const body = await session.client().stream('/audit/checkpoint', { log });
      await pipeline(body, session.terminal.stdout, { end: false });
    });
  group
    .command('key')
    .description('print the public key that signs checkpoints: fetch it once, and compare it out of band')
    .addHelpText('after', '\nExample:\n  muster audit key > audit-key.pem')
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(command);
      await pipeline(await session.client().stream('/audit/key'), session.terminal.stdout, { end: false });
    });
}
