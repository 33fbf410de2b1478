import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount } from '../values.ts';
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
  revocationCommands(group, sessionOf);
}

interface ListOptions {
  readonly limit: number;
  readonly device?: string;
  readonly name?: string;
  readonly serial?: string;
  readonly status?: string;
  readonly expiresBefore?: string;
}

function addList(group: Command, sessionOf: SessionOf): void {
  group
    .command('list')
    .description('list certificates')
    .option('--device <id>', 'only those of one device')
    .option('--name <name>', 'only those with this CN or subjectAltName')
    .option('--serial <hex>', 'only the one with this serial number')
    .addOption(new Option('--status <status>', 'only those').choices(['active', 'revoked']))
    .option('--expires-before <time>', 'only those that end before this (RFC 3339)')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText(
      'after',
      '\nExamples:\n  muster certificate list --name router1.example\n  muster certificate list --expires-before 2027-01-01T00:00:00Z --json',
    )
    .action(({ limit, serial, ...filter }: ListOptions, command: Command) => {
      const { device, name, status, expiresBefore } = filter;
      const query = { device, name, status, expiresBefore, serialNumber: serial?.toLowerCase().replaceAll(':', '') };
      return sessionOf(command).printList(columns, '/certificates', query, limit);
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
