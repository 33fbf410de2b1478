import type { ApiServer } from './api-server.ts';

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: object; readonly example?: unknown }>>;
}

/** One operation of an OpenAPI document. */
export interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

/** What tests read of an OpenAPI document. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly security: readonly object[];
}

/** The document that the server shows. */
export async function documentOf(server: ApiServer): Promise<OpenApiDocument> {
  return (await server.request(undefined, 'GET', '/api/docs/json')).json();
}

/** Every operation, as `POST /api/v1/things/:id`. */
export function operationsOf({ paths }: OpenApiDocument): [string, Operation][] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
      operation,
    ]),
  );
}

/** The example of each operation that takes a body. */
export function exampleBodies(document: OpenApiDocument): ReadonlyMap<string, object> {
  const shown = operationsOf(document).map(([name, { requestBody }]) => [
    name,
    Object.values(requestBody?.content ?? {})[0]?.example,
  ]);
  return new Map(shown.filter(([, body]) => body !== undefined) as [string, object][]);
}
