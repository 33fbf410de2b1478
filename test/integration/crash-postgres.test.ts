import { mkdtemp, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, inject, it, onTestFinished } from 'vitest';
import type { EnrollmentRow } from '../../core/enrollment/tables.ts';
import type { Fault } from '../support/crashing-server.ts';
import { freshDatabase } from '../support/postgres.ts';
import {
  contradictions,
  lostAnswers,
  newestCheckpoint,
  readState,
  refusedByOpenssl,
  signing,
  auditLog,
  untilSequenced,
} from './installation-state.ts';
import { type NodeName, TwoNodes } from './two-nodes.ts';

/** Which node dies next, and where; without a fault point, at any moment. */
const KILLS: readonly { readonly node: NodeName; readonly fault?: Fault }[] = [
  { node: 'a' },
  { node: 'b', fault: { point: 'after-unit-1', hit: 20 } },
  { node: 'a', fault: { point: 'after-sign', hit: 35 } },
  { node: 'b', fault: { point: 'before-unit-1', hit: 10 } },
  { node: 'a', fault: { point: 'after-unit-2', hit: 15 } },
  { node: 'b' },
];
/** The last to die stays dead: the other finishes what it left. */
const LAST = { node: 'a', fault: { point: 'after-unit-1', hit: 25 } } as const;
/** A living node is between its two units for less. */
const ABANDONED_AFTER_MS = 2_000;

it(
  'goes on with one of two nodes while the other is killed, and finishes what the dead one left',
  { timeout: 300_000 },
  async () => {
    const folder = await mkdtemp('/tmp/muster-nodes-');
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await using nodes = await TwoNodes.open({
      folder,
      postgresUrl: await freshDatabase(),
      redisUrl: inject('redisUrl'),
    });
    const load = nodes.load();
    load.catch(() => undefined);
    const answeredMeanwhile: number[] = [];
    let kept: string | undefined;
    for (const { node, fault } of KILLS) {
      await nodes.kill(node, fault);
      const before = nodes.answered;
      const answers = nodes.requests.map((request) => new Map(request.answers));
      expect(lostAnswers(await readState(nodes.store), answers)).toEqual([]);
      await nodes.start(node);
      answeredMeanwhile.push(nodes.answered - before);
      kept ??= await newestCheckpoint(nodes.store, (await readState(nodes.store)).tenant);
    }
    await nodes.kill(LAST.node, LAST.fault);
    const left = await abandoned(nodes);
    nodes.stopAsking();
    await load;
    await untilSequenced(nodes.store);
    await nodes.stop();

    expect(Math.min(...answeredMeanwhile), 'answered by the other node while one was dead').toBeGreaterThan(0);
    const state = await readState(nodes.store);
    expect(contradictions(state, nodes.requests)).toEqual([]);
    expect(signing(state)).toEqual([]);
    expect(state.certificates.length).toBe(nodes.requests.length);
    expect(state.enrollments.length).toBe(nodes.requests.length);
    // What the dead node left was finished with the serial number it had chosen, and not before its lease had ended.
    expect(left.length).toBeGreaterThan(0);
    for (const row of left) {
      const certificate = state.certificates.find(({ enrollment }) => enrollment === row.id);
      expect(certificate?.serial_number).toBe(row.serial_number);
      expect(certificate?.created_at).toBeGreaterThanOrEqual(row.lease_until!);
    }
    const { verification, issued } = await auditLog(nodes.store, state.tenant, kept);
    expect(kept).toBeDefined();
    expect(verification).toMatchObject({ ok: true, findings: [], provenSize: verification.size });
    expect(state.certificates.filter(({ id }) => issued.get(id) !== 1)).toEqual([]);
    expect(
      await refusedByOpenssl(
        nodes.store,
        nodes.requests.flatMap(({ answers }) => [...answers.values()]),
      ),
    ).toEqual([]);
    const again = nodes.requests.filter(({ tries }) => tries > 1).length;
    process.stdout.write(
      `${KILLS.length + 1} kills of one of two nodes, ${nodes.requests.length} certificates, ${again} requests repeated, ${left.length} finished by the other node; answered meanwhile ${answeredMeanwhile.join(', ')}\n`,
    );
  },
);

/** The enrolments that a dead node left between their two units. */
async function abandoned(nodes: TwoNodes): Promise<EnrollmentRow[]> {
  const before = signing(await readState(nodes.store));
  await delay(ABANDONED_AFTER_MS);
  const still = new Set(signing(await readState(nodes.store)).map(({ id }) => id));
  return before.filter(({ id }) => still.has(id));
}
