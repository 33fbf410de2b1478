import { sql } from 'kysely';

import { PeerError, StateError } from '../errors/muster-error.ts';
import type { ProfileDirectory } from '../authority/profiles.ts';
import { compileRule } from '../policy/rule.ts';
import { parseNetwork } from '../outside/networks.ts';
import { requireResolver } from '../outside/resolver.ts';
import { newId } from '../store/id.ts';
import type { Rows } from '../store/rows.ts';
import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import type { AcmeSettings } from './acme-settings.ts';
import { attestationPolicy } from './attestation-policy.ts';
import type { Endpoint, EndpointDirectory, EndpointSettings } from './endpoint.ts';
import { deciderUrl } from './external-decider.ts';
import type { EndpointRow, EnrollmentTables } from './tables.ts';

/** RFC 1035 label syntax without upper case: what a path segment, a metric label and a shell take unquoted. */
const LABEL = /^[a-z0-9-]{1,63}$/;

/** What a new endpoint shall be; the label is unique in the installation. */
export interface NewEndpoint {
  readonly tenant: string;
  readonly label: string;
  readonly profile: string;
  readonly authority: string;
  readonly settings: EndpointSettings;
  readonly isDefault: boolean;
}

/**
 * Stores a new endpoint.
 * @throws PeerError `malformed-request` for a label, rule, decider, network or name server that cannot be; StateError `conflict` for a label in use.
 */
export async function createEndpoint(tx: Unit, endpoint: NewEndpoint, now: number): Promise<string> {
  if (!LABEL.test(endpoint.label))
    throw new PeerError('malformed-request', 'label: expected 1 to 63 of a-z, 0-9 and -');
  await requireSettings(endpoint.settings);
  const { tenant, label, profile, authority, settings, isDefault } = endpoint;
  const id = newId(now);
  const result = await tx
    .db<EnrollmentTables>()
    .insertInto('endpoints')
    .values({
      id,
      tenant,
      label,
      profile,
      authority,
      settings: JSON.stringify(settings),
      revision: 1,
      is_default: isDefault ? 1 : 0,
      created_at: now,
    })
    .onConflict((conflict) => conflict.column('label').doNothing())
    .executeTakeFirst();
  if (result.numInsertedOrUpdatedRows !== 1n) throw new StateError('conflict', `the label ${label} is in use`);
  return id;
}

/**
 * Replaces the settings of an endpoint by compare-and-set on its revision.
 * @throws StateError `conflict` when somebody was faster; PeerError for a rule or a decider that cannot be.
 */
export async function updateEndpoint(
  tx: Unit,
  tenant: string,
  id: string,
  revision: number,
  settings: EndpointSettings,
  issuance: { readonly profile?: string; readonly authority?: string } = {},
): Promise<void> {
  await requireSettings(settings);
  const result = await tx
    .forTenant<EnrollmentTables>(tenant)
    .updateTable('endpoints', { ...issuance, settings: JSON.stringify(settings), revision: revision + 1 })
    .where('id', '=', id)
    .where('revision', '=', revision)
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n)
    throw new StateError('conflict', `the endpoint is no longer at revision ${revision}`);
}

/** Has the endpoints of one authority issue by another from now on; returns how many. A rejection holds for none of them any more. */
export async function moveEndpoints(tx: Unit, tenant: string, from: string, to: string): Promise<number> {
  const result = await tx
    .forTenant<EnrollmentTables>(tenant)
    .updateTable('endpoints', { authority: to, revision: sql<number>`revision + 1` })
    .where('authority', '=', from)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/** Endpoints of a tenant in order of id, after `after`. */
export function pageOfEndpoints(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<EndpointRow[]> {
  return rows
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('endpoints')
    .selectAll()
    .$if(page.after !== undefined, (query) => query.where('id', '>', page.after!))
    .orderBy('id')
    .limit(page.limit)
    .execute();
}

/** The endpoint of a tenant with this label. */
export function findEndpoint(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  label: string,
): Promise<EndpointRow | undefined> {
  return rows
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('endpoints')
    .selectAll()
    .where('label', '=', label)
    .executeTakeFirst();
}

/** Labels of the endpoints that one authority issues for. */
export async function usersOfAuthority(
  rows: Pick<Rows, 'forTenant'>,
  tenant: string,
  authority: string,
): Promise<string[]> {
  const found = await rows
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('endpoints')
    .select('label')
    .where('authority', '=', authority)
    .orderBy('label')
    .execute();
  return found.map(({ label }) => label);
}

/**
 * Deletes an endpoint that never enrolled anything.
 * @throws StateError `conflict` when enrolments or secrets refer to it: close its protocols instead.
 */
export async function deleteEndpoint(tx: Unit, tenant: string, id: string): Promise<boolean> {
  const used = await tx
    .forTenant<EnrollmentTables>(tenant)
    .selectFrom('enrollments')
    .select('id')
    .where('endpoint', '=', id)
    .limit(1)
    .execute();
  if (used.length > 0) throw new StateError('conflict', 'the endpoint has enrolments; close its protocols instead');
  await tx.forTenant<EnrollmentTables>(tenant).deleteFrom('shared_secrets').where('endpoint', '=', id).execute();
  const result = await tx
    .forTenant<EnrollmentTables>(tenant)
    .deleteFrom('endpoints')
    .where('id', '=', id)
    .executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Reads endpoints as they stand; one revision is parsed, and its rules compiled, once. */
export class StoredEndpoints implements EndpointDirectory {
  readonly #store: Store;
  readonly #profiles: ProfileDirectory;
  readonly #parsed = new Map<string, Endpoint>();

  constructor(store: Store, profiles: ProfileDirectory) {
    this.#store = store;
    this.#profiles = profiles;
  }

  async resolve(label: string | undefined): Promise<Endpoint | undefined> {
    if (label !== undefined && !LABEL.test(label)) return undefined;
    const rows =
      label === undefined
        ? await this.#store.query(defaultEndpoint, {})
        : await this.#store.query(endpointByLabel, { label });
    return rows[0] && this.#endpointOf(rows[0]);
  }

  /** The endpoints of a tenant, oldest first. */
  async list(tenant: string): Promise<Endpoint[]> {
    const rows = await this.#store
      .forTenant<EnrollmentTables>(tenant)
      .selectFrom('endpoints')
      .selectAll()
      .orderBy('id')
      .execute();
    return Promise.all(rows.map((row) => this.#endpointOf(row)));
  }

  async #endpointOf(row: EndpointRow): Promise<Endpoint> {
    const profile = await this.#profiles.get(row.tenant, row.profile);
    const known = this.#parsed.get(row.id);
    if (known?.revision === row.revision && known.keyRules === profile.keys) return known;
    const settings = JSON.parse(row.settings) as EndpointSettings;
    const fresh: Endpoint = {
      ...settings,
      attestation: attestationPolicy(settings.attestation),
      id: row.id,
      tenant: row.tenant,
      label: row.label,
      profile: row.profile,
      authority: row.authority,
      revision: row.revision,
      isDefault: row.is_default === 1,
      keyRules: profile.keys,
    };
    this.#parsed.set(row.id, fresh);
    return fresh;
  }
}

async function requireSettings(settings: EndpointSettings): Promise<void> {
  if (settings.decider) deciderUrl(settings.decider);
  const { acme } = settings.protocols;
  if (acme) requireOutside(acme);
  for (const { name, rule } of settings.admission) await compileRule(rule, name);
  if (typeof settings.approval === 'object') await compileRule(settings.approval.when, 'approval');
}

/** What validation connects by is read now: a network that does not parse would fail every challenge. */
function requireOutside({ allowedNetworks, deniedNetworks, resolvers }: AcmeSettings): void {
  for (const network of [...allowedNetworks, ...deniedNetworks]) parseNetwork(network);
  for (const resolver of resolvers) requireResolver(resolver);
}

const endpointByLabel = statement<EnrollmentTables>()('endpoint-by-label', (db, p: { label: string }) =>
  db.selectFrom('endpoints').selectAll().where('label', '=', p.label),
);

const defaultEndpoint = statement<EnrollmentTables>()('endpoint-default', (db) =>
  db.selectFrom('endpoints').selectAll().where('is_default', '=', 1).orderBy('id').limit(1),
);
