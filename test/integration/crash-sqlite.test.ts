import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { openSqlite } from '../../core/store/sqlite-store.ts';
import type { Store } from '../../core/store/store.ts';
import type { Credential, Fault } from '../support/crashing-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import {
  askUntilIssued,
  type DeviceRequest,
  type Door,
  inParallel,
  newRequest,
  openDoor,
  tryOnce,
} from './est-fleet.ts';
import {
  auditLog,
  contradictions,
  newestCheckpoint,
  readState,
  refusedByOpenssl,
  signing,
  untilSequenced,
} from './installation-state.ts';

/** Devices that ask at the same time. */
const DEVICES = 64;
/** How long a server that is to die may take over it. */
const LOAD_LIMIT_MS = 60_000;

/** One way to lose the process. */
type Kill =
  /** From outside, at any moment while many enrolments are under way. */
  | { readonly by: 'chance' }
  | { readonly by: 'fault point'; readonly fault: Fault }
  /** At a fault point while it finishes, before it listens, what the last crash left. */
  | { readonly by: 'fault point at start'; readonly fault: Fault }
  /** As it enters the n-th call of this kind, counted from its start: inside COMMIT. */
  | { readonly by: 'system call'; readonly call: 'fdatasync' | 'pwrite64'; readonly count: number };

const atPoint = (point: Fault['point'], hit: number): Kill => ({ by: 'fault point', fault: { point, hit } });

/** Twenty of them. */
const KILLS: readonly Kill[] = [
  { by: 'chance' },
  atPoint('after-unit-1', 1),
  atPoint('before-unit-1', 40),
  { by: 'chance' },
  atPoint('after-sign', 25),
  { by: 'system call', call: 'fdatasync', count: 15 },
  { by: 'chance' },
  atPoint('after-unit-2', 1),
  atPoint('after-unit-1', 64),
  { by: 'fault point at start', fault: { point: 'after-sign', hit: 2 } },
  { by: 'chance' },
  { by: 'system call', call: 'pwrite64', count: 400 },
  atPoint('before-unit-1', 100),
  atPoint('after-sign', 90),
  { by: 'chance' },
  atPoint('after-unit-2', 70),
  { by: 'system call', call: 'fdatasync', count: 30 },
  { by: 'chance' },
  atPoint('after-unit-1', 130),
  { by: 'chance' },
];

const folder = await mkdtemp('/tmp/muster-crash-');
const running = new Set<ServerChild>();

afterAll(async () => {
  for (const server of running) server.kill();
  await rm(folder, { recursive: true, force: true });
});

it(
  'loses nothing it answered and issues nothing twice when it is killed twenty times under load',
  { timeout: 600_000 },
  async () => {
    const run = new Run();
    for (const kill of KILLS) await run.round(kill);
    await run.finish();
  },
);

/** One data folder through all its crashes, and everything that was ever asked of it. */
class Run {
  readonly requests: DeviceRequest[] = [];
  readonly figures = { interrupted: 0, signing: 0, startMs: [] as number[] };
  #unanswered: DeviceRequest[] = [];
  /** The first checkpoint an auditor saw. */
  #kept: string | undefined;

  /** Starts, checks and completes what the last crash left, then asks for certificates until the server is dead. */
  async round(kill: Kill): Promise<void> {
    if (kill.by === 'fault point at start') return this.#dieWhileRecovering(kill.fault);
    if (kill.by === 'system call') await this.#recoverAndStop();
    const { server, door, credentials } = await this.#start(kill);
    // System calls are counted from the start, so there is nothing left to recover in such a round.
    if (kill.by !== 'system call') await this.#recover(door);
    if (kill.by === 'fault point') server.arm(kill.fault);
    const answersBeforeKill = kill.by === 'chance' ? Math.floor(Math.random() * 3 * DEVICES) : Infinity;
    await this.#load(server, door, credentials, answersBeforeKill);
    expect(await server.ended, server.output).toMatchObject({ signal: 'SIGKILL' });
    running.delete(server);
    door.agent.destroy();
    // Before anything is restarted: what was answered must be durable already.
    await this.#inStore(async (store) => {
      const state = await readState(store);
      this.figures.signing += signing(state).length;
      expect(contradictions(state, this.requests)).toEqual([]);
      expect(this.#unanswered.length).toBeGreaterThan(0);
    });
  }

  /** After the last crash: everything asked is answered, and every record of it agrees. */
  async finish(): Promise<void> {
    await this.#recoverAndStop(async (door) => {
      // A repeat long after gets the same certificate.
      await inParallel(this.requests.slice(0, 2 * DEVICES), DEVICES, (device) => askUntilIssued(() => [door], device));
      await this.#inStore(untilSequenced);
    });
    await this.#inStore(async (store) => {
      const state = await readState(store);
      expect(contradictions(state, this.requests)).toEqual([]);
      expect(state.certificates.length).toBe(this.requests.length);
      expect(state.enrollments.length).toBe(this.requests.length);
      const { verification, issued } = await auditLog(store, state.tenant, this.#kept);
      expect(verification).toMatchObject({ ok: true, findings: [], provenSize: verification.size });
      expect(state.certificates.filter(({ id }) => issued.get(id) !== 1)).toEqual([]);
      expect(
        await refusedByOpenssl(
          store,
          this.requests.flatMap(({ answers }) => [...answers.values()]),
        ),
      ).toEqual([]);
    });
    this.#report();
  }

  async #recoverAndStop(before: (door: Door) => Promise<void> = async () => undefined): Promise<void> {
    const { server, door } = await this.#start({ by: 'chance' });
    await this.#recover(door);
    await before(door);
    door.agent.destroy();
    expect(await server.stop(), server.output).toEqual({ code: 0, signal: null });
    running.delete(server);
  }

  async #start(kill: Kill) {
    const options = { dataFolder: join(folder, 'data'), settings: PRIVATE_SETTINGS, oneTimePasswords: 32 };
    const server = ServerChild.start(options, kill.by === 'system call' ? killAt(kill.call, kill.count) : []);
    running.add(server);
    const { mtlsPort, rootCertificate, device, oneTime } = await server.ready();
    this.figures.startMs.push(Math.round(performance.now() - server.startedAt));
    const door = openDoor(mtlsPort, await readFile(rootCertificate, 'utf8'), DEVICES);
    return { server, door, credentials: { oneTime: oneTime.values(), device } };
  }

  /** The server is killed while it signs at its start what the last crash left; the next start finds the rest. */
  async #dieWhileRecovering(fault: Fault): Promise<void> {
    const server = ServerChild.start({
      dataFolder: join(folder, 'data'),
      settings: PRIVATE_SETTINGS,
      oneTimePasswords: 0,
      fault,
    });
    running.add(server);
    await expect(server.ready()).rejects.toThrow('SIGKILL');
    running.delete(server);
    await this.#inStore(async (store) => expect(contradictions(await readState(store), this.requests)).toEqual([]));
  }

  /** What a restarted server must have finished by itself, then the repeats of those who got no answer. */
  async #recover(door: Door): Promise<void> {
    await this.#inStore(async (store) => {
      const state = await readState(store);
      expect(signing(state).map((row) => row.id)).toEqual([]);
      expect(contradictions(state, this.requests)).toEqual([]);
      this.#kept ??= await newestCheckpoint(store, state.tenant);
    });
    await inParallel(this.#unanswered, DEVICES, (device) => askUntilIssued(() => [door], device));
    this.figures.interrupted += this.#unanswered.length;
    this.#unanswered = [];
    await this.#inStore(async (store) => expect(contradictions(await readState(store), this.requests)).toEqual([]));
  }

  async #load(
    server: ServerChild,
    door: Door,
    { oneTime, device }: Credentials,
    answersBeforeKill: number,
  ): Promise<void> {
    let answers = 0;
    const until = performance.now() + LOAD_LIMIT_MS;
    const askAnew = async (): Promise<void> => {
      while (!server.hasEnded && performance.now() < until) {
        const request = newRequest(oneTime.next().value ?? device);
        this.requests.push(request);
        const result = await tryOnce(door, request);
        if (result.kind !== 'issued') this.#unanswered.push(request);
        else if (++answers === answersBeforeKill) setTimeout(() => server.kill(), Math.random() * 30);
        if (result.kind === 'lost') await Promise.race([server.ended, delay(100)]);
      }
    };
    if (answersBeforeKill === 0) setTimeout(() => server.kill(), Math.random() * 30);
    await Promise.all(Array.from({ length: DEVICES }, askAnew));
    expect(server.hasEnded, `still alive after ${answers} answers: ${server.output}`).toBe(true);
  }

  async #inStore(work: (store: Store) => Promise<void>): Promise<void> {
    await using store = await openSqlite({ file: join(folder, 'data', 'muster.db'), readOnly: true });
    await work(store);
  }

  #report(): void {
    const { interrupted, signing: between, startMs } = this.figures;
    const median = startMs.toSorted((a, b) => a - b)[startMs.length >> 1];
    process.stdout.write(
      `${KILLS.length} kills, ${this.requests.length} certificates, ${interrupted} requests interrupted, ${between} of them between their two units; restart ${median} ms (median)\n`,
    );
  }
}

interface Credentials {
  readonly oneTime: Iterator<Credential>;
  readonly device: Credential;
}

/** strace, as a detached grandchild so that the server is our child, kills it as it enters a system call. */
function killAt(call: string, count: number): string[] {
  return [
    'strace',
    '-D',
    '-f',
    '-o',
    '/dev/null',
    '-e',
    `trace=${call}`,
    '-e',
    `inject=${call}:signal=SIGKILL:when=${count}`,
  ];
}
