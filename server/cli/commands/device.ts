import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addChange, addCreation, addReading, addRemoval, addStep, type ResourceCommands } from './resource.ts';
import { rotationCommands } from './rotate.ts';

interface Device {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly site?: string;
  readonly owner?: string;
  readonly certificateNotAfter?: string;
}

const kind: ResourceCommands<Device> = {
  noun: 'device',
  path: '/devices',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'state', value: (row) => row.state },
    { title: 'site', value: (row) => row.site },
    { title: 'owner', value: (row) => row.owner },
    { title: 'certificate until', value: (row) => row.certificateNotAfter },
  ],
  filters: [
    ['state', 'state', 'only those', ['expected', 'enrolled', 'blocked']],
    ['name', 'name', 'only this one'],
    ['site', 'site', 'only those of one site'],
  ],
  example: 'router1',
};

/** `muster device …` */
export function deviceCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('device').description('devices that are known');
  addReading(group, sessionOf, kind);
  addCreation(group, sessionOf, kind, ['create router1 site=branch-7 labels.rack=12', 'create router2 owner=noc']);
  addChange(group, sessionOf, kind, ['set router1 site=branch-8', 'set router1 \'labels={rack: "14"}\' owner=null']);
  for (const [verb, description] of [
    ['block', 'issue nothing more to a device'],
    ['unblock', 'let a blocked device enrol again'],
  ] as const)
    addStep(group, sessionOf, kind, { verb, description, told: ({ id, state }) => `device ${id} is ${state}` });
  addRemoval(group, sessionOf, kind, 'forget a device that never had a certificate');
  rotationCommands(group, sessionOf);
}
