import fc from 'fast-check';
import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiServer } from '../support/api-server.ts';
import { documentOf, exampleBodies } from '../support/openapi-document.ts';
import { pathOf } from '../support/route-paths.ts';
import { seeded } from '../support/seed.ts';

/** Requests that are nearly right: whatever comes, it is answered, and never by a fault of ours. */
describe('any request to any route', () => {
  let server: ApiServer;
  let admin: string;
  let bodies: ReadonlyMap<string, object>;
  beforeAll(async () => {
    server = await ApiServer.start();
    admin = await server.token('admin');
    bodies = exampleBodies(await documentOf(server));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const odd = fc.oneof(
    fc.jsonValue(),
    fc.string(),
    fc.constantFrom('', '\u0000', '\ud800', '../..', '%00', "' or 1=1 --", null, -1, 2 ** 53, [], {}),
  );

  /** An example with some members replaced or added by anything. */
  const mutated = (example: object | undefined) =>
    fc
      .record({
        changes: fc.dictionary(fc.constantFrom(...Object.keys(example ?? {}), 'other'), odd, { maxKeys: 3 }),
        gone: fc.subarray(Object.keys(example ?? {})),
      })
      .map(({ changes, gone }) =>
        Object.fromEntries(
          Object.entries({ ...example, ...changes }).filter(([name]) => !gone.includes(name) || name in changes),
        ),
      );

  const word = fc.oneof(
    fc.string({ maxLength: 80 }),
    fc.constantFrom('50', 'true', 'default', 'acme', '2026-11-22T10:00:00Z'),
  );
  const query = fc.dictionary(
    fc.constantFrom(
      'tenant',
      'limit',
      'cursor',
      'fields',
      'dryRun',
      'state',
      'status',
      'name',
      'expiresBefore',
      'sort',
      'zz',
    ),
    word,
    { maxKeys: 3 },
  );
  const headers = fc.dictionary(
    fc.constantFrom('if-match', 'idempotency-key', 'accept', 'content-type'),
    fc.constantFrom('*', '"1"', 'x', 'application/json', 'text/plain', ''),
    { maxKeys: 2 },
  );
  const key = fc.oneof(fc.constant(undefined), word);

  it('finds no 500', async () => {
    const routes = server.routes.filter(({ url }) => url.startsWith('/api/v1/'));
    expect(routes.length).toBeGreaterThan(50);
    const request = fc.constantFrom(...routes).chain((route) =>
      fc.record({
        route: fc.constant(route),
        key,
        query,
        headers,
        body: fc.oneof(mutated(bodies.get(`${route.method} ${route.url}`)), fc.jsonValue()),
      }),
    );
    const codes = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(request, async ({ route, key: odder, query: parameters, headers: extra, body }) => {
        const { method, url } = route;
        const path =
          odder === undefined
            ? pathOf(url, seeded('default'))
            : url.replace(/:\w+/, encodeURIComponent(odder.toWellFormed()));
        const answer = await server.app.inject({
          method: method as NonNullable<InjectOptions['method']>,
          url: path,
          query: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, value.toWellFormed()])),
          headers: { 'content-type': 'application/json', ...extra, authorization: `Bearer ${admin}` },
          ...(method !== 'GET' && { payload: JSON.stringify(body) }),
        });
        codes.set(answer.statusCode, (codes.get(answer.statusCode) ?? 0) + 1);
        expect(answer.statusCode, `${method} ${path}: ${answer.body}`).not.toBe(500);
        if (answer.statusCode >= 400)
          expect(answer.json(), path).toMatchObject({
            status: answer.statusCode,
            code: expect.any(String),
            hint: expect.any(String),
          });
      }),
      { numRuns: 1_500 },
    );
    expect(codes.get(200)).toBeGreaterThan(20);
    expect(codes.get(400)).toBeGreaterThan(20);
  });
});
