import { sql } from 'kysely';

import { InternalError } from '../../core/errors/muster-error.ts';
import type { TrustAnchorRow } from '../../core/enrollment/tables.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { parseSubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { ANCHOR_PURPOSES, type AnchorPurpose, DEFAULT_ANCHOR_SETTINGS, type TrustAnchor } from './anchors.ts';
import { isBareKey } from './bare-key.ts';
import type { AttestationTables, ReferenceValuesRow } from './tables.ts';
import type { ReferenceValues } from './verifier.ts';

/** What a tenant trusts, as of one revision. */
export interface TrustSnapshot {
  anchors<P extends AnchorPurpose>(purpose: P): readonly TrustAnchor<P>[];
  referenceValues(model: string): readonly ReferenceValues[];
}

/** The anchors and reference values of tenants, parsed once a revision: whoever changes them is heard on every node at once. */
export class TrustStore {
  readonly #store: Store;
  readonly #known = new Map<string, { readonly revision: number; readonly snapshot: TrustSnapshot }>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** What the tenant trusts now: one look-up where nothing changed. */
  async of(tenant: string): Promise<TrustSnapshot> {
    const [row] = await this.#store.query(revisionOf, { tenant });
    const revision = row?.revision ?? 0;
    const known = this.#known.get(tenant);
    if (known?.revision === revision) return known.snapshot;
    const snapshot = await this.#read(tenant);
    this.#known.set(tenant, { revision, snapshot });
    return snapshot;
  }

  async #read(tenant: string): Promise<TrustSnapshot> {
    const tables = this.#store.forTenant<AttestationTables>(tenant);
    const [anchorRows, valueRows] = await Promise.all([
      tables.selectFrom('trust_anchors').selectAll().where('purpose', 'in', ANCHOR_PURPOSES).orderBy('id').execute(),
      tables.selectFrom('reference_values').selectAll().orderBy('id').execute(),
    ]);
    const anchors = Map.groupBy(anchorRows.map(anchorOf), ({ purpose }) => purpose);
    const values = Map.groupBy(valueRows.map(referenceValuesOf), ({ model }) => model);
    return {
      // Grouped by purpose, so the list of one is of that one.
      anchors: <P extends AnchorPurpose>(purpose: P) => (anchors.get(purpose) ?? []) as unknown as TrustAnchor<P>[],
      referenceValues: (model) => values.get(model) ?? [],
    };
  }
}

/** Has every node read a tenant's anchors and reference values again. To be called in the unit that changes them. */
export async function trustChanged(tx: Unit, tenant: string): Promise<void> {
  await tx.affected(bumpRevision, { tenant });
}

/** Reference values as they are stored. */
export function referenceValuesOf({ id, model, firmware, pcrs, claims }: ReferenceValuesRow): ReferenceValues {
  return {
    id,
    model,
    firmware,
    pcrs: JSON.parse(pcrs) as ReferenceValues['pcrs'],
    claims: JSON.parse(claims) as ReferenceValues['claims'],
  };
}

function anchorOf({ id, name, purpose, certificate: der, settings }: TrustAnchorRow): TrustAnchor {
  const known = ANCHOR_PURPOSES.find((candidate) => candidate === purpose);
  if (known === undefined) throw new InternalError(`the trust anchor ${id} has the unknown purpose ${purpose}`);
  const certificate = isBareKey(der) ? undefined : parseCertificate(der);
  // What is stored came in by the schema of its purpose; members that are newer than it have their defaults.
  const merged = { ...DEFAULT_ANCHOR_SETTINGS[known], ...(JSON.parse(settings ?? '{}') as object) };
  const publicKey = certificate?.publicKey ?? parseSubjectPublicKeyInfo(der);
  return { id, name, purpose: known, certificate, publicKey, settings: merged } as TrustAnchor;
}

const revisionOf = statement<AttestationTables>()('attestation-revision', (db, p: { tenant: string }) =>
  db.selectFrom('attestation_revisions').select('revision').where('tenant', '=', p.tenant),
);

const bumpRevision = statement<AttestationTables>()('attestation-revision-bump', (db, p: { tenant: string }) =>
  db
    .insertInto('attestation_revisions')
    .values({ tenant: p.tenant, revision: 1 })
    .onConflict((conflict) =>
      conflict.column('tenant').doUpdateSet({ revision: sql<number>`attestation_revisions.revision + 1` }),
    ),
);
