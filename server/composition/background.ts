import { AuditSequencer } from '../../core/audit/audit-sequencer.ts';
import { endLeaseOfDeadProcess } from '../../core/audit/lease.ts';
import type { CheckpointSigning } from '../../core/audit/signing.ts';
import { expirePending } from '../../core/enrollment/enrollments.ts';
import { JobRunner } from '../../core/store/job-runner.ts';
import type { Store } from '../../core/store/store.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Kernel } from './kernel.ts';
import { auditObserver } from './observers.ts';

/** Work that goes on beside the requests. */
export interface Background {
  /** Finishes what is under way and leaves. */
  stop(): Promise<void>;
}

/** What the background works with. */
export interface BackgroundParts {
  readonly kernel: Kernel;
  readonly telemetry: Telemetry;
  readonly auditSigning: CheckpointSigning;
  /** Renews our own TLS certificates when they are due. */
  readonly renewTls: () => Promise<void>;
}

const SECOND = 1000;

/** Starts the audit sequencer, the jobs of the installation, and the renewal of this node's TLS certificates. */
export function startBackground({ kernel, telemetry, auditSigning, renewTls }: BackgroundParts): Background {
  const { store, hall } = kernel;
  const stopping = new AbortController();
  const sequencer = new AuditSequencer({ store, signing: auditSigning, onAlarm: auditObserver(telemetry) });
  const sequencing = sequence(store, sequencer, stopping.signal);
  const jobs = new JobRunner(
    store,
    {
      'expire-enrollments': async () => void (await expirePending(store)),
      'resume-enrollments': async () => void (await hall.resumeInterrupted(false)),
    },
    {
      schedules: [
        { name: 'expire-enrollments', kind: 'expire-enrollments', payload: {}, everyMs: 60 * SECOND },
        { name: 'resume-enrollments', kind: 'resume-enrollments', payload: {}, everyMs: 5 * SECOND },
      ],
      report: (error, job) => telemetry.log.warn({ error, job: job?.kind }, 'a job failed; it is tried again'),
    },
  );
  jobs.start();
  const renewal = setInterval(() => {
    renewTls().catch((error: unknown) =>
      telemetry.log.warn({ error }, 'our TLS certificates could not be renewed; it is tried again'),
    );
  }, 3600 * SECOND).unref();
  return {
    async stop() {
      clearInterval(renewal);
      await jobs.stop();
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
