/** What happens to this process and its security, by the name that log lines and `muster_events_total` carry. */
export const EVENTS = {
  'server.started': 'info',
  'server.stopping': 'info',
  'enrollment.issued': 'info',
  'enrollment.pending': 'info',
  'enrollment.rejected': 'warn',
  'acme.order-failed': 'warn',
  'acme.validation-failed': 'warn',
  'api.refused': 'warn',
  'certificate.expiring': 'warn',
  'tls.renewed': 'info',
  'token.up': 'info',
  'token.down': 'error',
  'token.pin-refused': 'error',
  'audit.fork': 'error',
  'job.dead': 'error',
  'scep.legacy-used': 'warn',
  'scep.legacy-refused': 'warn',
  'crl.overdue': 'error',
  'identity.cloned': 'error',
} as const;

export type EventName = keyof typeof EVENTS;

/** What a log line of an event holds besides its name. Secrets never; text of peers is safe, because lines are JSON. */
export type EventFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** How enrolment requests are answered, for `muster_enrollments_total`. */
export type EnrollmentOutcome = 'issued' | 'replayed' | 'pending' | 'rejected';
