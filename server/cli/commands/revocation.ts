import { type Command, Option } from 'commander';
import { REVOCATION_REASONS } from '../../../core/authority/revocation.ts';
import type { Session, SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseTime } from '../values.ts';
import { certificateId } from './certificate-id.ts';

interface Outcome {
  readonly certificate: string;
  readonly serialNumber: string;
  readonly outcome: string;
}

interface Batch {
  readonly id?: string;
  readonly count: number;
  readonly done: number;
  readonly state: 'preview' | 'running' | 'finished';
}

interface Crl {
  readonly authority: string;
  readonly scope: string;
  readonly number: number;
  readonly entries: number;
  readonly octets: number;
  readonly nextUpdate: string;
}

const crlColumns: readonly Column<Crl>[] = [
  { title: 'authority', value: (row) => row.authority, whole: true },
  { title: 'scope', value: (row) => row.scope },
  { title: 'number', value: (row) => String(row.number) },
  { title: 'entries', value: (row) => String(row.entries) },
  { title: 'octets', value: (row) => String(row.octets) },
  { title: 'until', value: (row) => row.nextUpdate },
];

/** `muster certificate revoke | release | revocation | revoke-all | crls` */
export function revocationCommands(group: Command, sessionOf: SessionOf): void {
  addRevoke(group, sessionOf);
  addRelease(group, sessionOf);
  addTimeline(group, sessionOf);
  addRevokeAll(group, sessionOf);
  group
    .command('crls')
    .description('list the CRLs in force')
    .addHelpText('after', '\nExample:\n  muster certificate crls')
    .action(async (_options: object, command: Command) => {
      const session = sessionOf(command);
      const { items } = await session.client().get<{ items: Crl[] }>('/crls');
      session.printRows(crlColumns, items);
    });
}

const reasonOption = (): Option =>
  new Option('--reason <reason>', 'why (RFC 5280 §5.3.1); certificateHold can be released')
    .choices(REVOCATION_REASONS.filter((reason) => reason !== 'removeFromCRL'))
    .default('unspecified');
const compromisedOption = (): Option =>
  new Option('--compromised <time>', 'since when the key must be thought known to others (RFC 3339)').argParser(
    parseTime,
  );

interface RevokeOptions {
  readonly reason: string;
  readonly compromised?: string;
  readonly comment?: string;
}

function addRevoke(group: Command, sessionOf: SessionOf): void {
  group
    .command('revoke <serial>')
    .description('revoke a certificate, by its serial number or id')
    .addOption(reasonOption())
    .addOption(compromisedOption())
    .option('--comment <text>', 'goes into the audit log')
    .addHelpText(
      'after',
      '\nExamples:\n  muster cert revoke 4F:A2:… --reason keyCompromise\n  muster cert revoke 0190b2a4-… --reason certificateHold',
    )
    .action(async (serial: string, { reason, compromised, comment }: RevokeOptions, command: Command) => {
      const session = sessionOf(command);
      const id = await certificateId(session, serial);
      const body = { reason, invalidityDate: compromised, comment };
      const made = await session.client().post<Outcome>(`/certificates/${id}/revoke`, body);
      session.confirm(`certificate ${made.serialNumber} is ${made.outcome}`, made);
    });
}

function addRelease(group: Command, sessionOf: SessionOf): void {
  group
    .command('release <serial>')
    .description('release a certificate that is on hold, by its serial number or id')
    .addHelpText('after', '\nExample:\n  muster cert release 4F:A2:…')
    .action(async (serial: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const id = await certificateId(session, serial);
      const made = await session.client().post<Outcome>(`/certificates/${id}/release`, undefined);
      session.confirm(`certificate ${made.serialNumber} is ${made.outcome}`, made);
    });
}

function addTimeline(group: Command, sessionOf: SessionOf): void {
  group
    .command('revocation <serial>')
    .description('show how the revocation of a certificate goes round')
    .addHelpText('after', '\nExample:\n  muster cert revocation 4F:A2:… --json')
    .action(async (serial: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const id = await certificateId(session, serial);
      session.printJson(await session.client().get<object>(`/certificates/${id}/revocation`));
    });
}

interface RevokeAllOptions extends RevokeOptions {
  readonly device?: string;
  readonly authority?: string;
  readonly profile?: string;
  readonly name?: string;
  readonly expiresBefore?: string;
  readonly issuedBefore?: string;
  readonly expected?: string;
}

function addRevokeAll(group: Command, sessionOf: SessionOf): void {
  group
    .command('revoke-all')
    .description('revoke every certificate that a query finds; without --expected, only count them')
    .option('--device <id>', 'those of one device')
    .option('--authority <id>', 'those of one CA')
    .option('--profile <id>', 'those of one profile')
    .option('--name <name>', 'those with this CN or subjectAltName')
    .option('--expires-before <time>', 'those that end before this (RFC 3339)')
    .option('--issued-before <time>', 'those that were issued before this (RFC 3339)')
    .addOption(reasonOption())
    .addOption(compromisedOption())
    .option('--expected <n>', 'the count that was shown: revoke if it is still right')
    .addHelpText(
      'after',
      '\nExamples:\n  muster cert revoke-all --device 0190b2a4-… --reason keyCompromise\n  muster cert revoke-all --device 0190b2a4-… --reason keyCompromise --expected 3',
    )
    .action(async (options: RevokeAllOptions, command: Command) => {
      const session = sessionOf(command);
      const { reason, compromised, expected, comment: _comment, ...rest } = options;
      const { device, authority, profile, name, expiresBefore, issuedBefore } = rest;
      const query = { device, authority, profile, name, expiresBefore, issuedBefore };
      const body = { query, reason, invalidityDate: compromised };
      if (expected === undefined) await preview(session, body);
      else await revokeAll(session, { ...body, expected: Number(expected) });
    });
}

async function preview(session: Session, body: object): Promise<void> {
  const found = await session.client().post<Batch>('/revocations', { ...body, preview: true });
  session.confirm(`${found.count} certificates; revoke them with --expected ${found.count}`, found);
}

const PROGRESS_MS = 500;

async function revokeAll(session: Session, body: object): Promise<void> {
  const client = session.client();
  let batch = await client.post<Batch>('/revocations', body);
  while (batch.state === 'running') {
    session.note(`${batch.done} of ${batch.count}`);
    await new Promise((resolve) => setTimeout(resolve, PROGRESS_MS));
    batch = await client.get<Batch>(`/revocations/${batch.id}`);
  }
  session.confirm(`${batch.done} certificates are revoked`, batch);
}
