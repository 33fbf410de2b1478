import { createReadStream, readFileSync } from 'node:fs';
import type { AuditTree } from '../../core/audit/entry.ts';
import { readExport } from '../../core/audit/export.ts';
import { streamLog } from '../../core/audit/log-stream.ts';
import { listCheckpoints } from '../../core/audit/signing.ts';
import { type LogFinding, type LogToVerify, type LogVerification, verifyLog } from '../../core/audit/verify.ts';
import type { Store } from '../../core/store/store.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { resolveTenant } from '../api/tenants.ts';
import { CliError, EXIT } from './exit-code.ts';
import { openLocalStoreForReading } from './local-store.ts';
import type { Session } from './session.ts';

/** What `muster audit verify` takes: files, and which log of the database. */
export interface VerifyOptions {
  readonly key: string;
  readonly since?: string;
  readonly until?: string;
  readonly entries?: string;
  readonly log: 'tenant' | 'installation';
  readonly config?: string;
}

/** Checkpoints of the database that are looked at besides those given: each narrows down where a change is. */
const storedCheckpoints = 1_000;

/** Verifies a log offline and prints what it found. Throws CliError `findings` when the log is not what was signed. */
export async function verifyOffline(session: Session, options: VerifyOptions): Promise<void> {
  const verification = await verify(session, options);
  report(session, verification);
  if (!verification.ok) throw new CliError(EXIT.findings, 'the log is not what was signed');
}

async function verify(session: Session, options: VerifyOptions): Promise<LogVerification> {
  const given = {
    publicKeys: publicKeysOf(options.key),
    ...(options.since !== undefined && { since: readText(options.since) }),
    ...(options.until !== undefined && { until: readText(options.until) }),
  };
  if (options.entries !== undefined)
    return verifyLog({ ...given, entries: readExport(createReadStream(options.entries)) });
  await using store = await openLocalStoreForReading(session, options.config);
  return await verifyLog({ ...given, ...(await storedLog(store, await treeOf(store, session, options.log))) });
}

async function storedLog(store: Store, tree: AuditTree): Promise<Pick<LogToVerify, 'entries' | 'checkpoints'>> {
  const checkpoints = await listCheckpoints(store, tree, storedCheckpoints);
  return { entries: streamLog(store, tree), checkpoints: checkpoints.map((checkpoint) => checkpoint.note) };
}

async function treeOf(store: Store, { options }: Session, log: VerifyOptions['log']): Promise<AuditTree> {
  if (log === 'installation') return null;
  const name = options.tenant ?? 'default';
  const tenant = await resolveTenant(store, name);
  if (tenant === undefined) throw new CliError(EXIT.notFound, `no tenant is named ${name}`);
  return tenant;
}

function report(session: Session, { ok, findings, size, rootHash, provenSize }: LogVerification): void {
  const root = Buffer.from(rootHash).toString('base64');
  if (session.options.json === true) {
    session.printJson({ ok, size, provenSize, rootHash: root, findings });
    return;
  }
  for (const finding of findings) session.print(`${describe(finding)}\n`);
  session.print(
    `${size} ${size === 1 ? 'entry' : 'entries'}, ${provenSize} of them proven by signed checkpoints, root ${root}\n`,
  );
  if (ok) session.print('the log is what was signed\n');
}

function describe(finding: LogFinding): string {
  switch (finding.kind) {
    case 'no-checkpoint':
      return 'no checkpoint verifies: the entries prove nothing';
    case 'bad-checkpoint':
      return `a checkpoint is not acceptable: ${finding.detail}`;
    case 'fork':
      return `two checkpoints contradict each other from ${finding.size} entries on: the log was forked`;
    case 'wrong-index':
      return `entry ${finding.index} is missing or moved: entry ${finding.found} stands in its place`;
    case 'truncated':
      return `entries ${finding.index} to ${finding.signedSize - 1} were signed and are gone`;
    case 'entry-altered':
      return `entry ${finding.index} was rewritten or swapped`;
    case 'tree-altered':
      return `entry ${finding.index} is as signed, but its hash in the stored tree was changed`;
    case 'range-altered':
      return `something in entries ${finding.from} to ${finding.to - 1} is not what was signed, and the tree was changed to match`;
  }
}

function publicKeysOf(file: string): Uint8Array[] {
  const keys = decodePem(readText(file)).filter((block) => block.label === 'PUBLIC KEY');
  if (keys.length === 0) throw new CliError(EXIT.usage, `${file}: expected a PEM file with a PUBLIC KEY`);
  return keys.map((block) => block.der);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
  }
}
