import type { AuthorityTables } from '../../core/authority/tables.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import type { NotifyTables } from '../notify/tables.ts';
import type { DoctorFinding } from './doctor.ts';

const DAY = 86_400_000;
/** A successor has to be announced, and devices have to learn of it. */
const ENDING_DAYS = 180;
const MOST_NAMED = 5;

/** What an administrator should do: authorities that end, work that was given up, tenants that nobody is told of. */
export async function administrationFindings(store: Store): Promise<DoctorFinding[]> {
  try {
    return [await authorityFinding(store), await jobFinding(store), await channelFinding(store)];
  } catch {
    // A database that does not answer is a finding of its own.
    return [];
  }
}

async function authorityFinding(store: Store): Promise<DoctorFinding> {
  const check = 'authorities';
  const until = store.clock.now() + ENDING_DAYS * DAY;
  const active = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .select(['name', 'certificate'])
    .where('state', '=', 'active')
    .execute();
  const ending = active.filter(({ certificate }) => parseCertificate(certificate).notAfter.getTime() < until);
  if (ending.length === 0) return { check, state: 'ok', text: `${active.length} authorities are active` };
  return {
    check,
    state: 'warning',
    text: `end within ${ENDING_DAYS} days: ${some(ending.map(({ name }) => name))}`,
    remedy: 'announce a successor: muster ca rollover start NAME',
  };
}

async function jobFinding(store: Store): Promise<DoctorFinding> {
  const check = 'jobs';
  const dead = await store.jobs.list({ state: 'dead', limit: MOST_NAMED + 1 });
  if (dead.length === 0) return { check, state: 'ok', text: 'no work was given up' };
  return {
    check,
    state: 'warning',
    text: `work was given up after its last attempt: ${some(dead.map(({ kind }) => kind))}`,
    remedy: 'see why by `muster job list --state dead`, then `muster job retry ID`',
  };
}

async function channelFinding(store: Store): Promise<DoctorFinding> {
  const check = 'channels';
  const rows = await store
    .read<AuthorityTables & NotifyTables>()
    .selectFrom('tenants')
    .leftJoin('notification_channels', (join) =>
      join.onRef('notification_channels.tenant', '=', 'tenants.id').on('enabled', '=', 1),
    )
    .select('tenants.name')
    .where('notification_channels.id', 'is', null)
    .orderBy('tenants.name')
    .execute();
  if (rows.length === 0)
    return { check, state: 'ok', text: 'every tenant is told of certificates that are about to end' };
  return {
    check,
    state: 'warning',
    text: `nobody is told of certificates that are about to end in ${some(rows.map(({ name }) => name))}`,
    remedy: 'add a channel: muster channel create --help',
  };
}

function some(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
