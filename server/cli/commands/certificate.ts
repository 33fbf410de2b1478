import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount, parseTime } from '../values.ts';
import { renewalWindowCommands } from './renewal-window.ts';
import { addReading, type ResourceCommands } from './resource.ts';
import { revocationCommands } from './revocation.ts';

interface Certificate {
  readonly id: string;
  readonly serialNumber: string;
  readonly subject: string;
  readonly keyAlgorithm: string;
  readonly notAfter: string;
  readonly status: string;
}

const columns: readonly Column<Certificate>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'subject', value: (row) => row.subject },
  { title: 'serial', value: (row) => row.serialNumber },
  { title: 'key', value: (row) => row.keyAlgorithm },
  { title: 'status', value: (row) => row.status },
  { title: 'until', value: (row) => row.notAfter },
];

interface ExpiryAlert {
  readonly id: string;
  readonly state: string;
  readonly certificate: string;
  readonly subject: string;
  readonly notAfter: string;
  readonly closedBy?: string;
}

const alerts: ResourceCommands<ExpiryAlert> = {
  noun: 'expiry alert',
  path: '/expiry-alerts',
  columns: [
    { title: 'certificate', value: (row) => row.certificate, whole: true },
    { title: 'state', value: (row) => row.closedBy ?? row.state },
    { title: 'subject', value: (row) => row.subject },
    { title: 'until', value: (row) => row.notAfter },
  ],
  filters: [['state', 'state', 'only those', ['open', 'closed']]],
  example: '0190b2a4-…',
};

/** `muster certificate …` */
export function certificateCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('certificate').alias('cert').description('certificates that were issued or imported');
  addList(group, sessionOf);
  group
    .command('show <id>')
    .description('show a certificate')
    .addHelpText('after', '\nExample:\n  muster certificate show 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().get<Certificate>(`/certificates/${encodeURIComponent(id)}`));
    });
  addExport(group, sessionOf);
  addReading(
    group.command('alert').description('certificates that are about to end and have no successor'),
    sessionOf,
    alerts,
  );
  revocationCommands(group, sessionOf);
  renewalWindowCommands(group, sessionOf);
}

interface SearchOptions {
  readonly serial?: string;
  readonly [filter: string]: unknown;
}

/** The flags of a search. */
function searching(command: Command): Command {
  return command
    .option('--name <name>', 'only those with this CN or subjectAltName')
    .option('--serial <hex>', 'only the one with this serial number')
    .option('--fingerprint <hex>', 'only the one with this SHA-256')
    .option('--device <id>', 'only those of one device')
    .option('--authority <ca>', 'only those that this CA issued, by name or id')
    .option('--key-algorithm <kind>', "only those with such a key, as it is shown: 'EC P-256'")
    .addOption(new Option('--status <status>', 'only those').choices(['active', 'expired', 'revoked']))
    .addOption(new Option('--source <source>', 'only those').choices(['issued', 'imported', 'discovered']))
    .option('--expires-before <time>', 'only those that end before this (RFC 3339)', parseTime)
    .option('--expires-after <time>', 'only those that end at this or later', parseTime);
}

function queryOf({ serial: serialNumber, limit: _limit, format: _format, out: _out, ...filters }: SearchOptions) {
  return { ...filters, serialNumber } as Record<string, string | undefined>;
}

function addList(group: Command, sessionOf: SessionOf): void {
  searching(group.command('list').description('list certificates, or search them'))
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText(
      'after',
      '\nExamples:\n  muster certificate list --name router1.example\n  muster certificate list --authority issuing --expires-before 2027-01-01T00:00:00Z --json',
    )
    .action((options: SearchOptions & { limit: number }, command: Command) =>
      sessionOf(command).printList(columns, '/certificates', queryOf(options), options.limit),
    );
  searching(group.command('export-all').description('write all certificates that a search finds, a line each'))
    .addOption(
      new Option('--format <format>', 'CSV, or a JSON object a line').choices(['csv', 'ndjson']).default('csv'),
    )
    .option('--out <file>', 'write to a file instead of standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  muster certificate export-all --out certificates.csv\n  muster certificate export-all --status active --format ndjson | jq .subject',
    )
    .action(async (options: SearchOptions & { format: string; out?: string }, command: Command) => {
      const session = sessionOf(command);
      const query = { ...queryOf(options), format: options.format };
      const body = await session.client().stream('/certificates/export', query);
      const target = options.out === undefined ? session.terminal.stdout : createWriteStream(options.out);
      await pipeline(body, target, { end: options.out !== undefined });
    });
}

function addExport(group: Command, sessionOf: SessionOf): void {
  group
    .command('export <id>')
    .description('write a certificate as PEM or DER')
    .addOption(new Option('--format <format>', 'encoding').choices(['pem', 'der']).default('pem'))
    .option('--chain', 'with the certificates of its authorities, up to the root (PEM)', false)
    .option('--out <file>', 'write to a file instead of standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  muster certificate export 0190b2a4-… --chain --out router1.pem\n  muster certificate export 0190b2a4-… --format der | openssl x509 -inform der -text',
    )
    .action(
      async (
        id: string,
        { format, chain, out }: { format: string; chain: boolean; out?: string },
        command: Command,
      ) => {
        const session = sessionOf(command);
        const body = await session.client().stream(`/certificates/${encodeURIComponent(id)}/export`, { format, chain });
        const target = out === undefined ? session.terminal.stdout : createWriteStream(out);
        await pipeline(body, target, { end: out !== undefined });
      },
    );
}
