import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import type { Store } from '../store/store.ts';
import type { EnrollmentRow, EnrollmentTables } from './tables.ts';

/** Interrupted enrolments that are signed side by side: their units share commits. */
const AT_ONCE = 32;
/** Rows of one round; the next round reads the next. */
const ROUND = 1000;

/** Enrolments left in `signing`, oldest first: those whose lease ended before `leaseEndedBefore`, or all of them. */
export function interruptedEnrollments(store: Store, leaseEndedBefore: number | undefined): Promise<EnrollmentRow[]> {
  let query = store.read<EnrollmentTables>().selectFrom('enrollments').selectAll().where('status', '=', 'signing');
  if (leaseEndedBefore !== undefined) query = query.where('lease_until', '<=', leaseEndedBefore);
  return query.orderBy('id').limit(ROUND).execute();
}

/**
 * Finishes each, and returns how many `finish` said true for. One that cannot be finished keeps no other waiting.
 * @throws UpstreamError when a token or the store is away; InternalError when some could not be finished: the others are.
 */
export async function finishEach(
  rows: readonly EnrollmentRow[],
  finish: (row: EnrollmentRow) => Promise<boolean>,
): Promise<number> {
  const left = rows.values();
  const failures: unknown[] = [];
  /** Authorities whose token did not answer: their other enrolments wait for the next round, those of others do not. */
  const away = new Set<string>();
  let finished = 0;
  const worker = async (): Promise<void> => {
    for (const row of left) {
      if (away.has(row.authority)) continue;
      try {
        if (await finish(row)) finished += 1;
      } catch (error) {
        failures.push(error);
        if (error instanceof UpstreamError) away.add(row.authority);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  throwFirst(failures);
  return finished;
}

/** UpstreamError when one is among them, as repeating helps then; InternalError for any others. */
function throwFirst(failures: readonly unknown[]): void {
  const upstream = failures.find((error) => error instanceof UpstreamError);
  if (upstream) throw upstream;
  if (failures.length === 0) return;
  throw new InternalError(`${failures.length} interrupted enrolments could not be finished`, { cause: failures[0] });
}
