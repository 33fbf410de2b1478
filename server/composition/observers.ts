import type { CrlAlarm } from '../../core/authority/crl-schedule.ts';
import type { EnrollmentObserver } from '../../core/enrollment/hall.ts';
import type { TokenHealth } from '../../core/keys/key-store.ts';
import type { AuditAlarm } from '../../core/audit/audit-sequencer.ts';
import type { CloneAlarm } from '../../devices/attestation/clones.ts';
import type { AcmeObserver } from '../../protocols/acme/observer.ts';
import type { OcspObserver } from '../../protocols/status/ocsp-http.ts';
import { EVENTS } from '../telemetry/events.ts';
import type { Log } from '../telemetry/log.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

/** Counts and logs what the hall decided. */
export function enrollmentObserver(telemetry: Telemetry): EnrollmentObserver {
  return {
    decided(outcome, { requestId, endpoint, protocol, sourceAddress }) {
      const fields = {
        requestId,
        endpoint: endpoint.label,
        protocol,
        source: sourceAddress,
        enrollment: outcome.enrollmentId,
      };
      switch (outcome.kind) {
        case 'issued':
          telemetry.metrics.countEnrollment(protocol, outcome.replayed ? 'replayed' : 'issued');
          telemetry.event('enrollment.issued', { ...fields, replayed: outcome.replayed });
          return;
        case 'pending':
          telemetry.metrics.countEnrollment(protocol, 'pending');
          telemetry.event('enrollment.pending', fields);
          return;
        case 'rejected':
          telemetry.metrics.countEnrollment(protocol, 'rejected', outcome.reason);
          telemetry.event('enrollment.rejected', { ...fields, reason: outcome.reason, detail: outcome.message });
          return;
      }
    },
  };
}

/** Counts and logs what becomes of ACME orders and challenges. */
export function acmeObserver(telemetry: Telemetry): AcmeObserver {
  const { metrics } = telemetry;
  return {
    orderEnded(end, { id, label, reason }) {
      metrics.countAcmeOrder(end);
      if (end === 'invalid') telemetry.event('acme.order-failed', { order: id, endpoint: label, reason });
    },
    validated(end, { challenge, label, name, problem }) {
      metrics.countAcmeValidation(challenge, end);
      if (end === 'invalid') telemetry.event('acme.validation-failed', { endpoint: label, challenge, name, problem });
    },
    nonceRefused(cause) {
      metrics.countAcmeNonce(cause);
    },
  };
}

/** Logs how a token comes and goes. */
export function logTokenChange(log: Log, { label, state, lastError }: TokenHealth): void {
  const event = state === 'up' ? 'token.up' : state === 'down' ? 'token.down' : 'token.pin-refused';
  log[EVENTS[event]]({ event, hsmToken: label, ...(lastError !== undefined && { detail: String(lastError) }) });
}

/** Logs what is wrong with the audit log. */
export function auditObserver(telemetry: Telemetry): (alarm: AuditAlarm) => void {
  return ({ kind, tree, error }) => {
    const tenant = tree ?? 'installation';
    if (kind === 'fork')
      telemetry.event('audit.fork', { tenant, detail: error instanceof Error ? error.message : String(error) });
    else telemetry.log.error({ tenant, error }, 'the audit log could not be sequenced; it is tried again');
  };
}

/** Alarms when a CRL cannot be signed. */
export function crlAlarm(telemetry: Telemetry): CrlAlarm {
  return ({ authority, scope }, error) =>
    telemetry.event('crl.overdue', { authority, scope, reason: error.reason, detail: error.message });
}

/** Alarms when a second device seems to show an identity. */
export function cloneAlarm(telemetry: Telemetry): (alarm: CloneAlarm) => void {
  return ({ tenant, identity, enrollment, others, refused }) =>
    telemetry.event('identity.cloned', { tenant, identity, enrollment, others: others.join(' '), refused });
}

/** Counts the answers of the OCSP responder; what is our own fault is logged. */
export function statusObserver(telemetry: Telemetry): OcspObserver {
  return (source, error) => {
    telemetry.metrics.countStatus(source);
    if (source === 'internalError') telemetry.log.error({ error }, 'an OCSP request could not be answered');
  };
}
