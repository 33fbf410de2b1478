import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { type TObject, type TSchema, Type } from 'typebox';
import { suggestion } from '../configuration/nearest-name.ts';
import { SchemaFault } from '../http/fault.ts';
import type { ApiScope } from './type-provider.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Members that `?fields=` may name; set by {@link selectFields}. */
    fields?: readonly string[];
  }
}

const parameter = Type.Optional(
  Type.String({ description: 'Only these members, separated by commas.', minLength: 1, maxLength: 512 }),
);

/**
 * Lets every GET that answers JSON take `?fields=id,name`: of a list, members of its items. An unknown name is refused with the
 * nearest one. Before the routes are registered.
 */
export function selectFields(api: ApiScope): void {
  api.addHook('onRoute', (route) => {
    const fields = route.method === 'GET' ? fieldsOf(route) : [];
    if (fields.length === 0) return;
    const { querystring } = route.schema as { querystring?: TObject };
    const parameters = { ...querystring?.properties, fields: parameter };
    route.schema = { ...route.schema, querystring: Type.Object(parameters, { additionalProperties: false }) };
    route.config = { ...route.config, fields };
  });
  api.addHook('preHandler', async (request) => void requested(request));
  api.addHook('preSerialization', async (request, reply, payload) => selected(request, reply, payload));
}

/** The members of the answer, of a list those of its items. */
function fieldsOf({ schema }: RouteOptions): readonly string[] {
  const answer = (schema?.response as { readonly 200?: TSchema } | undefined)?.[200] as Partial<TObject> | undefined;
  const properties: Record<string, TSchema> = answer?.properties ?? {};
  const items = (properties['items'] as { readonly items?: Partial<TObject> } | undefined)?.items;
  return Object.keys(items?.properties ?? properties);
}

function requested({ query, routeOptions }: FastifyRequest): readonly string[] | undefined {
  const { fields: text } = query as { readonly fields?: unknown };
  const known = routeOptions.config.fields;
  if (typeof text !== 'string' || known === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const faults = names
    .filter((name) => !known.includes(name))
    .map((name) => ({ path: '/querystring/fields', message: `no member ${name}${suggestion(name, known)}` }));
  if (faults.length > 0) throw new SchemaFault(faults);
  return names;
}

function selected(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  const names = reply.statusCode === 200 ? requested(request) : undefined;
  if (names === undefined || typeof payload !== 'object' || payload === null) return payload;
  // The schema of the answer asks for members that are left out now.
  void reply.type('application/json; charset=utf-8').serializer(JSON.stringify);
  if (!('items' in payload) || !Array.isArray(payload.items)) return picked(payload, names);
  return { ...payload, items: payload.items.map((item: object) => picked(item, names)) };
}

function picked(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}
