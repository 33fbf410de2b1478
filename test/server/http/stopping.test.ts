import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createPlainListener } from '../../../server/http/listener.ts';
import { listen, stopListeners } from '../../../server/http/listening.ts';
import { Pressure } from '../../../server/http/pressure.ts';
import { listenerContext } from '../support/listener-context.ts';
import { exchange } from '../support/raw-http.ts';

async function slowListener(milliseconds: number) {
  const listener = createPlainListener(
    listenerContext({ headersTimeoutSeconds: 30, requestTimeoutSeconds: 30, keepAliveSeconds: 60 }),
  );
  const started = Promise.withResolvers<void>();
  listener.app.get('/fast', () => 'fast');
  listener.app.get('/slow', async () => {
    started.resolve();
    await delay(milliseconds);
    return 'slow';
  });
  return { listener, started: started.promise, port: await listen(listener, { host: '127.0.0.1', port: 0 }) };
}

it('finishes what is in flight, closes idle connections at once and accepts nothing new', async () => {
  const { listener, started, port } = await slowListener(600);
  const idle = connect(port, '127.0.0.1');
  idle.write('GET /fast HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => idle.once('data', resolve));
  const idleClosed = new Promise((resolve) => idle.once('close', resolve));
  const inFlight = exchange(port, 'GET /slow HTTP/1.1\r\n\r\n');
  await started;
  const stopped = stopListeners([listener], 10);
  await idleClosed;
  await expect(exchange(port, 'GET /fast HTTP/1.1\r\n\r\n')).rejects.toThrow('ECONNREFUSED');
  expect(await inFlight).toMatch(/Connection: close\r\n[^]*slow$/);
  await stopped;
});

it('closes what is left when the grace has passed', async () => {
  const { listener, started, port } = await slowListener(5_000);
  const inFlight = exchange(port, 'GET /slow HTTP/1.1\r\n\r\n').catch(() => '');
  await started;
  const before = performance.now();
  await stopListeners([listener], 0.3);
  expect(performance.now() - before).toBeLessThan(2_000);
  expect(await inFlight).toBe('');
});

it('answers 503 with Retry-After while the event loop is late, but not for health', async () => {
  using pressure = new Pressure(30);
  const listener = createPlainListener(listenerContext({}, pressure));
  listener.app.get('/work', () => 'done');
  listener.app.get('/health', { config: { alwaysAnswers: true } }, () => 'well');
  const port = await listen(listener, { host: '127.0.0.1', port: 0 });
  const get = (path: string) => exchange(port, `GET ${path} HTTP/1.1\r\nConnection: close\r\n\r\n`);
  expect(await get('/work')).toContain('200 OK');
  const busy = setInterval(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150), 1);
  await expect.poll(() => pressure.delayMilliseconds, { timeout: 5_000 }).toBeGreaterThan(30);
  expect(await get('/work')).toMatch(/^HTTP\/1\.1 503 [^]*\r\nRetry-After: 5\r\n/);
  expect(await get('/health')).toContain('200 OK');
  clearInterval(busy);
  await expect.poll(() => get('/work'), { timeout: 5_000 }).toContain('200 OK');
  await stopListeners([listener], 1);
});
