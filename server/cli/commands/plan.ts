import type { Command } from 'commander';
import type { Session, SessionOf } from '../session.ts';
import { printable } from '../terminal.ts';
import { addReading, type ResourceCommands } from './resource.ts';

/** A plan as the API shows it. */
export interface ShownPlan {
  readonly id: string;
  readonly deviceName: string;
  readonly state: string;
  readonly failedStep?: string;
  readonly failure?: string;
  readonly detail?: string;
  readonly advice?: string;
  readonly createdAt: string;
  readonly steps: readonly {
    readonly id: string;
    readonly title: string;
    readonly state: string;
    readonly failure?: string;
  }[];
}

const kind: ResourceCommands<ShownPlan> = {
  noun: 'plan',
  path: '/plans',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'device', value: (row) => row.deviceName },
    { title: 'state', value: (row) => row.state },
    { title: 'failure', value: (row) => row.failure },
    { title: 'begun', value: (row) => row.createdAt },
  ],
  filters: [['device', 'device', 'only those of the device with this id']],
  example: '0190b2a4-…',
};

/** `muster plan …` */
export function planCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('plan').description('rotations of devices: under way and ended');
  addReading(group, sessionOf, kind);
  group
    .command('transcript <plan>')
    .description('print what was said with the device')
    .addHelpText('after', '\nExample:\n  muster plan transcript 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/plans/${encodeURIComponent(id)}/transcript`;
      const { items } = await session.client().list<{ step: string; way: string; text: string }>(path, {}, 1_000);
      if (session.options.json === true) return session.printJson(items);
      for (const { step, way, text } of items) session.print(`${way} ${step}\n${linesOf(text)}\n`);
    });
}

/** A plan and its steps, a line each. */
export function printPlan(session: Session, plan: ShownPlan): void {
  if (session.options.json === true) {
    session.printJson(plan);
    return;
  }
  const steps = plan.steps.map(
    ({ id, state, failure }) => `  ${id.padEnd(28)} ${state}${failure === undefined ? '' : ` (${failure})`}\n`,
  );
  session.print(`${steps.join('')}${plan.deviceName}: ${plan.state}\n`);
  if (plan.failure !== undefined)
    session.print(printable(`${plan.failedStep ?? ''}: ${plan.failure}: ${plan.detail ?? ''}`) + '\n');
}

/** Devices write what they like; a terminal obeys control characters. */
function linesOf(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
