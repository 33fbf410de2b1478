import { sql } from 'kysely';
import { databaseNow } from './database-clock.ts';
import type { JobPayload, JobTables } from './jobs.ts';
import { statement } from './statement.ts';
import type { Store, Unit } from './store.ts';

/** A job that comes again at a fixed interval, on one node of all that declare it. */
export interface Schedule {
  /** Unique in the installation. */
  readonly name: string;
  readonly kind: string;
  readonly payload: JobPayload;
  /** At least a second: each turn costs commits. */
  readonly everyMs: number;
}

const insertSchedule = statement<JobTables>()('schedule-insert', (db, p: { name: string }) =>
  db
    .insertInto('job_schedules')
    .values({ name: p.name, next_at: 0 })
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

/** Compare-and-set by the database's clock: of all nodes that see it due, one moves it on. */
const advanceSchedule = statement<JobTables>()('schedule-advance', (db, p: { name: string; everyMs: number }, engine) =>
  db
    .updateTable('job_schedules')
    .set({ next_at: sql<number>`${databaseNow(engine)} + cast(${p.everyMs} as bigint)` })
    .where('name', '=', p.name)
    .where('next_at', '<=', databaseNow(engine)),
);

const selectDue = statement<JobTables>()('schedule-due', (db, _none: Record<never, never>, engine) =>
  db.selectFrom('job_schedules').select('name').where('next_at', '<=', databaseNow(engine)),
);

/** Makes the schedules known; each is due at once the first time. */
export async function declareSchedules(store: Store, schedules: readonly Schedule[]): Promise<void> {
  if (schedules.length === 0) return;
  await store.unit(async (tx) => {
    for (const { name } of schedules) await tx.affected(insertSchedule, { name });
  });
}

/** Enqueues the jobs of the schedules that are due. A turn that finds the last one's job still waiting adds nothing. */
export async function enqueueScheduled(store: Store, schedules: readonly Schedule[]): Promise<void> {
  if (schedules.length === 0) return;
  const due = new Set((await store.query(selectDue, {})).map((row) => row.name));
  const ours = schedules.filter((schedule) => due.has(schedule.name));
  if (ours.length === 0) return;
  await store.unit(async (tx) => {
    for (const schedule of ours) await enqueueTurn(tx, store, schedule);
  });
}

async function enqueueTurn(tx: Unit, store: Store, { name, kind, payload, everyMs }: Schedule): Promise<void> {
  if ((await tx.affected(advanceSchedule, { name, everyMs })) === 0) return;
  await store.jobs.enqueue(tx, { kind, payload, key: `schedule:${name}` });
}
