import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { EXIT } from '../../server/cli/exit-code.ts';
import { currentOf, DeviceGateway, type GatewayService, served } from '../fakes/device-gateway.ts';
import { muster } from '../server/support/terminal.ts';
import { ComposedServer } from '../support/composed-server.ts';

describe('a gateway that an operator sets up on the command line', () => {
  let server: ComposedServer;
  let gateway: DeviceGateway;
  let web: GatewayService;
  let strict: GatewayService;

  beforeAll(async () => {
    [server, gateway] = await Promise.all([ComposedServer.start(), DeviceGateway.start()]);
    web = await gateway.service({ kind: 'nginx' });
    strict = await gateway.service({ kind: 'nginx', strict: true });
  }, 60_000);
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const cli = (...argv: string[]) => muster(argv, { folder: server.folder });
  const ok = async (...argv: string[]): Promise<string> => {
    const { code, out, err } = await cli(...argv);
    expect([code, err], argv.join(' ')).toEqual([EXIT.ok, argv.includes('rotate') ? err : '']);
    return out;
  };
  const addService = (name: string, { port, directory, configFile }: GatewayService): Promise<string> => {
    const where = ['--host', '127.0.0.1', '--port', `${port}`, '--directory', directory, '--config-file', configFile];
    const what = ['--kind', 'nginx', '--endpoint', 'gateways', '--name', 'dns:gw-1.example'];
    return ok('device', 'service-add', 'gw-1', name, ...what, ...where);
  };

  it('is shown what will be done, and gets it', { timeout: 60_000 }, async () => {
    const keyFile = join(gateway.folder, 'login');
    await ok('endpoint', 'create', 'gateways', 'protocols={adapter: {}}', 'profile=device');
    await ok('device', 'create', 'gw-1');
    const login = [
      '--host',
      '127.0.0.1',
      '--port',
      `${gateway.sshPort}`,
      '--user',
      gateway.username,
      '--key-file',
      keyFile,
    ];
    expect(await ok('device', 'access', 'gw-1', ...login, '--host-key', gateway.hostKey)).not.toContain('PRIVATE');
    await addService('web', web);
    const plan = await ok('device', 'plan', 'gw-1');
    expect(plan).toContain('web/bind: flip web to the new certificate [service-reload]');
    expect(plan).toContain("nginx -t -q -c '");
    const before = await served(web);
    expect(await ok('device', 'rotate', 'gw-1')).toContain('gw-1: done');
    expect(await served(web)).not.toBe(before);
    const [certificate] = await server.certificatesOf('gw-1');
    expect(certificate?.status).toBe('active');
  });

  it('is told why it was put back, and can read what was said', { timeout: 60_000 }, async () => {
    await addService('strict', strict);
    const before = [await served(web), await served(strict), currentOf(web)];
    const { code, out } = await cli('device', 'rotate', 'gw-1');
    expect(code).toBe(EXIT.failed);
    expect(out).toContain('gw-1: rolled-back');
    expect(out).toContain('strict/bind: service-refuses');
    expect([await served(web), await served(strict), currentOf(web)]).toEqual(before);
    const plans = JSON.parse(await ok('plan', 'list', '--json')) as { id: string; state: string }[];
    expect(plans.map(({ state }) => state)).toEqual(['done', 'rolled-back']);
    const transcript = await ok('plan', 'transcript', plans[1]!.id);
    expect(transcript).toContain('ee key too small');
    expect(transcript).not.toContain('PRIVATE KEY');
  });

  it('takes no credential that nobody could check, and no host on trust unasked', async () => {
    const login = ['--host', '127.0.0.1', '--user', 'root'];
    const file = join(gateway.folder, 'password');
    writeFileSync(file, 'secret-password\n');
    const refused = await cli('device', 'access', 'gw-1', ...login, '--password-file', file);
    expect(refused.code).not.toBe(EXIT.ok);
    expect(refused.err).toContain('expected hostKey, or trustFirstUse');
    expect((await cli('device', 'access', 'gw-1', ...login, '--trust-first-use')).code).toBe(EXIT.usage);
  });
});
