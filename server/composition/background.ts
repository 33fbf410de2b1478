import { PATIENCE, retirePlan, runPlan } from '../../adapters/sdk/engine.ts';
import { RETIRE_PLAN, RUN_PLAN } from '../../adapters/sdk/journal.ts';
import { AuditSequencer } from '../../core/audit/audit-sequencer.ts';
import { crlJobs } from '../../core/authority/crl-schedule.ts';
import { batchHandler, REVOKE_BATCH } from '../../core/authority/revocation-batches.ts';
import { forgetSightings, noteSightings } from '../../core/authority/revocation-timeline.ts';
import { endLeaseOfDeadProcess } from '../../core/audit/lease.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { expirePending } from '../../core/enrollment/enrollments.ts';
import { forgetEnded } from '../../protocols/acme/expiry.ts';
import { endUnconfirmed } from '../../protocols/cmp/confirmation-deadline.ts';
import { forgetEvidence } from '../../devices/attestation/evidence-records.ts';
import { JobRunner } from '../../core/store/job-runner.ts';
import type { Store } from '../../core/store/store.ts';
import { forgetAnswers } from '../api/idempotency.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Kernel } from './kernel.ts';
import { notifyJobs } from './notify-jobs.ts';
import { auditObserver, crlAlarm } from './observers.ts';
import { VERSION } from './version.ts';

/** Work that goes on beside the requests. */
export interface Background {
  /** Finishes what is under way and leaves. */
  stop(): Promise<void>;
}

/** What the background works with. */
export interface BackgroundParts {
  readonly kernel: Kernel;
  readonly acme: { resume(): Promise<void> };
  readonly telemetry: Telemetry;
  readonly auditSigning: CheckpointSigning;
  readonly alerts: Configuration['alerts'];
  /** How the timelines of revocations name this node. */
  readonly node: string;
  /** Renews our own TLS certificates when they are due. */
  readonly renewTls: () => Promise<void>;
}

const SECOND = 1000;
/** Devices that plans work on at once. */
const PLANS_AT_A_TIME = 32;
/** How long a verdict that no request came for stays to be looked at. */
const DAY_MS = 86_400 * SECOND;

/** Starts the audit sequencer, the jobs of the installation, and the renewal of this node's TLS certificates. */
export function startBackground({
  kernel,
  acme,
  telemetry,
  auditSigning,
  alerts,
  node,
  renewTls,
}: BackgroundParts): Background {
  const { store, hall, identities, crls, revocations, rollover, sightings, dataKeys } = kernel;
  const stopping = new AbortController();
  const sequencer = new AuditSequencer({ store, signing: auditSigning, onAlarm: auditObserver(telemetry) });
  const sequencing = sequence(store, sequencer, stopping.signal);
  const window = { days: alerts.expiryDays, percent: alerts.expiryPercent };
  const notifying = notifyJobs({ store, dataKeys, version: VERSION }, window, telemetry);
  const publication = crlJobs(store, crls, crlAlarm(telemetry));
  const jobs = new JobRunner(
    store,
    {
      ...publication.handlers,
      ...notifying.handlers,
      'forget-answers': () => forgetAnswers(store),
      [REVOKE_BATCH]: batchHandler(store),
      'forget-sightings': () => forgetSightings(store),
      'forget-evidence': () => forgetEvidence(store, DAY_MS),
      'expire-enrollments': async () => void (await expirePending(store)),
      'end-cmp-confirmations': () => endUnconfirmed(store),
      'resume-acme': () => acme.resume(),
      'forget-acme': () => forgetEnded(store),
      'resume-enrollments': async () => void (await hall.resumeInterrupted(false)),
      'switch-authorities': async () => void (await rollover.switchDue()),
      'renew-service-identities': async () => void (await identities.renewDue()),
    },
    {
      schedules: [
        ...publication.schedules,
        ...notifying.schedules,
        { name: 'forget-answers', kind: 'forget-answers', payload: {}, everyMs: 3600 * SECOND },
        { name: 'forget-sightings', kind: 'forget-sightings', payload: {}, everyMs: 86_400 * SECOND },
        { name: 'forget-evidence', kind: 'forget-evidence', payload: {}, everyMs: 3600 * SECOND },
        { name: 'expire-enrollments', kind: 'expire-enrollments', payload: {}, everyMs: 60 * SECOND },
        { name: 'end-cmp-confirmations', kind: 'end-cmp-confirmations', payload: {}, everyMs: 10 * SECOND },
        { name: 'resume-enrollments', kind: 'resume-enrollments', payload: {}, everyMs: 5 * SECOND },
        { name: 'switch-authorities', kind: 'switch-authorities', payload: {}, everyMs: 5 * SECOND },
        { name: 'resume-acme', kind: 'resume-acme', payload: {}, everyMs: 5 * SECOND },
        { name: 'forget-acme', kind: 'forget-acme', payload: {}, everyMs: 300 * SECOND },
        { name: 'renew-service-identities', kind: 'renew-service-identities', payload: {}, everyMs: 3600 * SECOND },
      ],
      report: (error, job) => telemetry.log.warn({ error, job: job?.kind }, 'a job failed; it is tried again'),
    },
  );
  jobs.start();
  const engine = { ...kernel, patience: PATIENCE };
  // On their own: plans wait for devices, and nothing else is to wait for them.
  const planning = new JobRunner(
    store,
    { [RUN_PLAN]: runPlan(engine), [RETIRE_PLAN]: retirePlan(engine) },
    {
      concurrency: PLANS_AT_A_TIME,
      report: (error, job) => telemetry.log.warn({ error, job: job?.kind }, 'a plan is gone on with later'),
    },
  );
  planning.start();
  const stopNoting = noteSightings(store, revocations, node, (error) =>
    telemetry.log.warn({ error }, 'the timeline of a revocation lacks this node'),
  );
  const renew = (): void => {
    renewTls().catch((error: unknown) =>
      telemetry.log.warn({ error }, 'our TLS certificates could not be renewed; it is tried again'),
    );
  };
  // Once a minute: nodes that did not switch an authority themselves follow it this late.
  const renewal = setInterval(renew, 60 * SECOND).unref();
  const stopFollowing = rollover.onSwitched(renew);
  const noting = setInterval(() => {
    sightings
      .flush()
      .catch((error: unknown) => telemetry.log.warn({ error }, 'who was seen to know a new authority is stored later'));
  }, 2 * SECOND).unref();
  return {
    async stop() {
      clearInterval(renewal);
      clearInterval(noting);
      stopFollowing();
      stopNoting();
      await Promise.all([jobs.stop(), planning.stop()]);
      // What a store that is away does not take is unknown, as after a crash.
      await sightings.flush().catch(() => undefined);
      stopping.abort();
      await sequencing;
    },
  };
}

/** A site's only process does not wait for the lease that it left behind when it was killed. */
async function sequence(store: Store, sequencer: AuditSequencer, signal: AbortSignal): Promise<void> {
  // Should this fail, the lease ends by itself a few seconds later.
  if (store.engine === 'sqlite') await endLeaseOfDeadProcess(store).catch(() => undefined);
  await sequencer.run(signal);
}
