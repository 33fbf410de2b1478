import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addReading, addStep, type ResourceCommands } from './resource.ts';

interface Alert {
  readonly id: string;
  readonly kind: string;
  readonly object: string;
  readonly state: string;
  readonly occurrences: number;
  readonly lastAt: string;
}

const kind: ResourceCommands<Alert> = {
  noun: 'alert',
  path: '/alerts',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'kind', value: (row) => row.kind },
    { title: 'about', value: (row) => row.object },
    { title: 'state', value: (row) => row.state },
    { title: 'times', value: (row) => row.occurrences },
    { title: 'last', value: (row) => row.lastAt },
  ],
  filters: [['state', 'state', 'only open or acknowledged ones']],
  example: '0190b2a4-…',
};

/** `muster alert …` */
export function alertCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('alert').description('what an operator must look at');
  addReading(group, sessionOf, kind);
  addStep(group, sessionOf, kind, {
    verb: 'acknowledge',
    description: 'note that an alert was looked at; it opens again when it happens again',
    told: ({ object }) => `the alert about ${object} is acknowledged`,
  });
}
