import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount } from '../values.ts';

interface Device {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly certificateNotAfter?: string;
}

const columns: readonly Column<Device>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'name', value: (row) => row.name },
  { title: 'state', value: (row) => row.state },
  { title: 'certificate until', value: (row) => row.certificateNotAfter },
];

/** `muster device …` */
export function deviceCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('device').description('devices that are known');
  group
    .command('list')
    .description('list devices')
    .addOption(new Option('--state <state>', 'only those').choices(['expected', 'enrolled', 'blocked']))
    .option('--name <name>', 'only this one')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText(
      'after',
      '\nExamples:\n  muster device list --state blocked\n  muster device list --name router1 --json',
    )
    .action(({ limit, state, name }: { limit: number; state?: string; name?: string }, command: Command) =>
      sessionOf(command).printList(columns, '/devices', { state, name }, limit),
    );
  group
    .command('show <id>')
    .description('show a device')
    .addHelpText('after', '\nExample:\n  muster device show 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().get<Device>(`/devices/${encodeURIComponent(id)}`));
    });
  addBlocking(group, sessionOf, 'block', 'issue nothing more to a device');
  addBlocking(group, sessionOf, 'unblock', 'let a blocked device enrol again');
}

function addBlocking(group: Command, sessionOf: SessionOf, verb: 'block' | 'unblock', description: string): void {
  group
    .command(`${verb} <id>`)
    .description(description)
    .addHelpText('after', `\nExample:\n  muster device ${verb} 0190b2a4-…`)
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const device = await session.client().post<Device>(`/devices/${encodeURIComponent(id)}/${verb}`, undefined);
      session.confirm(`device ${device.id} is ${device.state}`, device);
    });
}
