import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { readSettingsFile } from '../values.ts';
import { addReading, addRemoval, type ResourceCommands } from './resource.ts';

interface ReferenceValues {
  readonly id: string;
  readonly model: string;
  readonly firmware: string;
  readonly createdAt: string;
}

const kind: ResourceCommands<ReferenceValues> = {
  noun: 'reference value',
  path: '/reference-values',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'model', value: (row) => row.model },
    { title: 'firmware', value: (row) => row.firmware },
    { title: 'added', value: (row) => row.createdAt },
  ],
  filters: [['model', 'model', 'only those of one model']],
  example: '0190b2a4-…',
};

/** `muster reference-value …` */
export function referenceValueCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('reference-value').description('what the firmwares of a model measure');
  addReading(group, sessionOf, kind);
  group
    .command('add <file>')
    .description('add what one firmware of a model measures: a YAML or JSON file')
    .addHelpText(
      'after',
      `
The file:
  model: EdgeRouter
  firmware: 4.2.1
  pcrs: { sha256: { "0": [9f86d081…], "7": [2c26b46b…] } }

Example:
  muster reference-value add edge-router-4.2.1.yaml`,
    )
    .action(async (file: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().post<object>('/reference-values', readSettingsFile(file)));
    });
  addRemoval(group, sessionOf, kind, 'take reference values away');
}
