import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import {
  type Answer,
  api,
  basic,
  certificateOf,
  createPassword,
  enroll,
  est,
  type Listed,
  type ListedCertificate,
} from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { P11_KIT_CLIENT, P11KitServer } from '../support/p11-kit.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';
import { makeCsr } from '../support/test-pki.ts';

interface Enrollment {
  readonly id: string;
  readonly status: string;
  readonly deviceName: string;
  readonly serialNumber?: string;
}

/** One request with its one-time password, as its device keeps it. */
interface Asking {
  readonly name: string;
  readonly ask: () => Promise<Timed>;
}

interface Timed {
  readonly answer: Answer;
  readonly milliseconds: number;
}

/** What the issue allows an enrolment and `/healthz` while the token hangs. */
const REFUSED_WITHIN_MS = 5000;
const HEALTHY_WITHIN_MS = 100;

describe('a server whose HSM is taken away', () => {
  let softHsm: PrivateSoftHsm;
  let hsm: P11KitServer;
  let server: MusterServer;
  let processId: number;

  beforeAll(async () => {
    softHsm = await privateSoftHsm('outage');
    hsm = new P11KitServer(softHsm.directory, softHsm.module);
    await hsm.start();
    // JSON is YAML. All other settings, the deadline of an operation among them, are the defaults.
    const tokens = [{ label: softHsm.label, module: P11_KIT_CLIENT, pin: 'env:OUTAGE_PIN' }];
    process.env['OUTAGE_PIN'] = softHsm.pin.reveal();
    server = await MusterServer.start({ configuration: JSON.stringify({ tokens }) });
    processId = server.processId;
  });
  afterAll(async () => {
    delete process.env['OUTAGE_PIN'];
    await server[Symbol.asyncDispose]();
    await hsm[Symbol.asyncDispose]();
    await softHsm.remove();
  });

  async function asking(name: string): Promise<Asking> {
    const { der } = makeCsr({ subject: `CN=${name}` });
    const headers = basic('any', await createPassword(server));
    return { name, ask: () => timed(() => enroll(server, 'simpleenroll', der, { headers })) };
  }

  const several = (names: string, count: number): Promise<Asking[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => asking(`${names}-${index}`)));

  function expectRefusal({ answer, milliseconds }: Timed): void {
    expect(answer.status, answer.text).toBe(503);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(answer.text).toBe('the service is not available at the moment; the same request may be sent again\n');
    expect(milliseconds).toBeLessThan(REFUSED_WITHIN_MS);
  }

  /** The same request again until it is answered, and what the store knows of it afterwards. */
  async function recovers({ name, ask }: Asking): Promise<void> {
    const certificate = await vi.waitFor(async () => certificateOf((await ask()).answer), {
      timeout: 20_000,
      interval: 200,
    });
    const { items: certificates } = await api<Listed<ListedCertificate>>(server, 'GET', `/certificates?name=${name}`);
    expect(
      certificates.map(({ serialNumber }) => serialNumber),
      name,
    ).toEqual([certificate.serialNumber]);
    const { items } = await api<Listed<Enrollment>>(server, 'GET', '/enrollments?limit=500');
    const own = items.filter(({ deviceName }) => deviceName === name);
    expect(own.map(({ status, serialNumber }) => [status, serialNumber])).toEqual([
      ['issued', certificate.serialNumber],
    ]);
    const again = certificateOf((await ask()).answer);
    expect(again.serialNumber).toBe(certificate.serialNumber);
  }

  async function expectNoRestart(): Promise<void> {
    expect(server.runs).toBe(true);
    expect(server.processId).toBe(processId);
    await vi.waitFor(async () => expect((await fetch(`${server.plain}/readyz`)).status).toBe(200), { timeout: 10_000 });
  }

  it('enrols as long as it is there', async () => {
    await recovers(await asking('before'));
  });

  it('gone: refuses at once and safely, then goes on by itself', async () => {
    const devices = await several('gone', 4);
    await hsm.kill();
    for (const refusal of await Promise.all(devices.map(({ ask }) => ask()))) expectRefusal(refusal);
    expect((await fetch(`${server.plain}/healthz`)).status).toBe(200);
    expect((await fetch(`${server.plain}/readyz`)).status).toBe(503);
    expect((await est(server, 'cacerts')).status).toBe(200);
    await hsm.start();
    for (const device of devices) await recovers(device);
    await expectNoRestart();
  });

  it('hung: answers everything else, refuses enrolments in time, then goes on by itself', async () => {
    const devices = await several('hung', 8);
    hsm.stop();
    const refusals = Promise.all(devices.map(({ ask }) => ask()));
    const health = await healthUntil(refusals);
    for (const refusal of await refusals) expectRefusal(refusal);
    expect(health.length).toBeGreaterThan(10);
    expect(median(health)).toBeLessThan(HEALTHY_WITHIN_MS);
    expect((await est(server, 'cacerts')).status).toBe(200);

    // Known to hang, it keeps nobody waiting.
    expectRefusal(await devices[0]!.ask());
    hsm.resume();
    for (const device of devices) await recovers(device);
    await expectNoRestart();
  });

  it('hung, then killed and started anew: the same', async () => {
    const devices = await several('anew', 4);
    hsm.stop();
    for (const refusal of await Promise.all(devices.map(({ ask }) => ask()))) expectRefusal(refusal);
    await hsm.kill();
    expectRefusal(await devices[0]!.ask());
    await hsm.start();
    for (const device of devices) await recovers(device);
    await expectNoRestart();
  });

  it('taken away while it signs: whatever was answered is one certificate a request', async () => {
    const devices = await several('midway', 12);
    const answers = devices.map(({ ask }) => ask());
    await Promise.race(answers);
    await hsm.kill();
    for (const { answer, milliseconds } of await Promise.all(answers)) {
      expect([200, 503], answer.text).toContain(answer.status);
      expect(milliseconds).toBeLessThan(REFUSED_WITHIN_MS);
    }
    await hsm.start();
    for (const device of devices) await recovers(device);
    await expectNoRestart();
  });

  it('has signed with each serial number once, and says when the token came and went', async () => {
    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', '/certificates?limit=500');
    expect(new Set(items.map(({ serialNumber }) => serialNumber)).size).toBe(items.length);
    const enrolled = items.filter(({ enrollment }) => enrollment !== undefined);
    expect(new Set(enrolled.map(({ enrollment }) => enrollment)).size).toBe(1 + 4 + 8 + 4 + 12);
    expect(enrolled).toHaveLength(1 + 4 + 8 + 4 + 12);
    await vi.waitFor(() => expect(server.output.match(/"event":"token\.up"/g)?.length).toBeGreaterThan(3), {
      timeout: 3000,
    });
    expect(server.output.match(/"event":"token\.down"/g)?.length).toBeGreaterThan(2);
    expect(server.output).not.toContain(softHsm.pin.reveal());
  });

  /** Asks `/healthz` again and again until `work` is done; the milliseconds each answer took. */
  async function healthUntil(work: Promise<unknown>): Promise<number[]> {
    let done = false;
    void work.finally(() => (done = true));
    const times: number[] = [];
    while (!done) {
      const started = performance.now();
      const { status } = await fetch(`${server.plain}/healthz`);
      times.push(performance.now() - started);
      expect(status).toBe(200);
      await delay(50);
    }
    return times;
  }
});

async function timed(send: () => Promise<Answer>): Promise<Timed> {
  const started = performance.now();
  const answer = await send();
  return { answer, milliseconds: performance.now() - started };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
