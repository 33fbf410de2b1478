import { expect, it } from 'vitest';
import { Secret } from '../../../core/keys/secret.ts';
import { PROTOCOLS } from '../../../core/enrollment/endpoint.ts';
import { createPlainListener } from '../../../server/http/listener.ts';
import { Pressure } from '../../../server/http/pressure.ts';
import { registerHealth } from '../../../server/telemetry/health.ts';
import { createLog } from '../../../server/telemetry/log.ts';
import { METRICS } from '../../../server/telemetry/metric-names.ts';
import { Metrics } from '../../../server/telemetry/metrics.ts';
import { Telemetry } from '../../../server/telemetry/telemetry.ts';
import { listenerContext } from '../support/listener-context.ts';

function metricsOf(tokens: () => { label: string; state: string }[] = () => []): Metrics {
  const store = { committedUnits: 7, rejectedUnits: 2, commits: 3, queuedUnits: 1 };
  return new Metrics({ version: '9.9', tokens, store: () => store, eventLoopDelayMilliseconds: () => 250 });
}

it('the log hides secrets wherever they stand in a line', () => {
  const lines: string[] = [];
  const log = createLog('debug', { write: (line) => void lines.push(line) });
  const hidden = 'hunter2-very-secret';
  log.info({
    authorization: hidden,
    request: { password: hidden },
    req: { headers: { authorization: hidden, cookie: hidden } },
  });
  log.info({
    secret: hidden,
    nested: { token: hidden, pin: hidden },
    wrapped: new Secret(hidden),
    deep: { a: { b: new Secret(hidden) } },
  });
  log.error(
    { error: Object.assign(new TypeError('plain message', { cause: new Error('cause') }), { request: hidden }) },
    'failed',
  );
  expect(lines.join('')).not.toContain(hidden);
  expect(JSON.parse(lines[2]!)).toMatchObject({
    level: 'error',
    error: { type: 'TypeError', message: 'plain message', cause: { message: 'cause' } },
  });
});

it("a peer's text cannot forge a line", () => {
  const lines: string[] = [];
  createLog('info', { write: (line) => void lines.push(line) }).info({
    subject: 'CN=x"}\n{"level":"error","event":"audit.fork"}',
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]!.trimEnd()).not.toContain('\n');
});

it('an event is a log line and a count', async () => {
  const lines: string[] = [];
  const metrics = metricsOf();
  const telemetry = new Telemetry(createLog('info', { write: (line) => void lines.push(line) }), metrics);
  telemetry.event('audit.fork', { tenant: 'default' });
  telemetry.event('audit.fork');
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'error', event: 'audit.fork', tenant: 'default' });
  expect(await metrics.expose()).toContain('muster_events_total{event="audit.fork"} 2');
});

it('exposes every metric of the table, under its name, with current values', async () => {
  let state = 'up';
  const metrics = metricsOf(() => [{ label: 'hsm', state }]);
  for (const protocol of PROTOCOLS) metrics.countEnrollment(protocol, 'rejected', 'bad-signature');
  metrics.countRequest({ listener: 'mtls', route: '/est', method: 'POST', status: 200, seconds: 0.004 });
  metrics.countEvent('token.up');
  metrics.countStatus('cache');
  metrics.watchRevocations({
    ageMs: 250,
    subscribe(listener) {
      const change = { tenant: 't', authority: 'a', serialNumber: '01', certificate: 'c', state: 'revoked' } as const;
      listener([{ ...change, changedAt: 0, seenAt: 40 }]);
      listener(undefined);
      return () => undefined;
    },
  });
  const text = await metrics.expose();
  for (const { name } of Object.values(METRICS)) expect(text).toContain(`# TYPE ${name} `);
  expect(text).toContain('muster_http_requests_total{listener="mtls",route="/est",method="POST",status="200"} 1');
  expect(text).toContain('muster_ocsp_responses_total{source="cache"} 1');
  expect(text).toContain('muster_revocation_view_age_seconds 0.25');
  expect(text).toContain('muster_revocation_delay_seconds_sum 0.04');
  expect(text).toContain('muster_http_request_duration_seconds_bucket{le="0.005",listener="mtls",route="/est"} 1');
  expect(text).toContain('muster_hsm_token_up{token="hsm",state="up"} 1');
  expect(text).toContain('muster_event_loop_delay_seconds 0.25');
  state = 'down';
  const later = await metrics.expose();
  expect(later).toContain('muster_hsm_token_up{token="hsm",state="down"} 0');
  expect(later).not.toContain('state="up"');
  expect(later).toContain('muster_store_units_total{result="committed"} 7');
});

it('healthz answers whatever is broken; readyz says what is', async () => {
  using pressure = new Pressure(1);
  const listener = createPlainListener(listenerContext({}, pressure));
  let store: () => Promise<unknown> = () => Promise.resolve();
  let state = 'up';
  registerHealth(listener.app, { store: () => store(), tokens: () => [{ state: 'down' }, { state }] });
  const get = async (url: string) => {
    const { statusCode, body } = await listener.app.inject(url);
    return [statusCode, body];
  };
  expect(await get('/readyz')).toEqual([200, 'ready\n']);
  state = 'pin-refused';
  expect(await get('/readyz')).toEqual([503, 'not ready: no token is up\n']);
  store = () => Promise.reject(new Error('gone'));
  expect(await get('/readyz')).toEqual([503, 'not ready: the database does not answer, no token is up\n']);
  store = () => new Promise(() => undefined);
  expect(await get('/readyz')).toEqual([503, 'not ready: the database does not answer, no token is up\n']);
  expect(await get('/healthz')).toEqual([200, 'ok\n']);
  expect((await listener.app.inject({ method: 'HEAD', url: '/healthz' })).statusCode).toBe(200);
  await listener.app.close();
});
