import type { NewJob } from '../store/jobs.ts';

/** The kind of job that publishes CRLs. */
export const PUBLISH_CRL = 'publish-crl';

/** What a publication is about. */
export interface CrlPublication {
  readonly tenant: string;
  readonly authority: string;
  /**
   * `changes`: the delta, and the full CRL too where it is what certificates point to. `full`: both. Otherwise the number
   * of a shard.
   */
  readonly scope: string;
}

/** What asks for a publication: a revocation, or the schedule (RFC 5280 §5.2.4 calls that a regular CRL). */
export type CrlOccasion = 'change' | 'regular';

/** The jobs that a change of one certificate makes necessary: of several that wait for the same list, one stays. */
export function changeJobs(
  { tenant, authority, shards }: { readonly tenant: string; readonly authority: string; readonly shards: number },
  shard: number,
): NewJob[] {
  const scopes = shards === 1 ? ['changes'] : [String(shard), 'changes'];
  return scopes.map((scope) => publicationJob({ tenant, authority, scope }, 'change'));
}

/** A token that is away for a week is asked until it is back. */
const MAX_ATTEMPTS = 1_000_000;

/** The job that publishes one scope. */
export function publicationJob({ tenant, authority, scope }: CrlPublication, occasion: CrlOccasion): NewJob {
  return {
    kind: PUBLISH_CRL,
    key: `${authority}/${scope}/${occasion}`,
    payload: { tenant, authority, scope, occasion },
    maxAttempts: MAX_ATTEMPTS,
  };
}
