import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINES } from '../../support/stores.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';

describe.each(ENGINES)('users, roles and their tokens on %s', (engine) => {
  let server: ApiServer;
  let admin: string;
  beforeAll(async () => {
    server = await ApiServer.start(0, engine);
    admin = await server.token('admin');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const send = (token: string, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
    server.request(token, method, `/api/v1${path}`, body);

  it("a token never does more than its user's role, and ends with the user", async () => {
    const made = await send(admin, 'POST', '/users', { name: 'alice@example.com', role: 'auditor' });
    expect(made.statusCode, made.body).toBe(201);
    const draft = { label: "alice's", role: 'admin', user: 'alice@example.com' };
    const { token } = (await send(admin, 'POST', '/tokens', draft)).json() as { token: string };
    const block = `/devices/${seeded('default').device}/block`;
    expect((await send(token, 'GET', '/devices')).statusCode).toBe(200);
    expect((await send(token, 'POST', block)).statusCode).toBe(403);
    await send(admin, 'PATCH', '/users/alice@example.com', { role: 'operator' });
    expect((await send(token, 'POST', block)).statusCode).toBe(200);
    await send(admin, 'PATCH', '/users/alice@example.com', { state: 'disabled' });
    expect((await send(token, 'GET', '/devices')).statusCode).toBe(401);
    await send(admin, 'PATCH', '/users/alice@example.com', { state: 'active' });
    expect((await send(token, 'GET', '/devices')).statusCode).toBe(200);
    expect((await send(admin, 'DELETE', '/users/alice@example.com')).statusCode).toBe(204);
    expect((await send(token, 'GET', '/devices')).statusCode).toBe(401);
    expect((await send(admin, 'POST', '/tokens', draft)).statusCode).toBe(400);
  });

  it('an enrolment agent brings devices in, and nothing else', async () => {
    const agent = await server.token('enrollment-agent', 'default');
    const secret = await send(agent, 'POST', '/secrets', { endpoint: seeded('default').endpoint });
    expect(secret.statusCode, secret.body).toBe(201);
    const { enrollment } = seeded('default');
    expect((await send(agent, 'POST', `/enrollments/${enrollment}/comment`, { comment: 'called' })).statusCode).toBe(
      200,
    );
    expect((await send(agent, 'POST', `/enrollments/${enrollment}/approve`, {})).statusCode).toBe(200);
    for (const path of ['/tokens', '/users', '/audit', '/authorities'])
      expect((await send(agent, 'GET', path)).statusCode, path).toBe(403);
    expect((await send(agent, 'DELETE', '/endpoints/default-routers')).statusCode).toBe(403);
  });

  it('a tenant has users of its own, that another one does not see', async () => {
    const [acme, other] = [await server.token('admin', 'acme'), await server.token('admin', 'default')];
    const made = await send(acme, 'POST', '/users', { name: 'bob', role: 'operator' });
    const { id } = made.json() as { id: string };
    expect(made.json()).toMatchObject({ tenant: 'acme' });
    expect((await send(acme, 'POST', '/users', { name: 'bob', role: 'operator' })).statusCode).toBe(409);
    expect((await send(other, 'POST', '/users', { name: 'bob', role: 'operator' })).statusCode).toBe(201);
    expect((await send(other, 'GET', `/users/${id}`)).statusCode).toBe(404);
    expect((await send(other, 'GET', '/users')).body).not.toContain(id);
    expect((await send(other, 'POST', '/tokens', { label: 'x', role: 'auditor', user: id })).statusCode).toBe(400);
    expect((await send(acme, 'GET', '/roles')).json()).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ name: 'enrollment-agent' })]),
    });
  });
});
