import { withoutEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { AcmeOrderFact } from '../../core/enrollment/facts.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import type { Unit } from '../../core/store/store.ts';
import {
  type CertificationRequest,
  parseCertificationRequest,
  requestToKeep,
} from '../../core/x509/certification-request.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { attestations, identifiersOf } from './authorizations.ts';
import { certifiedIdentifiers, subjectAltNamesOf, subjectFor } from './certificate-names.ts';
import type { AcmeDependencies, OpenEndpoint } from './dependencies.ts';
import { deviceNameOf } from './device-identifier.ts';
import { problemOfReason } from './errors.ts';
import { type Identifier, identifierName, isOfDevice } from './identifier.ts';
import { namesOf } from './orders.ts';
import type { OrderEnd } from './observer.ts';
import { problemDocument } from './problem.ts';
import {
  abandonedOrders,
  beginProcessing,
  leaseOrder,
  markInvalid,
  markValid,
  orderByCertificate,
  postponeOrder,
} from './statements.ts';
import type { OrderRow } from './tables.ts';

type FinalizationDependencies = Pick<
  AcmeDependencies,
  'store' | 'credentials' | 'hall' | 'endpoints' | 'observer' | 'report'
>;

/** Longer than the hall takes: after it, the node that asked is taken for dead. */
const LEASE_MS = 60_000;
/** How long the sweep leaves an order alone after a part was away, or while an operator decides; a poll of its client does not. */
const AWAY_MS = 5_000;
const PENDING_MS = 30_000;
/** How long a poll waits for what it sets going. */
const POLL_MS = 2_000;

/**
 * Has the certificates of orders issued while their clients wait (RFC 8555 §7.4): at once in this process, and by the sweep where
 * an operator has to decide first, a part is away, or a process died. The hall's key of idempotency is the order: however often
 * it is asked, it issues once.
 */
export class Finalization {
  readonly #dependencies: FinalizationDependencies;
  readonly #underWay = new Set<Promise<void>>();

  constructor(dependencies: FinalizationDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Moves a ready order to `processing` and waits for its certificate, at most as long as the endpoint says.
   * @returns false when another request was faster.
   */
  async begin(open: OpenEndpoint, order: OrderRow, csr: CertificationRequest): Promise<boolean> {
    const { store } = this.#dependencies;
    const { tenant, id } = order;
    const now = store.clock.now();
    const kept = requestToKeep(csr);
    const began = await store.unit((tx) =>
      tx.affected(beginProcessing, { tenant, id, csr: kept, leaseUntil: now + LEASE_MS, now }),
    );
    if (began !== 1) return false;
    await within(this.#run(open, { ...order, csr: kept }), open.settings.answerWithinSeconds * 1000);
    return true;
  }

  /** Goes on with an order that waits, as its client asks after it. */
  async continue(open: OpenEndpoint, order: OrderRow): Promise<void> {
    const { store } = this.#dependencies;
    const { tenant, id } = order;
    const now = store.clock.now();
    // What is being worked on has a longer lease. To ask the hall twice at once does no harm.
    const before = now + PENDING_MS;
    if (order.status !== 'processing' || (order.lease_until ?? 0) > before) return;
    const leaseUntil = now + LEASE_MS;
    if ((await store.unit((tx) => tx.affected(leaseOrder, { tenant, id, leaseUntil, before }))) === 1)
      await within(this.#run(open, order), POLL_MS);
  }

  /** Goes on with what waits; for the background, every few seconds. */
  async resume(): Promise<void> {
    const { store, endpoints } = this.#dependencies;
    const before = store.clock.now();
    for (const order of await store.query(abandonedOrders, { before })) {
      const { tenant, id, label } = order;
      const leaseUntil = before + LEASE_MS;
      if ((await store.unit((tx) => tx.affected(leaseOrder, { tenant, id, leaseUntil, before }))) !== 1) continue;
      const endpoint = await endpoints.resolve(label);
      const settings = endpoint?.protocols.acme;
      if (endpoint !== undefined && settings !== undefined)
        await within(this.#run({ endpoint, settings }, order), POLL_MS);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  #run(open: OpenEndpoint, order: OrderRow): Promise<void> {
    const work = this.#issue(open, order)
      .catch((error: unknown) => this.#later(order, error))
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
    return work;
  }

  async #issue(open: OpenEndpoint, order: OrderRow): Promise<void> {
    const asked = await this.#request(open, order);
    if (asked.kind === 'refused') return this.#record(order, asked.outcome);
    const { store, hall } = this.#dependencies;
    const { tenant, id } = order;
    let marked = false;
    // In the unit that records the certificate: one commit less for each order.
    const onIssued = async (tx: Unit, certificate: string): Promise<void> => {
      marked = (await tx.affected(markValid, { tenant, id, certificate, now: store.clock.now() })) === 1;
      tx.onCommitted(() => this.#ended('valid', order));
    };
    const outcome = await hall.enroll({ ...asked.request, onIssued });
    if (!marked) await this.#record(order, outcome);
  }

  async #request({ endpoint, settings }: OpenEndpoint, order: OrderRow): Promise<Asked> {
    const csr = parseCertificationRequest(order.csr!);
    const identifiers = identifiersOf(order);
    const certified = certifiedIdentifiers(csr, identifiers);
    let fact: AcmeOrderFact;
    try {
      fact = await this.#fact(endpoint, order, certified);
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      const { reason, message } = error;
      return { kind: 'refused', outcome: { kind: 'rejected', enrollmentId: undefined, reason, message } };
    }
    const subject = subjectFor(csr, identifiers, settings);
    const device = identifiers.find(isOfDevice);
    const [attested] = device === undefined ? [] : await attestations(this.#dependencies.store, order);
    const request: EnrollmentRequest = {
      requestId: order.id,
      endpoint: withProfile(endpoint, settings.profiles.find(({ name }) => name === order.profile)?.profile),
      protocol: 'acme',
      operation: 'enroll',
      requestKey: Buffer.from(order.id),
      subject,
      subjectAltName: subjectAltNamesOf(certified),
      requestedExtensions: withoutEvidence(csr.requestedExtensions).filter(
        ({ oid }) => oid !== EXTENSION.subjectAltName,
      ),
      publicKey: csr.publicKey,
      proofOfPossession: 'signature',
      der: order.csr!,
      facts: [fact],
      ...(device !== undefined && subject.rdns.length === 0 && { deviceName: deviceNameOf(device.value) }),
      ...(attested !== undefined && { evidenceId: attested.evidence }),
      sourceAddress: order.source_address,
    };
    return { kind: 'asked', request };
  }

  /** The fact of the names that the certificate is to hold: evidence has proved those of the device, and they may be left out. */
  async #fact(endpoint: Endpoint, order: OrderRow, certified: readonly Identifier[]): Promise<AcmeOrderFact> {
    const devices = identifiersOf(order).filter(isOfDevice);
    return this.#dependencies.credentials.acmeOrder(endpoint, {
      orderId: order.id,
      accountId: order.account,
      eabKeyId: order.eab_key ?? undefined,
      names: certified.filter((identifier) => !isOfDevice(identifier)).map(identifierName),
      attestedNames: certified.filter(isOfDevice).map(identifierName),
      commonNames: devices.map(({ value }) => deviceNameOf(value).toLowerCase()),
      replaces: await this.#replaced(order),
    });
  }

  /** A certificate with the same names is renewed by the order; one that shares only some of them is not. */
  async #replaced({ tenant, replaces, identifiers }: OrderRow): Promise<string | undefined> {
    if (replaces === null) return undefined;
    const [earlier] = await this.#dependencies.store.query(orderByCertificate, { tenant, certificate: replaces });
    const same = earlier !== undefined && sorted(namesOf(earlier)) === sorted(namesOf({ identifiers }));
    return same ? replaces : undefined;
  }

  async #record(order: OrderRow, outcome: Outcome): Promise<void> {
    const { store } = this.#dependencies;
    const { tenant, id } = order;
    const now = store.clock.now();
    switch (outcome.kind) {
      case 'issued': {
        const certificate = outcome.certificateId;
        const changed = await store.unit((tx) => tx.affected(markValid, { tenant, id, certificate, now }));
        if (changed === 1) this.#ended('valid', order);
        return;
      }
      case 'pending': {
        const leaseUntil = now + PENDING_MS;
        await store.unit((tx) => tx.affected(postponeOrder, { tenant, id, leaseUntil }));
        return;
      }
      case 'rejected': {
        const problem = problemOfReason(outcome.reason, outcome.message);
        const error = JSON.stringify(problemDocument(problem));
        const from = 'processing';
        const changed = await store.unit((tx) => tx.affected(markInvalid, { tenant, id, from, error, now }));
        if (changed === 1) this.#ended('invalid', order, problem.type);
        return;
      }
    }
  }

  #ended(end: OrderEnd, { id, label }: OrderRow, reason?: string): void {
    this.#dependencies.observer.orderEnded(end, { id, label, ...(reason !== undefined && { reason }) });
  }

  async #later({ tenant, id }: OrderRow, cause: unknown): Promise<void> {
    const { store, report } = this.#dependencies;
    report(cause);
    const leaseUntil = store.clock.now() + AWAY_MS;
    // Should this fail as well, the lease ends by itself.
    await store.unit((tx) => tx.affected(postponeOrder, { tenant, id, leaseUntil })).catch(report);
  }
}

type Asked =
  | { readonly kind: 'asked'; readonly request: EnrollmentRequest }
  | { readonly kind: 'refused'; readonly outcome: Outcome };

/** The endpoint under another profile, one object for each: compiled rules hang on it. */
function withProfile(endpoint: Endpoint, profile: string | undefined): Endpoint {
  if (profile === undefined || profile === endpoint.profile) return endpoint;
  const variants = VARIANTS.get(endpoint) ?? new Map<string, Endpoint>();
  VARIANTS.set(endpoint, variants);
  const variant = variants.get(profile) ?? { ...endpoint, profile };
  variants.set(profile, variant);
  return variant;
}

const VARIANTS = new WeakMap<Endpoint, Map<string, Endpoint>>();

async function within(work: Promise<void>, milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}

function sorted(names: readonly string[]): string {
  return [...names].sort().join(' ');
}
