import type { Command } from 'commander';
import { CliError, EXIT, EXIT_MEANINGS } from '../exit-code.ts';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly text: string;
  readonly remedy?: string;
}

interface Status {
  readonly version: string;
  readonly token: {
    readonly label: string;
    readonly role: string;
    readonly scopes: readonly string[];
    readonly tenant?: string;
  };
}

/** `muster status`, `muster doctor`, `muster exit-codes` */
export function systemCommands(program: Command, sessionOf: SessionOf): void {
  program
    .command('status')
    .description('which server this is, and what the token may do')
    .addHelpText('after', '\nExample:\n  muster status')
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(command);
      const status = await session.client().get<Status>('/status');
      const { version, token } = status;
      if (session.options.json === true) session.printJson(status);
      else
        session.printObject({
          version,
          token: token.label,
          role: token.role,
          tenant: token.tenant ?? 'all',
          scopes: token.scopes,
        });
    });
  addDoctor(program, sessionOf);
  program
    .command('exit-codes')
    .description('what the exit codes mean')
    .action((_options: object, command: Command) => {
      const rows = Object.entries(EXIT).map(([name, code]) => ({
        code,
        name,
        meaning: EXIT_MEANINGS[name as keyof typeof EXIT],
      }));
      sessionOf(command).printRows(exitColumns, rows);
    });
}

const exitColumns: readonly Column<{ code: number; name: string; meaning: string }>[] = [
  { title: 'code', value: (row) => row.code },
  { title: 'name', value: (row) => row.name },
  { title: 'meaning', value: (row) => row.meaning, whole: true },
];

const marks = { ok: '  ok     ', warning: '! warning', failed: 'X failed ' } as const;

function addDoctor(program: Command, sessionOf: SessionOf): void {
  program
    .command('doctor')
    .description('what is broken or not fit for production, and what mends it')
    .addHelpText('after', `\nEnds with ${EXIT.findings} when something is broken.\n\nExample:\n  muster doctor`)
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(command);
      const { findings } = await session.client().get<{ findings: Finding[] }>('/doctor');
      if (session.options.json === true) session.printJson(findings);
      else
        for (const { state, text, remedy } of findings)
          session.print(`${marks[state]}  ${text}${remedy === undefined ? '' : `\n             ${remedy}`}\n`);
      const failed = findings.filter((finding) => finding.state === 'failed').length;
      if (failed > 0)
        throw new CliError(EXIT.findings, `${failed} ${failed === 1 ? 'check has' : 'checks have'} failed`);
    });
}
