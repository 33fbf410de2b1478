import { keptCrls } from '../../core/authority/authority-end.ts';
import { revokedAuthorities } from '../../core/authority/authority-revocation.ts';
import type { RevocationView } from '../../core/authority/revocation-view.ts';
import type { AuthorityTables, CrlRow } from '../../core/authority/tables.ts';
import type { Store } from '../../core/store/store.ts';
import type { DoctorFinding } from './doctor.ts';

/** Beyond this age of its view a node answers no OCSP request from memory. */
const OLD_VIEW_MS = 2_000;
/** What a shard should hold at most: it is published with each revocation in it. */
const FULL_SHARD = 20_000;

/** Whether this node follows revocations, and whether the CRLs in force are those that should be. */
export async function revocationFindings(
  store: Store,
  revocations: Pick<RevocationView, 'ageMs'>,
): Promise<DoctorFinding[]> {
  // A database that does not answer is a finding of its own.
  const now = store.clock.now();
  const crls = await keptCrls(store, now).then(
    ({ inForce }) => inForce,
    () => [],
  );
  return [viewFinding(revocations.ageMs), ...crlFindings(crls, now), ...(await authorityFindings(store))];
}

/** An authority that issues nothing any more, and nobody took over. */
async function authorityFindings(store: Store): Promise<DoctorFinding[]> {
  const rows = await store
    .read<AuthorityTables>()
    .selectFrom('authorities')
    .selectAll()
    .execute()
    .catch(() => []);
  const active = rows.filter(({ state }) => state === 'active');
  const revoked = active.length === 0 ? new Set() : await revokedAuthorities(store, rows).catch(() => new Set());
  const names = active.filter(({ id }) => revoked.has(id)).map(({ name }) => name);
  if (names.length === 0) return [];
  return [
    {
      check: 'revoked-authorities',
      state: 'failed',
      text: `revoked, so that their endpoints issue nothing: ${some(names)}`,
      remedy: 'start a rollover, and switch to the successor: muster ca rollover start',
    },
  ];
}

function viewFinding(ageMs: number): DoctorFinding {
  const check = 'revocations';
  if (ageMs <= OLD_VIEW_MS) return { check, state: 'ok', text: 'this node knows every revocation of the last second' };
  return {
    check,
    state: 'failed',
    text: `this node has not learned of revocations for ${Math.round(ageMs / 1000)} s and answers nothing from memory`,
    remedy: 'see that the database answers this node in time',
  };
}

function crlFindings(crls: readonly CrlRow[], now: number): DoctorFinding[] {
  const overdue = crls.filter(({ next_update: nextUpdate }) => nextUpdate < now).map(nameOf);
  const crowded = crls.filter(({ scope, entries }) => /^\d/.test(scope) && entries > FULL_SHARD).map(nameOf);
  const state: DoctorFinding = { check: 'crl', state: 'ok', text: `${crls.length} CRLs are in force` };
  return [
    ...(overdue.length === 0 ? [state] : [overdueFinding(overdue)]),
    ...(crowded.length === 0 ? [] : [crowdedFinding(crowded)]),
  ];
}

function overdueFinding(names: readonly string[]): DoctorFinding {
  return {
    check: 'crl',
    state: 'failed',
    text: `past their nextUpdate: CRL ${some(names)}`,
    remedy: 'see that the token of the authority answers; the CRLs follow by themselves',
  };
}

function crowdedFinding(names: readonly string[]): DoctorFinding {
  return {
    check: 'crl-shards',
    state: 'warning',
    text: `over ${FULL_SHARD} entries: CRL shard ${some(names)}`,
    remedy: 'let the next authority spread its certificates over more shards',
  };
}

const MOST_NAMED = 5;

function some(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function nameOf({ authority, scope }: CrlRow): string {
  return `${authority}/${scope}`;
}
