import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addReading, addStep, type ResourceCommands } from './resource.ts';

interface Alarm {
  readonly id: string;
  readonly kind: string;
  readonly object: string;
  readonly state: string;
  readonly occurrences: number;
  readonly lastAt: string;
}

const kind: ResourceCommands<Alarm> = {
  noun: 'alarm',
  path: '/device-alarms',
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

/** `muster alarm …` */
export function alarmCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('alarm').description('devices that an operator must look at: identities shown twice');
  addReading(group, sessionOf, kind);
  addStep(group, sessionOf, kind, {
    verb: 'acknowledge',
    description: 'note that an alarm was looked at; it opens again when it happens again',
    told: ({ object }) => `the alarm about ${object} is acknowledged`,
  });
}
