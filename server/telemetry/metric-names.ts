/**
 * Every metric of our own: name, help, labels. Label values come from closed sets (routes, protocols, reason codes,
 * event names, the labels of configured tokens), so the number of series is bounded whatever peers send.
 */
export const METRICS = {
  buildInfo: { name: 'muster_build_info', help: 'Always 1; the labels say what runs.', labels: ['version', 'node'] },
  httpRequests: {
    name: 'muster_http_requests_total',
    help: 'Answered HTTP requests.',
    labels: ['listener', 'route', 'method', 'status'],
  },
  httpDuration: {
    name: 'muster_http_request_duration_seconds',
    help: 'Time from the request line to the end of the answer.',
    labels: ['listener', 'route'],
  },
  enrollments: {
    name: 'muster_enrollments_total',
    help: 'Answers to enrolment requests.',
    labels: ['protocol', 'outcome', 'reason'],
  },
  acmeOrders: { name: 'muster_acme_orders_total', help: 'ACME orders by how they ended.', labels: ['outcome'] },
  acmeValidations: {
    name: 'muster_acme_validations_total',
    help: 'Looks at ACME challenges by what they came to; `again`: it is looked at once more.',
    labels: ['challenge', 'outcome'],
  },
  acmeNonces: {
    name: 'muster_acme_nonces_refused_total',
    help: 'Nonces of ACME requests that were refused: foreign or too old, used before, or rehearsed.',
    labels: ['cause'],
  },
  ocspResponses: {
    name: 'muster_ocsp_responses_total',
    help: 'Answers to OCSP requests by where they came from, or by their failure.',
    labels: ['source'],
  },
  revocationViewAge: {
    name: 'muster_revocation_view_age_seconds',
    help: 'How long ago this node last asked the database for revocations; beyond 2 it answers nothing from memory.',
    labels: [],
  },
  revocationDelay: {
    name: 'muster_revocation_delay_seconds',
    help: 'From the commit of a revocation, by the clock of the database, to its effect on this node.',
    labels: [],
  },
  rolloverSightings: {
    name: 'muster_ca_rollover_sightings_total',
    help: 'Devices first seen to know a new CA, by evidence, and fetches of its certificates by anybody (anonymous-fetch).',
    labels: ['evidence'],
  },
  events: { name: 'muster_events_total', help: 'Events by name, as in the log.', labels: ['event'] },
  scepLegacy: {
    name: 'muster_scep_legacy_total',
    help: 'SCEP messages that rest on MD5 or single DES: devices of old, or a downgrade by somebody in the middle.',
    labels: ['algorithm', 'accepted'],
  },
  tokenUp: {
    name: 'muster_hsm_token_up',
    help: '1 while the PKCS#11 token answers, else 0.',
    labels: ['token', 'state'],
  },
  storeUnits: { name: 'muster_store_units_total', help: 'Units of work by how they ended.', labels: ['result'] },
  storeCommits: {
    name: 'muster_store_commits_total',
    help: 'COMMITs of the database; on SQLite one carries many units.',
    labels: [],
  },
  storeQueue: { name: 'muster_store_queued_units', help: 'Units of work that wait for their turn.', labels: [] },
  eventLoopDelay: {
    name: 'muster_event_loop_delay_seconds',
    help: 'Mean delay of the event loop over the last half second.',
    labels: [],
  },
} as const;

/** Upper bounds of the buckets of durations, in seconds: a kept-alive EST enrolment takes some milliseconds. */
export const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
