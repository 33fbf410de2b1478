import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { parseAssignments } from '../values.ts';
import { addReading, addStep, type ResourceCommands } from './resource.ts';

interface ExpectedDevice {
  readonly id: string;
  readonly serialNumber?: string;
  readonly name?: string;
  readonly model?: string;
  readonly state: string;
}

const kind: ResourceCommands<ExpectedDevice> = {
  noun: 'device',
  path: '/expected-devices',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'serial', value: (row) => row.serialNumber },
    { title: 'name', value: (row) => row.name },
    { title: 'model', value: (row) => row.model },
    { title: 'state', value: (row) => row.state },
  ],
  filters: [
    ['state', 'state', 'only expected, attested, enrolled, blocked or released ones'],
    ['serial', 'serialNumber', 'only this one'],
    ['manifest', 'manifest', 'only those of one manifest'],
  ],
  example: 'SN-4711',
};

const told = ({ id, serialNumber, state }: ExpectedDevice): string => `device ${serialNumber ?? id} is ${state}`;

/** `muster manifest device …` */
export function expectedDeviceCommands(manifest: Command, sessionOf: SessionOf): void {
  const group = manifest.command('device').description('expected devices, one by one');
  addReading(group, sessionOf, kind);
  group
    .command('add <settings...>')
    .description('expect one device')
    .addHelpText('after', '\nExample:\n  muster manifest device add serialNumber=SN-4711 model=EdgeRouter')
    .action(async (settings: string[], _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().post<object>('/expected-devices', parseAssignments(settings)));
    });
  addStep(group, sessionOf, kind, {
    verb: 'release',
    description: 'let a device go to another owner: revoke its certificates and admit it no more',
    told,
  });
  addStep(group, sessionOf, kind, {
    verb: 'expect',
    description: 'expect a device anew, after a repair, a reset or its return; its certificates are revoked',
    told,
  });
  addStep(group, sessionOf, kind, { verb: 'block', description: 'issue nothing more to a device', told });
}
