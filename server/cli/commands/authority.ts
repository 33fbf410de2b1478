import { type Command, InvalidArgumentError, Option } from 'commander';

import { KEY_ALGORITHMS } from '../../../core/keys/key-algorithm.ts';
import { addAuthorityCreation } from './authority-creation.ts';
import { addReading, addRemoval, addStep, type ResourceCommands } from './resource.ts';
import type { Session, SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount } from '../values.ts';
import { authorityStatusCommands } from './authority-status.ts';

interface Authority {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly subject: string;
  readonly keyAlgorithm: string;
  readonly notAfter: string;
}

interface Readiness {
  readonly devices: number;
  readonly proved: number;
  readonly unknown: number;
  readonly renewed: number;
  readonly evidence: Readonly<Record<string, number>>;
  readonly anonymousFetches: readonly { readonly protocol: string; readonly count: number }[];
  readonly certificates: number;
  readonly lastNotAfter?: string;
}

interface Rollover {
  readonly id: string;
  readonly state: string;
  readonly members: readonly { readonly predecessor: string; readonly successor: string }[];
  readonly createdAt: string;
  readonly switchAt?: string;
  readonly switchedAt?: string;
  readonly retiredAt?: string;
  readonly readiness?: Readiness;
}

const kind: ResourceCommands<Authority> = {
  noun: 'authority',
  path: '/authorities',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'kind', value: (row) => row.kind },
    { title: 'state', value: (row) => row.state },
    { title: 'subject', value: (row) => row.subject },
    { title: 'key', value: (row) => row.keyAlgorithm },
    { title: 'until', value: (row) => row.notAfter },
  ],
  example: 'issuing',
};

const rolloverColumns: readonly Column<Rollover>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'state', value: (row) => row.state },
  { title: 'authorities', value: (row) => String(row.members.length) },
  { title: 'announced', value: (row) => row.createdAt },
  { title: 'date', value: (row) => row.switchAt ?? '' },
  { title: 'switched', value: (row) => row.switchedAt ?? '' },
  { title: 'retired', value: (row) => row.retiredAt ?? '' },
];

/** `muster ca …` */
export function authorityCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('ca').description('certification authorities, and how one takes over from another');
  addReading(group, sessionOf, kind);
  addAuthorityCreation(group, sessionOf);
  addStep(group, sessionOf, kind, {
    verb: 'retire',
    description: 'have a CA issue no more; it signs CRLs and OCSP answers until its last certificate has ended',
    told: ({ name, state }) => `${name} is ${state}`,
  });
  addRemoval(group, sessionOf, kind, 'delete a CA that issued nothing to a device');
  authorityStatusCommands(group, sessionOf);
  const rollover = group.command('rollover').description('replace an authority: announce, switch, retire');
  addStart(rollover, sessionOf);
  addStatus(rollover, sessionOf);
  addSwitch(rollover, sessionOf);
  rollover
    .command('retire <id>')
    .description('end the authority that was replaced, once its last certificate has ended')
    .addHelpText('after', '\nExample:\n  muster ca rollover retire 0190b2a4-…')
    .action((id: string, _options: object, command: Command) => step(sessionOf(command), id, 'retire', undefined));
}

interface StartOptions {
  readonly keyAlgorithm?: string;
  readonly subject?: string;
  readonly switchAt?: string;
}

function addStart(group: Command, sessionOf: SessionOf): void {
  group
    .command('start <authority>')
    .description('make and announce the successor of an authority; a root takes those below it along')
    .addOption(
      new Option('--key-algorithm <kind>', 'kind of the new key (default: as the present one)').choices(
        Object.keys(KEY_ALGORITHMS),
      ),
    )
    .option('--subject <name>', 'name of the new issuing CA (default: the present one with a number)')
    .option('--switch-at <time>', 'when the successor takes over (RFC 3339)', parseTime)
    .addHelpText(
      'after',
      '\nExamples:\n  muster ca rollover start issuing --switch-at 2027-03-01T02:00:00Z\n  muster ca rollover start root',
    )
    .action(async (authority: string, options: StartOptions, command: Command) => {
      const session = sessionOf(command);
      const made = await session.client().post<Rollover>('/rollovers', { authority, ...options });
      session.confirm(`rollover ${made.id} is ${made.state}`, made);
    });
}

interface StatusOptions {
  readonly devices?: string;
  readonly limit: number;
}

function addStatus(group: Command, sessionOf: SessionOf): void {
  group
    .command('status [id]')
    .description('list rollovers, or show one with who is ready for it')
    .addOption(new Option('--devices <standing>', 'list these devices').choices(['unknown', 'proved']))
    .option('--limit <n>', 'at most this many devices', parseCount, 100)
    .addHelpText(
      'after',
      '\nExamples:\n  muster ca rollover status\n  muster ca rollover status 0190b2a4-… --devices unknown',
    )
    .action(async (id: string | undefined, { devices: standing, limit }: StatusOptions, command: Command) => {
      const session = sessionOf(command);
      if (id === undefined) {
        const { items } = await session.client().get<{ items: Rollover[] }>('/rollovers');
        session.printRows(rolloverColumns, items);
        return;
      }
      const path = `/rollovers/${encodeURIComponent(id)}`;
      if (standing !== undefined) await session.printList(deviceColumns, `${path}/devices`, { standing }, limit);
      else printStatus(session, await session.client().get<Rollover>(path));
    });
}

interface DeviceReadiness {
  readonly device: string;
  readonly evidence: readonly { readonly kind: string; readonly at: string }[];
}

const deviceColumns: readonly Column<DeviceReadiness>[] = [
  { title: 'device', value: (row) => row.device, whole: true },
  { title: 'evidence', value: (row) => row.evidence.map(({ kind }) => kind).join(', ') },
  { title: 'since', value: (row) => row.evidence[0]?.at ?? '' },
];

function printStatus(session: Session, rollover: Rollover): void {
  const { members, readiness, ...rest } = rollover;
  if (session.options.json === true || readiness === undefined) {
    session.printObject(rollover);
    return;
  }
  const { evidence, anonymousFetches, ...counts } = readiness;
  session.printObject({
    ...rest,
    authorities: members.map(({ predecessor, successor }) => `${predecessor} → ${successor}`).join(', '),
    ...counts,
    evidence: Object.entries(evidence).map(counted).join(', '),
    anonymousFetches: anonymousFetches.map(({ protocol, count }) => counted([protocol, count])).join(', '),
  });
}

function counted([name, count]: readonly [string, number]): string {
  return `${count} ${name}`;
}

function addSwitch(group: Command, sessionOf: SessionOf): void {
  group
    .command('switch <id>')
    .description('have the successor issue from now on, or from a date on')
    .option('--at <time>', 'the date (RFC 3339)', parseTime)
    .option('--accept-unready', 'now, although devices are not known to be ready', false)
    .addHelpText(
      'after',
      '\nExamples:\n  muster ca rollover switch 0190b2a4-…\n  muster ca rollover switch 0190b2a4-… --at 2027-03-01T02:00:00Z',
    )
    .action((id: string, options: { at?: string; acceptUnready: boolean }, command: Command) =>
      step(sessionOf(command), id, 'switch', options),
    );
}

async function step(session: Session, id: string, verb: 'switch' | 'retire', body: object | undefined): Promise<void> {
  const made = await session.client().post<Rollover>(`/rollovers/${encodeURIComponent(id)}/${verb}`, body);
  const date = made.state === 'announced' && made.switchAt !== undefined ? ` and switches at ${made.switchAt}` : '';
  session.confirm(`rollover ${made.id} is ${made.state}${date}`, made);
}

function parseTime(text: string): string {
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError('expected a time such as 2026-11-22T10:00:00Z');
  return new Date(text).toISOString();
}
