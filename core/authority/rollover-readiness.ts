import { sql, type ExpressionBuilder, type SelectQueryBuilder } from 'kysely';

import type { Store, Unit } from '../store/store.ts';
import type { Rollover } from './rollover-records.ts';
import type { RolloverEvidence } from './rollover-sightings.ts';
import type { AuthorityTables } from './tables.ts';

/** Who is ready for the successors of a rollover. What is not proved is unknown, and unknown is not ready. */
export interface Readiness {
  /** Devices with a certificate of a predecessor that has neither ended nor been revoked. */
  readonly devices: number;
  /** Those of them that proved to know the successor. */
  readonly proved: number;
  /** The others. */
  readonly unknown: number;
  /** Those of all of them that were issued a certificate by a successor, whether or not they were seen to use it. */
  readonly renewed: number;
  /** Of the devices that proved it: by what, and how many; one device may count under several. */
  readonly evidence: Readonly<Partial<Record<RolloverEvidence, number>>>;
  /** Fetches by nobody in particular: they prove nothing of any device. */
  readonly anonymousFetches: readonly { readonly protocol: string; readonly count: number; readonly lastAt: number }[];
  /** Certificates of devices, revoked ones among them, that a predecessor issued and that have not ended. */
  readonly certificates: number;
  /** When the last of them ends, epoch milliseconds. */
  readonly lastNotAfter: number | undefined;
}

/** Counts who is ready. */
export async function readinessOf(store: Store, rollover: Rollover): Promise<Readiness> {
  const now = store.clock.now();
  const held = holdings(store, rollover, now);
  const [devices, proved, renewed, evidence, fetches, live] = await Promise.all([
    held.select(countOfDevices).executeTakeFirstOrThrow(),
    held
      .select(countOfDevices)
      .where(({ exists }) => exists(sightings(rollover)))
      .executeTakeFirstOrThrow(),
    held
      .select(countOfDevices)
      .where(({ exists }) => exists(successors(rollover)))
      .executeTakeFirstOrThrow(),
    evidenceOf(store, rollover, now),
    store
      .forTenant<AuthorityTables>(rollover.tenant)
      .selectFrom('rollover_fetches')
      .select(['protocol', 'fetches as count', 'last_at as lastAt'])
      .where('rollover', '=', rollover.id)
      .orderBy('protocol')
      .execute(),
    liveCertificates(store, rollover, now),
  ]);
  const [all, sure] = [Number(devices.count), Number(proved.count)];
  return {
    devices: all,
    proved: sure,
    unknown: all - sure,
    renewed: Number(renewed.count),
    evidence,
    anonymousFetches: fetches.map(({ protocol, count, lastAt }) => ({ protocol, count: Number(count), lastAt })),
    ...live,
  };
}

/** A device that must be ready, with what it proved. */
export interface DeviceReadiness {
  readonly device: string;
  readonly evidence: readonly { readonly kind: RolloverEvidence; readonly protocol: string; readonly at: number }[];
}

/** The devices that proved to know the successors, or those that did not, in order of id, after `after`. */
export async function devicesOf(
  store: Store,
  rollover: Rollover,
  {
    standing,
    after,
    limit,
  }: { readonly standing: 'proved' | 'unknown'; readonly after?: string | undefined; readonly limit: number },
): Promise<DeviceReadiness[]> {
  const rows = await holdings(store, rollover, store.clock.now())
    .select('certificates.device')
    .distinct()
    .where(({ exists, not }) =>
      standing === 'proved' ? exists(sightings(rollover)) : not(exists(sightings(rollover))),
    )
    .$if(after !== undefined, (query) => query.where('certificates.device', '>', after!))
    .orderBy('certificates.device')
    .limit(limit)
    .execute();
  const devices = rows.map(({ device }) => device!);
  if (standing === 'unknown' || devices.length === 0) return devices.map((device) => ({ device, evidence: [] }));
  const seen = await store
    .forTenant<AuthorityTables>(rollover.tenant)
    .selectFrom('rollover_sightings')
    .select(['device', 'evidence as kind', 'protocol', 'seen_at as at'])
    .where('rollover', '=', rollover.id)
    .where('device', 'in', devices)
    .orderBy('seen_at')
    .execute();
  return devices.map((id) => ({
    device: id,
    evidence: seen.filter(({ device }) => device === id).map(({ device: _device, ...evidence }) => evidence),
  }));
}

/** What of the predecessors has not ended: their CRLs and OCSP answers are needed until then. */
export async function liveCertificates(
  store: Pick<Store | Unit, 'forTenant'>,
  { tenant, members }: Rollover,
  now: number,
): Promise<Pick<Readiness, 'certificates' | 'lastNotAfter'>> {
  const row = await store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('certificates')
    .select(({ fn }) => [fn.countAll().as('count'), fn.max('not_after').as('last')])
    .where(
      'authority',
      'in',
      members.map(({ predecessor }) => predecessor),
    )
    .where('not_after', '>', now)
    // What Muster holds for itself ends with the authority.
    .where('device', 'is not', null)
    .executeTakeFirstOrThrow();
  const last: number | null = row.last;
  return { certificates: Number(row.count), lastNotAfter: last ?? undefined };
}

type Holdings = SelectQueryBuilder<AuthorityTables, 'certificates', object>;

/** The certificates that devices can use now, of all predecessors. */
function holdings(store: Store, { tenant, members }: Rollover, now: number): Holdings {
  return store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('certificates')
    .where(
      'certificates.authority',
      'in',
      members.map(({ predecessor }) => predecessor),
    )
    .where('certificates.status', '=', 'active')
    .where('certificates.not_after', '>', now)
    .where('certificates.device', 'is not', null);
}

function countOfDevices({ fn }: ExpressionBuilder<AuthorityTables, 'certificates'>) {
  return fn.count('certificates.device').distinct().as('count');
}

function sightings({ tenant, id }: Rollover) {
  return sql`(select 1 from rollover_sightings as seen
    where seen.tenant = ${tenant} and seen.rollover = ${id} and seen.device = certificates.device)`;
}

function successors({ tenant, members }: Rollover) {
  return sql`(select 1 from certificates as later
    where later.tenant = ${tenant} and later.device = certificates.device
    and later.authority in (${sql.join(members.map(({ successor }) => successor))}))`;
}

async function evidenceOf(store: Store, rollover: Rollover, now: number): Promise<Readiness['evidence']> {
  const held = holdings(store, rollover, now).select('certificates.device');
  const rows = await store
    .forTenant<AuthorityTables>(rollover.tenant)
    .selectFrom('rollover_sightings')
    .select(({ fn }) => ['evidence', fn.countAll().as('count')])
    .where('rollover', '=', rollover.id)
    .where('device', 'in', held)
    .groupBy('evidence')
    .execute();
  return Object.fromEntries(rows.map(({ evidence, count }) => [evidence, Number(count)]));
}
