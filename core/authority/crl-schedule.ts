import { setTimeout as sleep } from 'node:timers/promises';

import { UpstreamError } from '../errors/muster-error.ts';
import type { JobHandler } from '../store/job-runner.ts';
import type { JobPayload } from '../store/jobs.ts';
import type { Schedule } from '../store/schedule.ts';
import type { Store } from '../store/store.ts';
import { keptCrls } from './authority-end.ts';
import { type CrlOccasion, type CrlPublication, PUBLISH_CRL, publicationJob } from './crl-jobs.ts';
import type { Crls } from './crls.ts';

/** Told when a CRL could not be signed: the last good one stays in force until its nextUpdate. */
export type CrlAlarm = (publication: CrlPublication, error: UpstreamError) => void;

/** What a burst of revocations costs: one signature a list in this time. */
const COALESCE_MS = 250;
/** A token that is away is tried again this soon, not after a backoff that has grown for hours. */
const RETRY_SECONDS = 5;
/** A list that cannot be signed is told of this often, not with each attempt. */
const ALARM_EVERY_MS = 60_000;
const LOOK_EVERY_MS = 60_000;
const LOOK = 'look-for-due-crls';

/** The jobs that keep CRLs true and fresh, for the runner of every node. */
export function crlJobs(
  store: Store,
  crls: Crls,
  alarm: CrlAlarm,
): { readonly handlers: Readonly<Record<string, JobHandler>>; readonly schedules: readonly Schedule[] } {
  const publications = new Map<string, number>();
  const alarms = new Map<string, number>();
  const publish: JobHandler = async (payload, turn) => {
    const { occasion, ...publication } = publicationOf(payload);
    const key = `${publication.authority}/${publication.scope}`;
    await sleep(Math.max(0, (publications.get(key) ?? 0) + COALESCE_MS - Date.now()), undefined, {
      signal: turn.signal,
    });
    publications.set(key, Date.now());
    try {
      await crls.publish(publication, occasion, (tx) => turn.confirm(tx));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (Date.now() - (alarms.get(key) ?? 0) > ALARM_EVERY_MS) {
        alarms.set(key, Date.now());
        alarm(publication, error);
      }
      throw new UpstreamError('hsm-unavailable', `the CRL could not be published: ${error.message}`, {
        cause: error,
        retryAfterSeconds: RETRY_SECONDS,
      });
    }
  };
  return {
    handlers: { [PUBLISH_CRL]: publish, [LOOK]: () => enqueueDue(store, crls) },
    schedules: [{ name: LOOK, kind: LOOK, payload: {}, everyMs: LOOK_EVERY_MS }],
  };
}

interface Publication extends CrlPublication {
  readonly occasion: CrlOccasion;
}

/** The payload that `publicationJob` wrote. */
function publicationOf(payload: JobPayload): Publication {
  return payload as JobPayload & Publication;
}

/** Every authority has a full CRL and a delta; shards exist from their first revocation or their first reader on. */
async function enqueueDue(store: Store, crls: Crls): Promise<void> {
  const now = store.clock.now();
  const kept = await keptCrls(store, now);
  const missing = kept.missing.map(({ tenant, id }) => ({ tenant, authority: id, scope: 'full' }));
  const due = kept.inForce
    .filter((crl) => crls.isDue(crl, now))
    .map(({ tenant, authority, scope }) => ({ tenant, authority, scope: scope === 'delta' ? 'changes' : scope }));
  if (missing.length + due.length === 0) return;
  await store.unit(async (tx) => {
    for (const publication of [...missing, ...due])
      await store.jobs.enqueue(tx, publicationJob(publication, 'regular'));
  });
}
