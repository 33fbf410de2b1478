import { createReadStream, readFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { createInterface } from 'node:readline';

import type { Command } from 'commander';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session, SessionOf } from '../session.ts';
import { expectedDeviceCommands } from './expected-device.ts';
import { addReading, type ResourceCommands } from './resource.ts';

interface Manifest {
  readonly id: string;
  readonly name: string;
  readonly format: 'csv' | 'ndjson';
  readonly state: string;
  readonly lines: number;
  readonly added: number;
  readonly unchanged: number;
  readonly refused: number;
}

const kind: ResourceCommands<Manifest> = {
  noun: 'manifest',
  path: '/manifests',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'state', value: (row) => row.state },
    { title: 'lines', value: (row) => row.lines },
    { title: 'added', value: (row) => row.added },
    { title: 'unchanged', value: (row) => row.unchanged },
    { title: 'refused', value: (row) => row.refused },
  ],
  example: '0190b2a4-…',
};

/** Lines of one request: some megabytes, answered within a second or two. */
const LINES_OF_PART = 20_000;
const MEDIA_TYPE = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const;
/** Faults that are printed; `muster manifest faults` lists all. */
const FAULTS_SHOWN = 10;

/** `muster manifest …` */
export function manifestCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('manifest').description('devices that a factory announces');
  addReading(group, sessionOf, kind);
  addImport(group, sessionOf);
  group
    .command('faults <manifest>')
    .description('list the lines that were not taken')
    .addHelpText('after', '\nExample:\n  muster manifest faults 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.printList(faultColumns, `/manifests/${encodeURIComponent(id)}/faults`, {}, 100_000);
    });
  expectedDeviceCommands(group, sessionOf);
}

const faultColumns = [
  { title: 'line', value: (row: { line: number; fault: string }) => row.line },
  { title: 'fault', value: (row: { line: number; fault: string }) => row.fault },
];

function addImport(group: Command, sessionOf: SessionOf): void {
  group
    .command('import <file>')
    .description('announce the devices of a file: CSV with a first line of column names, NDJSON, or a JSON array')
    .option('--resume <manifest>', 'go on with an import that was interrupted')
    .addHelpText(
      'after',
      `
Columns or members: serial, ek-sha256, idevid-sha256, vid, pid, model, name; each line has a serial or a hash.

Examples:
  muster manifest import batch-2026-47.csv
  muster manifest import batch-2026-47.csv --resume 0190b2a4-…`,
    )
    .action(async (file: string, { resume }: { resume?: string }, command: Command) => {
      const session = sessionOf(command);
      const manifest = await importFile(session, file, resume);
      if (manifest.refused > 0) await showFaults(session, manifest);
      session.confirm(
        `${manifest.added} devices added, ${manifest.unchanged} known, ${manifest.refused} lines refused`,
        manifest,
      );
    });
}

async function importFile(session: Session, file: string, resume: string | undefined): Promise<Manifest> {
  const client = session.client();
  const format = extname(file).toLowerCase() === '.csv' ? 'csv' : 'ndjson';
  let manifest =
    resume === undefined
      ? await client.post<Manifest>('/manifests', { name: basename(file), format })
      : await client.get<Manifest>(`/manifests/${encodeURIComponent(resume)}`);
  session.note(
    `manifest ${manifest.id}; if this is interrupted: muster manifest import ${file} --resume ${manifest.id}`,
  );
  const path = `/manifests/${manifest.id}`;
  for await (const lines of partsOf(file, manifest.lines)) {
    const query = { after: manifest.lines };
    manifest = await client.postText<Manifest>(`${path}/lines`, query, lines.join('\n'), MEDIA_TYPE[format]);
    session.note(`${manifest.lines} lines: ${manifest.added} added, ${manifest.refused} refused`);
  }
  return client.post<Manifest>(`${path}/finish`, undefined);
}

/** The lines of a file behind those that were taken already, some thousands at a time. */
async function* partsOf(file: string, taken: number): AsyncGenerator<readonly string[]> {
  let left = taken;
  let lines: string[] = [];
  for await (const line of linesOf(file)) {
    if (left > 0) {
      left -= 1;
      continue;
    }
    // A part of empty lines alone would be an empty text.
    lines.push(line);
    if (lines.length < LINES_OF_PART) continue;
    yield [...lines, ''];
    lines = [];
  }
  if (lines.length > 0) yield [...lines, ''];
}

async function* linesOf(file: string): AsyncGenerator<string> {
  if (extname(file).toLowerCase() === '.json') yield* elementsOf(file);
  else {
    try {
      yield* createInterface({ input: createReadStream(file), crlfDelay: Infinity });
    } catch (cause) {
      throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
    }
  }
}

/** A JSON array, an element a line. */
function elementsOf(file: string): readonly string[] {
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read as JSON`, undefined, { cause });
  }
  if (!Array.isArray(list)) throw new CliError(EXIT.usage, `${file}: expected an array of devices`);
  return list.map((device) => JSON.stringify(device));
}

async function showFaults(session: Session, { id, refused }: Manifest): Promise<void> {
  const path = `/manifests/${id}/faults`;
  const { items } = await session.client().list<{ line: number; fault: string }>(path, {}, FAULTS_SHOWN);
  for (const { line, fault } of items) session.note(`line ${line}: ${fault}`);
  if (refused > items.length) session.note(`all of them: muster manifest faults ${id}`);
}
