import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { decodeEntry } from '../../core/audit/entry.ts';
import { exportLine, readExport } from '../../core/audit/export.ts';
import { streamLog } from '../../core/audit/log-stream.ts';
import { listCheckpoints } from '../../core/audit/signing.ts';
import type { AuditTables } from '../../core/audit/tables.ts';
import { type LogVerification, verifyLog } from '../../core/audit/verify.ts';
import type { AuthorityTables, CertificateRow } from '../../core/authority/tables.ts';
import type { EnrollmentRow, EnrollmentTables } from '../../core/enrollment/tables.ts';
import type { Store } from '../../core/store/store.ts';
import { encodePem } from '../../core/x509/pem.ts';
import type { InstallationTables } from '../../server/installation/tables.ts';
import type { DeviceRequest } from './est-fleet.ts';

/** What the store holds about enrolments, read at one moment. */
export interface InstallationState {
  readonly tenant: string;
  readonly enrollments: readonly EnrollmentRow[];
  /** Those that belong to an enrolment. */
  readonly certificates: readonly CertificateRow[];
  /** One-time secrets: state by id. */
  readonly oneTimeSecrets: ReadonlyMap<string, string>;
}

/** Reads it, table by table: consistent only while nobody writes. */
export async function readState(store: Store): Promise<InstallationState> {
  const db = store.read<AuthorityTables & EnrollmentTables>();
  const { id: tenant } = await db.selectFrom('tenants').select('id').executeTakeFirstOrThrow();
  const certificates = await db.selectFrom('certificates').selectAll().where('enrollment', 'is not', null).execute();
  const enrollments = await db.selectFrom('enrollments').selectAll().execute();
  const secrets = await db
    .selectFrom('shared_secrets')
    .select(['id', 'state'])
    .where('usage', '=', 'one-time')
    .execute();
  return { tenant, enrollments, certificates, oneTimeSecrets: new Map(secrets.map(({ id, state }) => [id, state])) };
}

/**
 * Everything in which the store contradicts what the devices were told, or itself; empty when nothing does. One line
 * each, so that a failing test shows what is wrong.
 */
export function contradictions(state: InstallationState, requests: Iterable<DeviceRequest>): string[] {
  const enrollments = Map.groupBy(state.enrollments, (row) => row.spki_sha256);
  const certificates = Map.groupBy(state.certificates, (row) => row.spki_sha256);
  const found: string[] = [];
  for (const device of requests) {
    const own = {
      enrollments: enrollments.get(device.spkiSha256) ?? [],
      certificates: certificates.get(device.spkiSha256) ?? [],
    };
    found.push(
      ...contradictionsOf(device, own, state).map((text) => `${device.name} (${device.tries} tries): ${text}`),
    );
  }
  return found;
}

function contradictionsOf(
  device: DeviceRequest,
  own: { readonly enrollments: readonly EnrollmentRow[]; readonly certificates: readonly CertificateRow[] },
  state: InstallationState,
): string[] {
  const found: string[] = [];
  const [enrollment] = own.enrollments;
  const [certificate] = own.certificates;
  if (device.answers.size > 1) found.push(`it was given ${device.answers.size} different certificates`);
  if (own.enrollments.length > 1) found.push(`it has ${own.enrollments.length} enrolments`);
  if (own.certificates.length > 1) found.push(`it has ${own.certificates.length} certificates`);
  if (!holdsAnswers(own.certificates, device.answers)) found.push('the certificate it was given is not in the store');
  if (enrollment && certificate) {
    if (certificate.serial_number !== enrollment.serial_number)
      found.push('its certificate has not the serial number of its enrolment');
    if (certificate.id !== enrollment.certificate || certificate.enrollment !== enrollment.id)
      found.push('enrolment and certificate do not belong together');
  }
  if ((enrollment?.status === 'issued') !== (certificate !== undefined))
    found.push(`it is ${enrollment?.status} with ${own.certificates.length} certificates`);
  if (enrollment?.status === 'issued' && (enrollment.tbs !== null || enrollment.lease_owner !== null))
    found.push('it is issued and still holds what was to be signed');
  if (enrollment?.secret) {
    const expected = enrollment.status === 'issued' ? 'spent' : 'bound';
    const is = state.oneTimeSecrets.get(enrollment.secret);
    if (is !== expected) found.push(`its one-time password is ${is}, not ${expected}`);
  }
  return found;
}

/** Of answers noted before the state was read, those that it does not hold: also while others write, there is none. */
export function lostAnswers(state: InstallationState, answers: readonly ReadonlyMap<string, Uint8Array>[]): string[] {
  const stored = new Map(state.certificates.map((row) => [row.fingerprint, row]));
  const lost = answers.flatMap((given) =>
    [...given.keys()].filter((fingerprint) => !holdsAnswers([stored.get(fingerprint)], given)),
  );
  return lost.map((fingerprint) => `${fingerprint} was answered and is not in the store`);
}

function holdsAnswers(
  rows: readonly (CertificateRow | undefined)[],
  answers: ReadonlyMap<string, Uint8Array>,
): boolean {
  return [...answers].every(([fingerprint, der]) =>
    rows.some((row) => row?.fingerprint === fingerprint && Buffer.from(row.der).equals(der)),
  );
}

/** The enrolments that are between their two units. */
export function signing({ enrollments }: InstallationState): EnrollmentRow[] {
  return enrollments.filter((row) => row.status === 'signing');
}

/** A verified log and how often it says that each certificate was issued, by the id of the certificate. */
export interface AuditedLog {
  readonly verification: LogVerification;
  readonly issued: ReadonlyMap<string, number>;
}

/** The newest signed checkpoint of the tenant, for an auditor to keep. */
export async function newestCheckpoint(store: Store, tenant: string): Promise<string | undefined> {
  return (await listCheckpoints(store, tenant, 1))[0]?.note;
}

/** Waits until the sequencer has placed all that was recorded: after a crash, not before the lease of the dead one ends. */
export async function untilSequenced(store: Store): Promise<void> {
  const waiting = async (): Promise<number> => {
    const query = store
      .read<AuditTables>()
      .selectFrom('audit_entries')
      .select((eb) => eb.fn.countAll<number>().as('count'));
    return (await query.where('tree_index', 'is', null).executeTakeFirstOrThrow()).count;
  };
  await expect.poll(waiting, { timeout: 30_000, interval: 250 }).toBe(0);
}

/** Exports the tenant's log, and verifies the export offline against the audit key and a checkpoint kept from earlier. */
export async function auditLog(store: Store, tenant: string, since: string | undefined): Promise<AuditedLog> {
  const key = await store
    .read<InstallationTables>()
    .selectFrom('installation')
    .select('value')
    .where('name', '=', 'audit-key')
    .executeTakeFirstOrThrow();
  const { publicKey } = JSON.parse(Buffer.from(key.value).toString()) as { readonly publicKey: string };
  const issued = new Map<string, number>();
  const exported = async function* (): AsyncGenerator<Uint8Array> {
    for await (const logged of streamLog(store, tenant)) {
      const entry = decodeEntry(logged.bytes);
      const certificate = entry?.action === 'certificate.issued' ? entry.object.replace('certificate:', '') : undefined;
      if (certificate !== undefined) issued.set(certificate, (issued.get(certificate) ?? 0) + 1);
      yield exportLine(logged);
    }
  };
  const verification = await verifyLog({
    entries: readExport(exported()),
    publicKeys: [Buffer.from(publicKey, 'base64')],
    checkpoints: (await listCheckpoints(store, tenant, 1000)).map(({ note }) => note),
    since,
  });
  return { verification, issued };
}

/** Has openssl verify certificates under the root. Returns what it did not say OK to. */
export async function refusedByOpenssl(store: Store, certificates: readonly Uint8Array[]): Promise<string[]> {
  const authorities = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .select(['kind', 'certificate'])
    .execute();
  const folder = await mkdtemp('/tmp/muster-chain-');
  const write = (name: string, ders: readonly Uint8Array[]): Promise<void> =>
    writeFile(join(folder, name), ders.map((der) => encodePem('CERTIFICATE', der)).join(''));
  try {
    const names = certificates.map((_, index) => `${index}.pem`);
    await Promise.all(names.map((name, index) => write(name, [certificates[index]!])));
    for (const kind of ['root', 'issuing'] as const)
      await write(
        `${kind}.pem`,
        authorities.filter((row) => row.kind === kind).map((row) => row.certificate),
      );
    const args = ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'issuing.pem', ...names];
    const { stdout } = await promisify(execFile)('openssl', args, { cwd: folder, maxBuffer: 1 << 26 });
    const accepted = new Set(stdout.split('\n'));
    return names.filter((name) => !accepted.has(`${name}: OK`));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
