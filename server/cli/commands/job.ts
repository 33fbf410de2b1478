import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addReading, addRemoval, addStep, type ResourceCommands } from './resource.ts';

interface Job {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly runAt: string;
  readonly lastError?: string;
}

const kind: ResourceCommands<Job> = {
  noun: 'job',
  path: '/jobs',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'kind', value: (row) => row.kind },
    { title: 'state', value: (row) => row.state },
    { title: 'attempts', value: (row) => `${row.attempts}/${row.maxAttempts}` },
    { title: 'not before', value: (row) => row.runAt },
    { title: 'last error', value: (row) => row.lastError },
  ],
  filters: [
    ['state', 'state', 'only those', ['ready', 'running', 'dead']],
    ['kind', 'kind', 'only this kind'],
  ],
  example: '0190b2a4-…',
};

/** `muster job …` */
export function jobCommands(program: Command, sessionOf: SessionOf): void {
  const group = program
    .command('job')
    .description('work in the background, and what was set aside after its last attempt');
  addReading(group, sessionOf, kind);
  addStep(group, sessionOf, kind, {
    verb: 'retry',
    description: 'give a dead job its attempts back',
    told: ({ id, state }) => `job ${id} is ${state}`,
  });
  addRemoval(group, sessionOf, kind, 'discard a dead job');
}
