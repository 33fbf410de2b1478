import { PeerError, StateError } from '../errors/muster-error.ts';
import type { Store, Unit } from '../store/store.ts';
import { endAsked, pendingTooLong, recordEnrollmentEvent } from './enrollment-record.ts';
import { approveEnrollment, enrollmentById } from './statements.ts';
import type { EnrollmentRow, EnrollmentStatus, EnrollmentTables } from './tables.ts';

/** What a list of enrolments may be narrowed by. */
export interface EnrollmentFilter {
  readonly after?: string | undefined;
  readonly limit: number;
  readonly status?: EnrollmentStatus | undefined;
  readonly endpoint?: string | undefined;
}

/** The enrolments of a tenant in order of id (which is the order they came in), after `after`. */
export function listEnrollments(store: Store, tenant: string, filter: EnrollmentFilter): Promise<EnrollmentRow[]> {
  let query = store.forTenant<EnrollmentTables>(tenant).selectFrom('enrollments').selectAll();
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.status !== undefined) query = query.where('status', '=', filter.status);
  if (filter.endpoint !== undefined) query = query.where('endpoint', '=', filter.endpoint);
  return query.orderBy('id').limit(filter.limit).execute();
}

/** One enrolment of a tenant. */
export async function getEnrollment(store: Store, tenant: string, id: string): Promise<EnrollmentRow | undefined> {
  const [row] = await store.query(enrollmentById, { tenant, id });
  return row;
}

/** What an operator says about a waiting enrolment. */
export interface Decision {
  readonly tenant: string;
  readonly id: string;
  /** Who decides, as `kind:id`. */
  readonly actor: string;
  readonly comment: string;
  readonly now: number;
}

/**
 * Lets a waiting enrolment pass: the device gets its certificate when it asks again.
 * @throws PeerError `not-found`; StateError `conflict` when it is not waiting (any more), `enrollment-expired` when nobody
 *   decided in time.
 */
export async function approve(tx: Unit, { tenant, id, actor, comment, now }: Decision): Promise<void> {
  const row = await waiting(tx, tenant, id, now);
  if ((await tx.affected(approveEnrollment, { tenant, id, actor, comment, now })) !== 1) throw notWaiting(row);
  await recordEnrollmentEvent(tx, row, {
    actor,
    action: 'enrollment.approved',
    outcome: 'success',
    details: { comment },
    at: now,
  });
}

/**
 * Refuses a waiting enrolment for good: the same request is answered with the rejection from now on.
 * @throws as {@link approve} does.
 */
export async function reject(tx: Unit, { tenant, id, actor, comment, now }: Decision): Promise<void> {
  const row = await waiting(tx, tenant, id, now);
  const detail = comment === '' ? 'rejected by an operator' : `rejected by an operator: ${comment}`;
  const ended = await endAsked(tx, row, {
    from: 'pending',
    to: 'rejected',
    reason: 'operator-rejected',
    detail,
    decidedBy: actor,
    now,
  });
  if (!ended) throw notWaiting(row);
}

/** Ends the enrolments nobody decided about in time; returns how many. */
export async function expirePending(store: Store): Promise<number> {
  const now = store.clock.now();
  const late = await store
    .read<EnrollmentTables>()
    .selectFrom('enrollments')
    .selectAll()
    .where('status', '=', 'pending')
    .where('expires_at', '<=', now)
    .limit(1000)
    .execute();
  let ended = 0;
  for (const row of late) if (await store.unit((tx) => endAsked(tx, row, pendingTooLong(now)))) ended += 1;
  return ended;
}

async function waiting(tx: Unit, tenant: string, id: string, now: number): Promise<EnrollmentRow> {
  const [row] = await tx.run(enrollmentById, { tenant, id });
  if (!row) throw new PeerError('not-found', 'there is no such enrolment');
  if (row.status !== 'pending') throw notWaiting(row);
  if (row.expires_at !== null && row.expires_at <= now)
    throw new StateError('enrollment-expired', 'nobody decided in time; the device must ask again');
  return row;
}

function notWaiting(row: EnrollmentRow): StateError {
  return new StateError('conflict', `the enrolment is ${row.status}, not pending`);
}
