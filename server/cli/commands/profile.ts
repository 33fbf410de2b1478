import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { addChange, addCreation, addReading, addRemoval, type ResourceCommands } from './resource.ts';

interface Profile {
  readonly id: string;
  readonly name: string;
  readonly revision: number;
  readonly validitySeconds: number;
  readonly keyReuse: string;
}

const DAY = 86_400;

const kind: ResourceCommands<Profile> = {
  noun: 'profile',
  path: '/profiles',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'days', value: (row) => Math.round(row.validitySeconds / DAY) },
    { title: 'key reuse', value: (row) => row.keyReuse },
    { title: 'revision', value: (row) => row.revision },
  ],
  example: 'device',
};

/** `muster profile …` */
export function profileCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('profile').description('what certificates of one kind of device look like');
  addReading(group, sessionOf, kind);
  addCreation(group, sessionOf, kind, [
    'create vpn validitySeconds=7776000 extendedKeyUsage=[clientAuth,ipsecIKE]',
    'create branch --file branch-profile.yaml',
  ]);
  addChange(group, sessionOf, kind, [
    'set vpn validitySeconds=2592000',
    "set vpn 'subjectAltName={kinds: [dnsName], max: 4, dnsSuffixes: [.branch.example]}' --dry-run",
  ]);
  addRemoval(group, sessionOf, kind, 'delete a profile that no endpoint uses');
}
