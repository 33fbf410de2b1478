import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { problemSchema } from './views.ts';

const description = `Muster enrols network devices. Every request but the documentation carries a bearer token
(\`muster token create\`). Errors are problem details (RFC 9457) with a stable \`code\`. Lists are paged: \`nextCursor\` of
one answer is \`cursor\` of the next request. A token of a tenant sees that tenant only; one of the installation names it
by \`?tenant=\`.`;

/** OpenAPI 3.1 at `/api/docs/json` and as pages at `/api/docs`. Before the routes are registered. */
export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.1',
      info: { title: 'Muster', version, description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    transform: ({ schema, url }) => ({ schema: withProblems(schema), url }),
  });
  // The pages of the documentation run scripts of their own, so they have a policy of their own.
  await app.register(fastifySwaggerUi, { routePrefix: '/api/docs', staticCSP: true, logLevel: 'warn' });
}

/** Every route may answer with problem details; they are described here once. */
function withProblems(schema: FastifySchema | undefined): FastifySchema {
  const problem = {
    description: 'What went wrong',
    content: { 'application/problem+json': { schema: problemSchema } },
  };
  const answers = typeof schema?.response === 'object' ? schema.response : {};
  return { ...schema, response: { ...answers, '4xx': problem, '5xx': problem } };
}
