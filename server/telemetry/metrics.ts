import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { RolloverEvidence } from '../../core/authority/rollover-sightings.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import type { ReasonCode } from '../../core/errors/reasons.ts';
import type { EnrollmentOutcome, EventName } from './events.ts';
import { DURATION_BUCKETS, METRICS } from './metric-names.ts';

/** What is read when somebody scrapes. */
export interface MetricSources {
  /** Version of Muster. */
  readonly version: string;
  /** The label and state of each token, without asking it. */
  readonly tokens: () => readonly { readonly label: string; readonly state: string }[];
  readonly store: () => StoreCounters;
  readonly eventLoopDelayMilliseconds: () => number;
}

/** Counters of the store since it was opened. */
interface StoreCounters {
  readonly committedUnits: number;
  readonly rejectedUnits: number;
  readonly commits: number;
  readonly queuedUnits: number;
}

/** One answered HTTP request. */
interface HttpRequestMeasure {
  readonly listener: string;
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

/** The metrics of the process, in a registry of their own. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #httpRequests = this.#counter(METRICS.httpRequests);
  readonly #httpDuration = new Histogram({
    name: METRICS.httpDuration.name,
    help: METRICS.httpDuration.help,
    labelNames: METRICS.httpDuration.labels,
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  });
  readonly #enrollments = this.#counter(METRICS.enrollments);
  readonly #acmeOrders = this.#counter(METRICS.acmeOrders);
  readonly #acmeValidations = this.#counter(METRICS.acmeValidations);
  readonly #acmeNonces = this.#counter(METRICS.acmeNonces);
  readonly #ocspResponses = this.#counter(METRICS.ocspResponses);
  readonly #revocationDelay = new Histogram({
    name: METRICS.revocationDelay.name,
    help: METRICS.revocationDelay.help,
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  });
  readonly #events = this.#counter(METRICS.events);
  readonly #scepLegacy = this.#counter(METRICS.scepLegacy);
  readonly #rolloverSightings = this.#counter(METRICS.rolloverSightings);

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge(METRICS.buildInfo, (gauge) => gauge.set({ version: sources.version, node: process.version }, 1));
    this.#gauge(METRICS.eventLoopDelay, (gauge) => gauge.set(sources.eventLoopDelayMilliseconds() / 1000));
    this.#gauge(METRICS.tokenUp, (gauge) => {
      gauge.reset();
      for (const { label, state } of sources.tokens()) gauge.set({ token: label, state }, state === 'up' ? 1 : 0);
    });
    this.#observeStore(sources.store);
  }

  /** The media type of {@link expose}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in the Prometheus text format. */
  expose(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Counts a device that was seen to know a new CA, or a fetch of its certificates by anybody. */
  countRolloverSighting(evidence: RolloverEvidence | 'anonymous-fetch'): void {
    this.#rolloverSightings.inc({ evidence });
  }

  /** Counts and times an answered HTTP request. */
  countRequest({ listener, route, method, status, seconds }: HttpRequestMeasure): void {
    this.#httpRequests.inc({ listener, route, method, status });
    this.#httpDuration.observe({ listener, route }, seconds);
  }

  /** Counts an answer to an enrolment request; `reason` where there is one. */
  countEnrollment(protocol: string, outcome: EnrollmentOutcome, reason?: ReasonCode): void {
    this.#enrollments.inc({ protocol, outcome, reason: reason ?? '' });
  }

  /** Counts an ACME order that ended. */
  countAcmeOrder(outcome: 'valid' | 'invalid'): void {
    this.#acmeOrders.inc({ outcome });
  }

  /** Counts a look at an ACME challenge. */
  countAcmeValidation(challenge: string, outcome: 'valid' | 'invalid' | 'again'): void {
    this.#acmeValidations.inc({ challenge, outcome });
  }

  /** Counts a nonce of an ACME request that was refused. */
  countAcmeNonce(cause: 'foreign' | 'used' | 'rehearsal'): void {
    this.#acmeNonces.inc({ cause });
  }

  /** Counts a SCEP message that rests on a broken algorithm. */
  countScepLegacy(algorithm: 'md5' | 'des', accepted: boolean): void {
    this.#scepLegacy.inc({ algorithm, accepted: String(accepted) });
  }

  /** Counts an answer to an OCSP request. */
  countStatus(source: string): void {
    this.#ocspResponses.inc({ source });
  }

  /** Watches how this node follows revocations: the age of its view when scraped, and each change it learns of. */
  watchRevocations(view: Pick<RevocationView, 'ageMs' | 'subscribe'>): void {
    this.#gauge(METRICS.revocationViewAge, (gauge) => gauge.set(view.ageMs / 1000));
    view.subscribe((changes = []) => {
      for (const { changedAt, seenAt } of changes) this.#revocationDelay.observe((seenAt - changedAt) / 1000);
    });
  }

  countEvent(event: EventName): void {
    this.#events.inc({ event });
  }

  #observeStore(read: () => StoreCounters): void {
    this.#gauge(METRICS.storeQueue, (gauge) => gauge.set(read().queuedUnits));
    this.#counter(METRICS.storeCommits, (counter) => counter.inc(read().commits));
    this.#counter(METRICS.storeUnits, (counter) => {
      const { committedUnits, rejectedUnits } = read();
      counter.inc({ result: 'committed' }, committedUnits);
      counter.inc({ result: 'rejected' }, rejectedUnits);
    });
  }

  /** With `collect`, somebody else counts: the value is taken over whole at each scrape. */
  #counter<L extends string>(metric: MetricDefinition<L>, collect?: (counter: Counter<L>) => void): Counter<L> {
    const { name, help, labels } = metric;
    return new Counter<L>({
      name,
      help,
      labelNames: labels,
      registers: [this.#registry],
      ...(collect && {
        collect() {
          this.reset();
          collect(this);
        },
      }),
    });
  }

  #gauge<L extends string>(metric: MetricDefinition<L>, collect: (gauge: Gauge<L>) => void): void {
    const { name, help, labels } = metric;
    new Gauge<L>({
      name,
      help,
      labelNames: labels,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}

interface MetricDefinition<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
}
