import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../../server/cli/exit-code.ts';
import { PLATFORM_NAMES } from '../../../server/enrollment-guide/platform-names.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';
import { muster } from '../support/terminal.ts';

const { endpoint } = seeded('default');

describe('the configuration of devices', () => {
  let server: ApiServer;
  let admin: string;
  let data: string;
  beforeAll(async () => {
    server = await ApiServer.start();
    admin = await server.token('admin');
    data = await server.listen(admin);
    await server.request(admin, 'PATCH', `/api/v1/endpoints/${endpoint}`, { protocols: { est: {} } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const get = (query = '') => server.request(admin, 'GET', `/api/v1/endpoints/${endpoint}/configuration${query}`);
  const cli = (...argv: string[]) => muster(argv, { environment: { MUSTER_DATA: data } });

  it('is answered for every platform, and holds no secret that was made', async () => {
    const made = await server.request(admin, 'POST', '/api/v1/secrets', { endpoint });
    const { secret } = made.json() as { secret: string };
    for (const platform of PLATFORM_NAMES) {
      const answer = await get(`?platform=${platform}`);
      expect(answer.statusCode, answer.body).toBe(200);
      expect(answer.json()).toMatchObject({ platform, text: expect.stringContaining(`endpoint ${endpoint}`) });
      expect(answer.body).not.toContain(secret);
    }
  });

  it('has the URLs devices use, and says which protocols are closed', async () => {
    expect((await get()).json()).toMatchObject({
      platform: 'any',
      protocols: [
        { protocol: 'est', state: 'described', url: `https://muster.example:8443/.well-known/est/${endpoint}` },
        { protocol: 'scep', state: 'closed' },
        { protocol: 'cmp', state: 'closed' },
        { protocol: 'acme', state: 'closed' },
      ],
    });
  });

  it('refuses a platform that there is none for, naming those there are', async () => {
    const answer = await get('?platform=ios-xa');
    expect(answer.statusCode).toBe(400);
    expect(answer.body).toContain('ios-xe');
  });

  it('is printed by the command line as it is, or as JSON', async () => {
    const { text } = (await get('?platform=fortios')).json() as { text: string };
    expect(await cli('endpoint', 'show', endpoint, '--for', 'fortios')).toMatchObject({ code: EXIT.ok, out: text });
    const json = await cli('endpoint', 'show', endpoint, '--for', 'fortios', '--json');
    expect(JSON.parse(json.out)).toMatchObject({ platform: 'fortios', text });
    expect(await cli('endpoint', 'show', endpoint, '--for', 'vms')).toMatchObject({
      code: EXIT.usage,
      err: expect.stringContaining('ios-xe'),
    });
    expect(await cli('endpoint', 'show', 'nowhere', '--for', 'any')).toMatchObject({ code: EXIT.notFound });
  });
});
