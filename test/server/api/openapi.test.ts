import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { ApiServer } from '../support/api-server.ts';
import { documentOf, type OpenApiDocument, operationsOf } from '../support/openapi-document.ts';

describe('the OpenAPI document', () => {
  let server: ApiServer;
  let document: OpenApiDocument;
  beforeAll(async () => {
    server = await ApiServer.start();
    document = await documentOf(server);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('is OpenAPI 3.1 with bearer security', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    expect(document.security).toEqual([{ bearer: [] }]);
  });

  it('holds every route, each with a summary, a tag and its answer', () => {
    const routes = server.routes.filter(({ url }) => url.startsWith('/api/v1/'));
    for (const { method, url } of routes) {
      const operation = document.paths[url.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
      expect(operation, `${method} ${url}`).toBeDefined();
      expect(operation!.summary, `${method} ${url}`).toBeTruthy();
      expect(operation!.tags, `${method} ${url}`).toHaveLength(1);
      expect(Object.keys(operation!.responses), `${method} ${url}`).toEqual(expect.arrayContaining(['4XX', '5XX']));
    }
    expect(Object.keys(document.paths).every((path) => path.startsWith('/api/v1/'))).toBe(true);
  });

  it('shows an example of every body and answer, and each validates', () => {
    let shown = 0;
    for (const [name, { requestBody, responses }] of operationsOf(document)) {
      const successes = Object.entries(responses).filter(([status]) => /^2\d\d$/.test(status));
      const contents = [requestBody, ...successes.map(([, response]) => response)];
      for (const { schema, example } of contents.flatMap((one) => Object.values(one?.content ?? {}))) {
        expect(Compile(schema as TSchema).Errors(example), `${name}: ${JSON.stringify(example)}`).toEqual([]);
        shown += 1;
      }
    }
    expect(shown).toBeGreaterThan(60);
  });

  it('is shown as a page whose policy lets no foreign script run', async () => {
    const page = await server.app.inject('/api/docs');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-security-policy']).toContain('script-src');
    expect(page.headers['content-security-policy']).not.toContain('unsafe-eval');
    const api = await server.app.inject('/api/v1/status');
    expect(api.headers['content-security-policy']).toContain("default-src 'none'");
    expect(api.headers['x-content-type-options']).toBe('nosniff');
  });
});
