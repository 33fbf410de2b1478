import { type Command, Option } from 'commander';
import type { Fingerprints } from '../../../core/x509/fingerprints.ts';
import { DIGEST_NAMES, FINGERPRINT_FORMS } from '../../enrollment-guide/fingerprints.ts';
import type { SessionOf } from '../session.ts';
import { type Column, formatFields } from '../table.ts';
import { parseCount } from '../values.ts';

interface Enrollment {
  readonly id: string;
  readonly endpoint: string;
  readonly protocol: string;
  readonly status: string;
  readonly deviceName: string;
  readonly subject: string;
  readonly reason?: string;
  readonly createdAt: string;
  readonly requestFingerprints?: Fingerprints;
  readonly publicKeyFingerprints?: Fingerprints;
}

const columns: readonly Column<Enrollment>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'endpoint', value: (row) => row.endpoint },
  { title: 'protocol', value: (row) => row.protocol },
  { title: 'status', value: (row) => row.status },
  { title: 'subject', value: (row) => row.subject },
  { title: 'reason', value: (row) => row.reason },
  { title: 'asked at', value: (row) => row.createdAt },
];

const statuses = ['pending', 'approved', 'signing', 'issued', 'rejected', 'expired'];

/** `muster enrollment …` */
export function enrollmentCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('enrollment').description('requests for certificates, and decisions about them');
  group
    .command('list')
    .description('list enrolments')
    .addOption(new Option('--status <status>', 'only those').choices(statuses))
    .option('--endpoint <label>', 'only those of one endpoint')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster enrollment list --status pending')
    .action(({ limit, status, endpoint }: { limit: number; status?: string; endpoint?: string }, command: Command) =>
      sessionOf(command).printList(columns, '/enrollments', { status, endpoint }, limit),
    );
  group
    .command('show <id>')
    .description('show an enrolment: what was asked, by whom, and what came of it')
    .addHelpText('after', '\nExample:\n  muster enrollment show 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const enrollment = await session.client().get<Enrollment>(`/enrollments/${encodeURIComponent(id)}`);
      if (session.options.json === true) session.printJson(enrollment);
      else session.print(formatFields(fieldsOf(enrollment)));
    });
  addDecision(group, sessionOf, 'approve', 'let a waiting enrolment pass');
  addDecision(group, sessionOf, 'reject', 'refuse a waiting enrolment for good');
  group
    .command('comment <id> <text>')
    .description('note something about an enrolment in the audit log')
    .addHelpText('after', "\nExample:\n  muster enrollment comment 0190b2a4-… 'called the site: the router is theirs'")
    .action(async (id: string, comment: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/enrollments/${encodeURIComponent(id)}/comment`;
      session.confirm('noted', await session.client().post<object>(path, { comment }));
    });
}

/** The members, with fingerprints at the end in both forms that devices print. */
function fieldsOf({ requestFingerprints, publicKeyFingerprints, ...rest }: Enrollment): (readonly [string, unknown])[] {
  return [
    ...Object.entries(rest),
    ...fingerprintFields('request', requestFingerprints),
    ...fingerprintFields('public key', publicKeyFingerprints),
  ];
}

function fingerprintFields(of: string, fingerprints: Fingerprints | undefined): (readonly [string, unknown])[] {
  if (fingerprints === undefined) return [];
  return (Object.entries(DIGEST_NAMES) as [keyof Fingerprints, string][]).flatMap(([digest, name]) => [
    [`${of} ${name}`, FINGERPRINT_FORMS.colons(fingerprints[digest])] as const,
    ['', FINGERPRINT_FORMS.words(fingerprints[digest])] as const,
  ]);
}

function addDecision(group: Command, sessionOf: SessionOf, verb: 'approve' | 'reject', description: string): void {
  group
    .command(`${verb} <id>`)
    .description(description)
    .option('--comment <text>', 'kept in the audit log; of a rejection, also told to the device', '')
    .addHelpText('after', `\nExample:\n  muster enrollment ${verb} 0190b2a4-… --comment 'rack 12, ticket 4711'`)
    .action(async (id: string, { comment }: { comment: string }, command: Command) => {
      const session = sessionOf(command);
      const enrollment = await session
        .client()
        .post<Enrollment>(`/enrollments/${encodeURIComponent(id)}/${verb}`, { comment });
      session.confirm(`enrolment ${enrollment.id} is ${enrollment.status}`, enrollment);
    });
}
