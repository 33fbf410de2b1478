import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import type { Command } from 'commander';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session, SessionOf } from '../session.ts';
import { addReading, type ResourceCommands } from './resource.ts';

interface Batch {
  readonly id: string;
  readonly name: string;
  readonly lines: number;
  readonly createdAt: string;
}

interface Answer {
  readonly line: number;
  readonly outcome: 'issued' | 'pending' | 'refused';
}

const kind: ResourceCommands<Batch> = {
  noun: 'batch',
  path: '/batches',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'lines', value: (row) => row.lines },
    { title: 'opened', value: (row) => row.createdAt },
  ],
  example: '0190b2a4-…',
};

/** Requests of one part. */
const LINES_OF_PART = 100;

/** `muster batch …` */
export function batchCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('batch').description('many certificate requests at once');
  addReading(group, sessionOf, kind);
  group
    .command('enroll <file>')
    .description('ask for the certificate of each request in a file (NDJSON: id, csr, evidence)')
    .requiredOption('--endpoint <label>', 'an endpoint that is open for batches')
    .requiredOption('--out <file>', 'where the answers go, a line a request')
    .option('--resume <batch>', 'go on with a batch that was interrupted, behind the answers in --out')
    .addHelpText(
      'after',
      `
Examples:
  muster endpoint set factory protocols.batch={}
  muster batch enroll requests.ndjson --endpoint factory --out answers.ndjson
  muster batch enroll requests.ndjson --endpoint factory --out answers.ndjson --resume 0190b2a4-…`,
    )
    .action(async (file: string, options: EnrollOptions, command: Command) => {
      const session = sessionOf(command);
      const counts = await enrollFile(session, file, options);
      const told = `${counts.issued} issued, ${counts.pending} waiting, ${counts.refused} refused: see ${options.out}`;
      session.confirm(told, counts);
    });
}

interface EnrollOptions {
  readonly endpoint: string;
  readonly out: string;
  readonly resume?: string;
}

async function enrollFile(session: Session, file: string, { endpoint, out, resume }: EnrollOptions) {
  const requests = linesOf(file);
  const client = session.client();
  if (resume === undefined && existsSync(out))
    throw new CliError(
      EXIT.usage,
      `${out} is there already`,
      'name another file, or the batch it belongs to with --resume',
    );
  const { id } =
    resume === undefined
      ? await client.post<Batch>('/batches', { name: basename(file), endpoint })
      : await client.get<Batch>(`/batches/${encodeURIComponent(resume)}`);
  session.note(`batch ${id}; if this is interrupted, go on with --resume ${id}`);
  const counts = { batch: id, issued: 0, pending: 0, refused: 0 };
  // What is written here was answered; what the server answered and we did not write it answers again.
  for (let after = lastLine(out); after < requests.length; after += LINES_OF_PART) {
    const text = requests.slice(after, after + LINES_OF_PART).join('\n');
    const path = `/batches/${id}/requests`;
    const { items } = await client.postText<{ items: Answer[] }>(path, { after }, text, 'application/x-ndjson');
    appendFileSync(out, items.map((item) => `${JSON.stringify(item)}\n`).join(''));
    for (const { outcome } of items) counts[outcome] += 1;
    session.note(`${Math.min(after + LINES_OF_PART, requests.length)} of ${requests.length} requests`);
  }
  return counts;
}

function lastLine(out: string): number {
  if (!existsSync(out)) return 0;
  const last = linesOf(out).at(-1);
  return last === undefined ? 0 : (JSON.parse(last) as Answer).line;
}

function linesOf(file: string): readonly string[] {
  try {
    const lines = readFileSync(file, 'utf8').split(/\r?\n/);
    return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
  }
}
