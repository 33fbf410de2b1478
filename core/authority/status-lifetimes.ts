import { appendAudit } from '../audit/log.ts';
import { PeerError } from '../errors/muster-error.ts';
import { enqueueJob } from '../store/jobs.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import { publicationJob } from './crl-jobs.ts';
import type { AuthorityTables } from './tables.ts';

/** How long relying parties may keep what an authority says of its certificates: what they may be late by. Seconds. */
export interface StatusLifetimes {
  /** How long caches of HTTP may keep an OCSP answer or a CRL. */
  readonly maxAgeSeconds: number;
  /** From the signature of an OCSP answer to its nextUpdate. */
  readonly ocspSeconds: number;
  /** From thisUpdate to nextUpdate of deltas and shards; the next one is signed when half is left. */
  readonly crlSeconds: number;
  /** The same of full CRLs. */
  readonly fullCrlSeconds: number;
}

/** Five minutes in a cache; an hour in a client that keeps an answer to its end; a day for the list that is the base of deltas. */
export const DEFAULT_STATUS_LIFETIMES: StatusLifetimes = Object.freeze({
  maxAgeSeconds: 300,
  ocspSeconds: 3_600,
  crlSeconds: 3_600,
  fullCrlSeconds: 86_400,
});

const DAY = 86_400;

/** The least and the most of each, seconds. A CRL is looked at once a minute and must be renewed in half of its life. */
export const STATUS_LIFETIME_BOUNDS: Readonly<Record<keyof StatusLifetimes, readonly [least: number, most: number]>> = {
  maxAgeSeconds: [0, 7 * DAY],
  ocspSeconds: [60, 7 * DAY],
  crlSeconds: [600, 7 * DAY],
  fullCrlSeconds: [600, 31 * DAY],
};

/** Those of an authority, with the defaults for what nobody set. */
export async function statusLifetimes(store: Store, authority: string): Promise<StatusLifetimes> {
  const [row] = await store.query(lifetimesOf, { authority });
  return withDefaults(row?.lifetimes ?? null);
}

/** A wish to change some of them. */
export interface LifetimesChange {
  readonly tenant: string;
  readonly authority: string;
  readonly changes: Partial<StatusLifetimes>;
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/**
 * Changes the lifetimes of an authority and returns all of them. Its CRLs are published anew; OCSP answers that were signed
 * before keep what they say, and are replaced when half of their life is over.
 * @throws PeerError `malformed-request` beyond {@link STATUS_LIFETIME_BOUNDS}, or when caches could keep an answer beyond its end
 */
export async function changeStatusLifetimes(tx: Unit, change: LifetimesChange): Promise<StatusLifetimes> {
  const { tenant, authority, changes, actor, at } = change;
  const [row] = await tx.run(lifetimesOf, { authority });
  const lifetimes = { ...withDefaults(row?.lifetimes ?? null), ...changes };
  requireBounds(lifetimes);
  await tx.affected(upsertLifetimes, { tenant, authority, lifetimes: JSON.stringify(lifetimes) });
  await appendAudit(tx, {
    tenant,
    at,
    actor,
    action: 'authority.lifetimes-changed',
    object: `authority:${authority}`,
    outcome: 'success',
    details: { ...lifetimes },
  });
  const inForce = await tx
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('crls')
    .select('scope')
    .where('authority', '=', authority)
    .execute();
  for (const { scope } of inForce.filter((crl) => crl.scope !== 'delta'))
    await enqueueJob(tx, publicationJob({ tenant, authority, scope }, 'regular'));
  return lifetimes;
}

function requireBounds(lifetimes: StatusLifetimes): void {
  for (const [name, [least, most]] of Object.entries(STATUS_LIFETIME_BOUNDS)) {
    const seconds = lifetimes[name as keyof StatusLifetimes];
    if (!Number.isInteger(seconds) || seconds < least || seconds > most)
      throw new PeerError('malformed-request', `${name}: expected ${least} to ${most} seconds, found ${seconds}`);
  }
  const { maxAgeSeconds, ocspSeconds, crlSeconds, fullCrlSeconds } = lifetimes;
  const shortest = Math.min(ocspSeconds, crlSeconds, fullCrlSeconds);
  if (maxAgeSeconds > shortest)
    throw new PeerError(
      'malformed-request',
      `maxAgeSeconds: expected no more than the shortest life, ${shortest}, found ${maxAgeSeconds}`,
    );
}

function withDefaults(text: string | null): StatusLifetimes {
  return text === null
    ? DEFAULT_STATUS_LIFETIMES
    : { ...DEFAULT_STATUS_LIFETIMES, ...(JSON.parse(text) as Partial<StatusLifetimes>) };
}

const lifetimesOf = statement<AuthorityTables>()('authority-lifetimes', (db, p: { authority: string }) =>
  db.selectFrom('authority_status').select('lifetimes').where('authority', '=', p.authority),
);

const upsertLifetimes = statement<AuthorityTables>()(
  'authority-lifetimes-upsert',
  (db, p: { tenant: string; authority: string; lifetimes: string }) =>
    db
      .insertInto('authority_status')
      .values({ tenant: p.tenant, authority: p.authority, lifetimes: p.lifetimes, ends_at: null })
      .onConflict((conflict) =>
        conflict.column('authority').doUpdateSet((row) => ({ lifetimes: row.ref('excluded.lifetimes') })),
      ),
);
