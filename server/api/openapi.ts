import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { TSchema } from 'typebox';
import { exampleOf } from './examples.ts';
import { problemSchema } from './views.ts';

const description = `Muster enrols network devices. Every request but the documentation carries a bearer token
(\`muster token create\`). Errors are problem details (RFC 9457) with a stable \`code\` and a \`hint\`. Lists are paged: \`nextCursor\`
of one answer is \`cursor\` of the next request. A token of a tenant sees that tenant only; one of the installation names it
by \`?tenant=\`.

Every GET takes \`?fields=id,name\`, and with \`Accept: text/event-stream\` it goes on as server-sent events: \`snapshot\` with the whole
answer, then \`change\` with \`changed\` items and ids that are \`gone\`. Objects carry an \`ETag\`; a change with \`If-Match\` that is
based on an older state is refused (409) and shows the present one. A change with \`?dryRun=true\` is answered as if it were done and
taken back. A POST with an \`Idempotency-Key\` is done once: a repeat within a day gets the stored answer.`;

/** OpenAPI 3.1 at `/api/docs/json` and as pages at `/api/docs`. Before the routes are registered. */
export async function registerOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.1',
      info: { title: 'Muster', version, description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    transform: ({ schema, url }) => ({ schema: withProblems(withExamples(schema)), url }),
  });
  // The pages of the documentation run scripts of their own, so they have a policy of their own.
  await app.register(fastifySwaggerUi, { routePrefix: '/api/docs', staticCSP: true, logLevel: 'warn' });
}

/** Bodies and answers carry an example each. */
function withExamples(schema: FastifySchema | undefined): FastifySchema {
  const { body, response } = (schema ?? {}) as { body?: TSchema; response?: Readonly<Record<string, TSchema>> };
  const answers = Object.entries(response ?? {}).map(([status, answer]) => [status, withExample(answer)]);
  return {
    ...schema,
    ...(body !== undefined && { body: withExample(body) }),
    ...(response !== undefined && { response: Object.fromEntries(answers) as object }),
  };
}

function withExample(schema: TSchema): TSchema {
  return { ...schema, examples: [exampleOf(schema)] };
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
