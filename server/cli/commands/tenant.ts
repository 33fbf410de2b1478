import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addChange, addCreation, addReading, addRemoval, type ResourceCommands } from './resource.ts';

interface Tenant {
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly createdAt: string;
}

const kind: ResourceCommands<Tenant> = {
  noun: 'tenant',
  path: '/tenants',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'description', value: (row) => row.description },
    { title: 'since', value: (row) => row.createdAt },
  ],
  example: 'north',
};

/** `muster tenant …` */
export function tenantCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('tenant').description('whose devices and authorities are kept apart');
  addReading(group, sessionOf, kind);
  addCreation(group, sessionOf, kind, [
    "create north 'description=Branches of the north'",
    'create south provision={}',
    'create lab provision.rootAlgorithm=ec-p384 provision.issuingAlgorithm=ec-p256 --dry-run',
  ]);
  addChange(group, sessionOf, kind, ["set north 'description=All of the north'", 'set north name=nord token=hsm2']);
  addRemoval(group, sessionOf, kind, 'remove a tenant with no authority, device and certificate left');
}
