import { type TProperties, type TSchema, Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';

/** Which part of a list is asked for. */
export interface Page {
  /** The last id of the page before; undefined on the first. */
  readonly after: string | undefined;
  /** Items wanted. */
  readonly limit: number;
}

/** The query parameters that every list takes. */
export const pageParameters = {
  limit: Type.Integer({ description: 'Items of a page.', minimum: 1, maximum: 500, default: 50 }),
  cursor: Type.Optional(Type.String({ description: '`nextCursor` of the page before.', maxLength: 256 })),
};

/** Query parameters of a route about one tenant. */
export const tenantParameter = {
  tenant: Type.Optional(
    Type.String({
      description: 'Name or id of the tenant, for tokens of the installation. Default: `default`.',
      maxLength: 64,
    }),
  ),
};

/** The query string of a list of one tenant's objects, refusing parameters it does not know. */
export function listQuery<P extends TProperties>(filters: P) {
  return Type.Object({ ...tenantParameter, ...pageParameters, ...filters }, { additionalProperties: false });
}

/** The query string of a route about one object of a tenant. */
export const objectQuery = Type.Object(tenantParameter, { additionalProperties: false });

/** The answer of a list. */
export function pageOf<S extends TSchema>(item: S) {
  return Type.Object({
    items: Type.Array(item),
    nextCursor: Type.Optional(Type.String({ description: 'Absent on the last page.' })),
  });
}

/** What a query asks for. Throws PeerError `malformed-request` for a cursor that is none of ours. */
export function pageFrom(query: { readonly limit: number; readonly cursor?: string }): Page {
  if (query.cursor === undefined) return { after: undefined, limit: query.limit };
  const after = Buffer.from(query.cursor, 'base64url').toString('utf8');
  if (/^[\w.:-]{1,128}$/.test(after)) return { after, limit: query.limit };
  throw new PeerError('malformed-request', 'the cursor is not one that a list returned');
}

/** Reads one item more than asked for, and so knows whether there is another page. */
export async function readPage<R, T>(
  page: Page,
  read: (page: Page) => Promise<readonly R[]>,
  keyOf: (row: R) => string,
  view: (row: R) => T,
): Promise<{ items: T[]; nextCursor?: string }> {
  const rows = await read({ after: page.after, limit: page.limit + 1 });
  const items = rows.slice(0, page.limit);
  const last = items.at(-1);
  const more = rows.length > page.limit && last !== undefined;
  return { items: items.map(view), ...(more && { nextCursor: Buffer.from(keyOf(last)).toString('base64url') }) };
}
