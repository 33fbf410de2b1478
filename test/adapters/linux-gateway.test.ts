import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';

import type { AdapterTables } from '../../adapters/sdk/tables.ts';
import { StateError } from '../../core/errors/muster-error.ts';
import { currentOf, DeviceGateway, type GatewayService, served } from '../fakes/device-gateway.ts';
import { ENGINES } from '../support/stores.ts';
import { type CrashAt, GatewaySite } from './gateway-site.ts';

const gateway = await DeviceGateway.start();
afterAll(() => gateway[Symbol.asyncDispose]());

/** A site with one device that runs these services. */
async function siteWith(services: Readonly<Record<string, GatewayService>>, options = {}): Promise<GatewaySite> {
  const site = await GatewaySite.open('sqlite', options);
  await site.reachBy(gateway, gateway.hostKey);
  for (const [name, service] of Object.entries(services)) await site.serve(name, service);
  return site;
}

function leafOf(plan: Awaited<ReturnType<GatewaySite['plan']>>, service: string): string {
  const sign = plan.steps.find(({ id }) => id === `${service}/sign`)!;
  return (JSON.parse(sign.found) as { leaf: string }).leaf;
}

async function statusOfIssued(site: GatewaySite): Promise<string[]> {
  return (await site.site.certificates(site.tenant.id))
    .filter(({ device }) => device === site.device)
    .map(({ status }) => status);
}

describe('a rotation', () => {
  it('brings new keys and certificates to nginx, stunnel and mosquitto', { timeout: 90_000 }, async () => {
    const services = {
      web: await gateway.service({ kind: 'nginx' }),
      tunnel: await gateway.service({ kind: 'stunnel' }),
      broker: await gateway.service({ kind: 'mosquitto' }),
    };
    await using site = await siteWith(services);
    const plan = await site.rotated();
    expect([plan.row.state, plan.row.failure, plan.row.detail]).toEqual(['done', null, null]);
    for (const [name, service] of Object.entries(services)) {
      expect(await served(service)).toBe(leafOf(plan, name));
      expect(statSync(join(service.directory, 'current', 'key.pem')).mode & 0o777).toBe(0o600);
    }
    expect(await site.transcript(plan.row.id)).not.toMatch(/PRIVATE KEY/);
  });

  it('is followed by taking the one before away, and the factory keeps its own', { timeout: 60_000 }, async () => {
    const web = await gateway.service({ kind: 'nginx' });
    await using site = await siteWith({ web });
    for (let round = 0; round < 2; round += 1) {
      const { row } = await site.rotated();
      await site.retire(row.id);
      const plan = await site.plan(row.id);
      expect(plan.steps.map(({ state }) => state)).toEqual(plan.steps.map(() => 'done'));
      expect(readdirSync(join(web.directory, 'versions'))).toEqual([`muster-${row.id}`]);
      expect(await served(web)).toBe(leafOf(plan, 'web'));
    }
    expect(readdirSync(join(web.directory, 'factory'))).toContain('key.pem');
  });

  it('is refused while another one of the device is under way', async () => {
    await using site = await siteWith({ web: await gateway.service({ kind: 'nginx' }) });
    const id = await site.rotate();
    await expect(site.rotate()).rejects.toThrow(StateError);
    await site.turn(id);
    await expect(site.rotate()).resolves.toBeTypeOf('string');
  });
});

describe('a service that refuses the new certificate', () => {
  it.each([
    { kind: 'nginx', failure: 'service-refuses', step: 'web/bind' },
    // It says nothing: only the handshake from outside shows it.
    { kind: 'stunnel', failure: 'not-served', step: 'web/probe' },
  ] as const)('is put back ($kind), and the plan says why', { timeout: 60_000 }, async ({ kind, failure, step }) => {
    const web = await gateway.service({ kind, strict: true });
    const other = await gateway.service({ kind: 'nginx' });
    await using site = await siteWith({ earlier: other, web });
    const before = [await served(other), await served(web)];
    const { row } = await site.rotated();
    expect([row.state, row.failure, row.failure_step]).toEqual(['rolled-back', failure, step]);
    // All or nothing: the service before it is back, too.
    expect([await served(other), await served(web)]).toEqual(before);
    expect([currentOf(other), currentOf(web)]).toEqual(['factory', 'factory']);
    expect(readdirSync(join(web.directory, 'versions'))).toEqual([]);
    expect(await statusOfIssued(site)).toEqual(['revoked', 'revoked']);
    if (kind === 'nginx') expect(await site.transcript(row.id)).toContain('ee key too small');
  });
});

const STEPS = ['discover', 'key', 'csr', 'sign', 'install', 'arm-rollback', 'bind', 'probe', 'finalize'];
const POINTS = ['before', 'applied', 'recorded'] as const;

describe('a server that is killed', () => {
  it('goes on where it was, killed around each step of one plan', { timeout: 120_000 }, async () => {
    const web = await gateway.service({ kind: 'nginx' });
    await using site = await siteWith({ web });
    const old = await served(web);
    const id = await site.rotate();
    for (const crash of STEPS.flatMap((step) => POINTS.map((point): CrashAt => ({ step: `web/${step}`, point })))) {
      await site.turn(id, crash);
      const plan = await site.plan(id);
      expect(plan.row.state, `${crash.step} ${crash.point}`).toBe('running');
      // While it is half done, one of the two certificates is served, whole; a reload takes nginx a moment.
      const possible = currentOf(web) === 'factory' ? [old] : [old, leafOf(plan, 'web')];
      expect(possible, `${crash.step} ${crash.point}`).toContain(await served(web));
    }
    await site.turn(id);
    const plan = await site.plan(id);
    expect(plan.row.state).toBe('done');
    expect(await served(web)).toBe(leafOf(plan, 'web'));
    // One certificate, however often its step was done.
    expect(await statusOfIssued(site)).toEqual(['active']);
    expect(readdirSync(join(web.directory, 'versions'))).toHaveLength(1);
  });

  it('goes on undoing what it was undoing', { timeout: 120_000 }, async () => {
    const web = await gateway.service({ kind: 'nginx', strict: true });
    await using site = await siteWith({ web });
    const before = await served(web);
    const id = await site.rotate();
    const undone = ['bind', 'arm-rollback', 'key'].flatMap((step) =>
      POINTS.map((point) => ({ step: `web/${step}`, point })),
    );
    for (const crash of undone) {
      await site.turn(id, { ...crash, way: 'compensate' });
      expect((await site.plan(id)).row.state, `${crash.step} ${crash.point}`).toBe('rolling-back');
      expect(await served(web)).toBe(before);
    }
    await site.turn(id);
    const { row } = await site.plan(id);
    expect([row.state, row.failure]).toEqual(['rolled-back', 'service-refuses']);
    expect([currentOf(web), await served(web)]).toEqual(['factory', before]);
    expect(readdirSync(join(web.directory, 'versions'))).toEqual([]);
  });

  it('never comes back: the device puts the old certificate back by itself', { timeout: 60_000 }, async () => {
    const web = await gateway.service({ kind: 'nginx' });
    await using site = await siteWith({ web }, { deadManSeconds: 2 });
    const before = await served(web);
    const id = await site.rotate();
    await site.turn(id, { step: 'web/bind', point: 'applied' });
    for (let waited = 0; currentOf(web) !== 'factory' && waited < 15_000; waited += 100) await delay(100);
    expect(currentOf(web)).toBe('factory');
    // A server that comes back late does not flip it again, and tidies up.
    await site.turn(id);
    const { row } = await site.plan(id);
    expect([row.state, row.failure]).toEqual(['rolled-back', 'undone-by-device']);
    expect(await served(web)).toBe(before);
  });

  it('records nothing more when another worker has the plan', async () => {
    await using site = await siteWith({ web: await gateway.service({ kind: 'nginx' }) });
    const id = await site.rotate();
    const overtaken = {
      confirm: () => Promise.reject(new StateError('conflict', 'another worker has taken this job over')),
    };
    await expect(site.turn(id, undefined, overtaken)).rejects.toThrow('another worker');
    expect((await site.plan(id)).steps.every(({ state }) => state === 'waiting')).toBe(true);
  });
});

describe('a rollback that cannot be proved', () => {
  it('ends as needs-human, with the link back and nothing revoked', async () => {
    const web = await gateway.service({ kind: 'stunnel' });
    await using site = await siteWith({ web });
    const id = await site.rotate();
    await site.turn(id, { step: 'web/arm-rollback', point: 'recorded' });
    process.kill(Number(readFileSync(web.pidFile, 'utf8')), 'SIGKILL');
    await site.turn(id);
    const { row, steps } = await site.plan(id);
    expect([row.state, row.failure, row.holds]).toEqual(['needs-human', 'service-refuses', null]);
    expect(steps.find(({ phase }) => phase === 'bind')?.state).toBe('stuck');
    expect(currentOf(web)).toBe('factory');
    expect(await statusOfIssued(site)).toEqual(['active']);
  });
});

describe('a device that is not as expected', () => {
  it('is left alone when it shows another host key', async () => {
    const web = await gateway.service({ kind: 'nginx' });
    await using site = await siteWith({ web });
    await site.reachBy(gateway, `SHA256:${'A'.repeat(43)}`);
    const { row } = await site.rotated();
    expect([row.state, row.failure, row.failure_step]).toEqual(['rolled-back', 'ssh-host-key', 'web/discover']);
    expect(row.detail).toContain(gateway.hostKey);
    expect(readdirSync(web.directory)).not.toContain('versions');
  });

  it('is left alone when it serves something else than what lies in its folder', async () => {
    const web = await gateway.service({ kind: 'nginx' });
    const other = await gateway.service({ kind: 'stunnel' });
    await using site = await siteWith({ web: { ...web, port: other.port } });
    const { row } = await site.rotated();
    expect([row.state, row.failure]).toEqual(['rolled-back', 'served-is-another']);
  });

  it('is left alone when nothing answers', async () => {
    await using site = await siteWith({ web: await gateway.service({ kind: 'nginx' }) });
    const { username, loginKey, hostKey } = gateway;
    await site.reachBy({ username, loginKey, sshPort: 1 }, hostKey);
    const { row, steps } = await site.rotated();
    expect([row.state, row.failure]).toEqual(['rolled-back', 'ssh-unreachable']);
    expect(steps[0]?.state).toBe('failed');
  });
});

describe.each(ENGINES)('on %s', (engine) => {
  it('pins the first host key where that is allowed, and keeps to it', async () => {
    await using site = await GatewaySite.open(engine);
    await site.reachBy(gateway, null);
    await site.serve('web', await gateway.service({ kind: 'nginx' }));
    expect((await site.rotated()).row.state).toBe('done');
    const access = await site.site.store
      .forTenant<AdapterTables>(site.tenant.id)
      .selectFrom('device_access')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(access.host_key).toBe(gateway.hostKey);
    expect((await site.site.audit(site.tenant.id)).map(({ action }) => action)).toEqual(
      expect.arrayContaining(['plan.started', 'device.host-key-pinned', 'certificate.issued', 'plan.done']),
    );
    // Sealed: the key stands nowhere in clear.
    expect(Buffer.from(access.credential).includes('PRIVATE KEY')).toBe(false);
  });
});
