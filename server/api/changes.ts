import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { tenantParameter } from './paging.ts';

/** The query parameter of routes that can show what they would do. */
const dryRunParameter = {
  dryRun: Type.Boolean({
    description: 'Do it, answer as if it were done, and take it back: nothing stays.',
    default: false,
  }),
};

/** The query string of a route that changes one object of a tenant. */
export const changeQuery = Type.Object({ ...tenantParameter, ...dryRunParameter }, { additionalProperties: false });

/** Carries the result of a dry run out of the unit that it undoes. */
class TakenBack<T> extends Error {
  readonly result: T;

  constructor(result: T) {
    super('a dry run is taken back');
    this.result = result;
  }
}

/**
 * Runs a change in one unit of work. With `?dryRun=true` the unit does everything, rules and constraints of the database
 * included, and is rolled back; the answer says so by `muster-dry-run`. What the answer shows has to come out of the unit.
 */
export async function applyChange<T>(
  store: Pick<Store, 'unit'>,
  request: FastifyRequest,
  reply: FastifyReply,
  work: (tx: Unit) => Promise<T>,
): Promise<T> {
  if (!isDryRun(request)) return store.unit(work);
  void reply.header('muster-dry-run', 'true');
  try {
    return await store.unit(async (tx) => {
      throw new TakenBack(await work(tx));
    });
  } catch (error) {
    if (error instanceof TakenBack) return (error as TakenBack<T>).result;
    throw error;
  }
}

/** @throws PeerError `malformed-request` for a dry run of what a token would keep */
export function requireWet(request: FastifyRequest, what: string): void {
  if (isDryRun(request)) throw new PeerError('malformed-request', `dryRun: this ${what}, which cannot be taken back`);
}

/** Whether nothing of what is asked for shall stay. */
export function isDryRun(request: FastifyRequest): boolean {
  return (request.query as { readonly dryRun?: unknown }).dryRun === true;
}
