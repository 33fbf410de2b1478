import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { CrashingServerReady } from '../support/crashing-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import { type AnswersByPort, countCommits, prematureAnswers } from './answer-order.ts';
import { askCaCertificates, newRequest, openDoor, tryOnce } from './est-fleet.ts';
import { parseTrace, type SystemCall } from './system-calls.ts';

/** Devices at the same time, each with a connection of its own, and how often each enrols. */
const DEVICES = 64;
const ENROLLMENTS = 3;
const CALLS = 'fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg,read';
/** More than a page of the database. */
const STRING_LIMIT = 4200;

const folder = await mkdtemp('/tmp/muster-durable-');
const running = new Set<ServerChild>();

afterAll(async () => {
  for (const server of running) server.kill();
  await rm(folder, { recursive: true, force: true });
});

describe('a server under strace', () => {
  it('answers no enrolment before the COMMIT that holds its certificate is on disk', { timeout: 200_000 }, async () => {
    const { calls, answers } = await traced('FULL');
    const commits = countCommits(calls);
    process.stdout.write(`${DEVICES * ENROLLMENTS} certificates in ${commits} commits, start and stop included\n`);
    expect(prematureAnswers(calls, answers)).toEqual([]);
    // A certificate takes two units. That they share commits is what makes their order worth a look.
    expect(commits).toBeLessThan(2 * DEVICES * ENROLLMENTS);
  });

  it('is caught when it answers without syncing', { timeout: 200_000 }, async () => {
    const { calls, answers } = await traced('OFF');
    const premature = prematureAnswers(calls, answers);
    expect(new Set(premature.map(({ because }) => because))).toEqual(
      new Set(['its transaction was not synced before it']),
    );
    expect(premature.length).toBe(DEVICES * ENROLLMENTS);
  });
});

/** Enrols under strace and returns every relevant system call, and which certificates were sent to which port. */
async function traced(synchronous: 'FULL' | 'OFF'): Promise<{ calls: SystemCall[]; answers: AnswersByPort }> {
  const trace = join(folder, `${synchronous}.strace`);
  const server = ServerChild.start(
    {
      dataFolder: join(folder, 'data'),
      // A server that is slowed down by strace shall answer nonetheless.
      settings: { ...PRIVATE_SETTINGS, MUSTER_LIMITS_EVENT_LOOP_DELAY_MS: '0' },
      oneTimePasswords: 0,
      ...(synchronous === 'OFF' && { unsafeSynchronous: 'OFF' }),
    },
    [
      'strace',
      '-D',
      '-f',
      '-yy',
      '-xx',
      '-s',
      `${STRING_LIMIT}`,
      '-o',
      trace,
      '-e',
      `trace=${CALLS}`,
      '-e',
      'raw=read',
      '-e',
      'signal=none',
    ],
  );
  running.add(server);
  const ready = await server.ready();
  const ca = await readFile(ready.rootCertificate, 'utf8');
  const answers = new Map(await Promise.all(Array.from({ length: DEVICES }, () => enrolOnOneConnection(ready, ca))));
  expect(answers.size).toBe(DEVICES);
  expect(await server.stop(), server.output).toEqual({ code: 0, signal: null });
  return { calls: parseTrace(await finished(trace)), answers };
}

/** Enrols one request after the other, so that what is sent to this port is answer after answer. */
async function enrolOnOneConnection(
  { mtlsPort, device }: CrashingServerReady,
  ca: string,
): Promise<[number, string[]]> {
  const door = openDoor(mtlsPort, ca, 1);
  // The handshake and its tickets are over when this is answered.
  const port = await askCaCertificates(door);
  const fingerprints: string[] = [];
  for (let turn = 0; turn < ENROLLMENTS; turn += 1) {
    const result = await tryOnce(door, newRequest(device));
    expect(result).toMatchObject({ kind: 'issued', localPort: port });
    if (result.kind === 'issued') fingerprints.push(result.fingerprint);
  }
  door.agent.destroy();
  return [port, fingerprints];
}

/** The trace, once strace, which is not our child, has written the end of the last thread. */
async function finished(trace: string): Promise<string> {
  let text = '';
  await expect
    .poll(async () => (text = await readFile(trace, 'latin1')).slice(-200), { timeout: 20_000, interval: 200 })
    .toMatch(/\+\+\+ exited with 0 \+\+\+\n$/);
  await delay(200);
  return text;
}
