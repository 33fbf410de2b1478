import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addChange, addCreation, addReading, addRemoval, type ResourceCommands } from './resource.ts';

interface User {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly tenant?: string;
  readonly state: string;
}

interface Role {
  readonly name: string;
  readonly scopes: readonly string[];
}

const kind: ResourceCommands<User> = {
  noun: 'user',
  path: '/users',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'role', value: (row) => row.role },
    { title: 'tenant', value: (row) => row.tenant ?? 'all' },
    { title: 'state', value: (row) => row.state },
  ],
  example: 'alice@example.com',
};

/** `muster user …` and `muster role list` */
export function userCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('user').description('people and programs that have tokens');
  addReading(group, sessionOf, kind);
  addCreation(group, sessionOf, kind, [
    'create alice@example.com role=operator',
    'create desk role=enrollment-agent --tenant north',
  ]);
  addChange(group, sessionOf, kind, ['set alice@example.com role=auditor', 'set alice@example.com state=disabled']);
  addRemoval(group, sessionOf, kind, 'delete a user, and revoke what tokens there are');
  program
    .command('role')
    .description('what each role may do')
    .command('list')
    .description('list roles with their scopes')
    .addHelpText('after', '\nExample:\n  muster role list')
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(command);
      const { items } = await session.client().get<{ items: Role[] }>('/roles');
      const columns = [
        { title: 'role', value: (row: Role) => row.name },
        { title: 'scopes', value: (row: Role) => row.scopes.join(' ') },
      ];
      session.printRows(columns, items);
    });
}
