import { randomUUID } from 'node:crypto';

import { auditMigrations } from '../../core/audit/migrations.ts';
import { decodeEntry, type AuditEntry } from '../../core/audit/entry.ts';
import { storedBytes, type AuditTables } from '../../core/audit/tables.ts';
import { insertAuthority, insertTenant } from '../../core/authority/authorities.ts';
import { createIssuing, createRoot } from '../../core/authority/authority-creation.ts';
import { DataKeys } from '../../core/authority/data-keys.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { authorityMigrations } from '../../core/authority/migrations.ts';
import { DEVICE_PROFILE, type ProfileSettings, REGISTRATION_AUTHORITY_PROFILE } from '../../core/authority/profile.ts';
import { insertProfile, ProfileDirectory } from '../../core/authority/profiles.ts';
import type { AuthorityRow, AuthorityTables } from '../../core/authority/tables.ts';
import { credentialVerifier, type CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { createEndpoint, StoredEndpoints, updateEndpoint } from '../../core/enrollment/endpoints.ts';
import type { Fact } from '../../core/enrollment/facts.ts';
import { Hall, type HallDependencies } from '../../core/enrollment/hall.ts';
import { enrollmentMigrations } from '../../core/enrollment/migrations.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import { createSecret, secretHash, type SecretRequest } from '../../core/enrollment/secrets.ts';
import type { EnrollmentRow, EnrollmentTables } from '../../core/enrollment/tables.ts';
import type { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import { migrate, type Migration } from '../../core/store/migrations.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Engine, Store } from '../../core/store/store.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { storedInventory } from '../../devices/inventory/devices.ts';
import { inventoryMigrations } from '../../devices/inventory/migrations.ts';
import { FakeKeyStore } from '../fakes/fake-key-store.ts';
import { openTestStore } from '../support/stores.ts';
import { type CsrOptions, makeCsr } from '../support/test-pki.ts';

/** A point in time that a test moves. */
export class MovableClock {
  ahead = 0;

  now(): number {
    return Date.now() + this.ahead;
  }
}

/** One tenant of a site with its authorities, its profiles and its first endpoint. */
export interface SiteTenant {
  readonly id: string;
  readonly root: AuthorityRow;
  readonly issuing: AuthorityRow;
  readonly profile: string;
  readonly raProfile: string;
  readonly endpoint: Endpoint;
}

/** An endpoint open for EST to every kind of credential, that approves by itself. */
export const OPEN_ENDPOINT: EndpointSettings = {
  protocols: {
    est: {
      authenticators: ['password', 'certificate', 'anchored-certificate', 'ra'],
      channelBinding: 'optional',
      wrapping: 'auto',
      serverKeyGeneration: true,
      csrAttributes: 'none',
    },
  },
  attestation: 'off',
  admission: [],
  approval: 'automatic',
  registrationAuthorities: [],
  retryAfterSeconds: 60,
  pendingLifetimeSeconds: 3600,
};

/** The same, with other authenticators. */
export function openTo(
  ...authenticators: NonNullable<EndpointSettings['protocols']['est']>['authenticators'][number][]
) {
  return { ...OPEN_ENDPOINT, protocols: { est: { ...OPEN_ENDPOINT.protocols.est!, authenticators } } };
}

/** What a test sets of a request; the rest is that of a device asking for itself. */
export type Asking = Partial<Omit<EnrollmentRequest, 'endpoint' | 'facts'>> & { readonly csr?: Uint8Array };

/**
 * Everything from the hall down, over a database of its own and a token with faults: what the composition root wires for a
 * server, with its parts at hand.
 */
export class Site implements AsyncDisposable {
  readonly store: Store;
  readonly keys: FakeKeyStore;
  readonly clock: MovableClock;
  readonly authorities: AuthorityDirectory;
  readonly profiles: ProfileDirectory;
  readonly endpoints: StoredEndpoints;
  readonly credentials: CredentialVerifier;
  readonly dataKeys: DataKeys;
  readonly secretHash = secretHash(new Uint8Array(32).fill(7));
  readonly hall: Hall;
  /** What the hall told its observer. */
  readonly decided: Outcome[] = [];
  /** Ids of the enrolments the hall told operators about. */
  readonly waiting: string[] = [];
  /** The text of every secret that was made: none may be found anywhere. */
  readonly secrets: string[] = [];

  private constructor(store: Store, keys: FakeKeyStore, clock: MovableClock) {
    this.store = store;
    this.keys = keys;
    this.clock = clock;
    this.authorities = new AuthorityDirectory(store, keys, 'http://muster.example');
    this.profiles = new ProfileDirectory(store);
    this.endpoints = new StoredEndpoints(store, this.profiles);
    const { authorities } = this;
    const shortLived = new MemoryShortLived({ clock, takenKeys: takenKeysOf(store), report: () => undefined });
    this.dataKeys = new DataKeys(store, keys);
    const { secretHash: hash, dataKeys } = this;
    this.credentials = credentialVerifier({ store, shortLived, authorities, secretHash: hash, dataKeys });
    this.hall = this.newHall();
  }

  /** `further`: the tables of a protocol that is tested on it. */
  static async open(engine: Engine, further: readonly Migration[] = []): Promise<Site> {
    const clock = new MovableClock();
    const store = await openTestStore(engine, { clock });
    const tables = [storeMigrations, auditMigrations, authorityMigrations, enrollmentMigrations, inventoryMigrations];
    await migrate(store, [...tables.flat(), ...further]);
    return new Site(store, new FakeKeyStore(), clock);
  }

  /** Another node on the same store and token, or the same node with other parts. */
  newHall(parts: Partial<HallDependencies> = {}): Hall {
    const { store, profiles } = this;
    return new Hall({
      store,
      profiles,
      // Nodes share no memory: each reads the authorities by itself.
      authorities: new AuthorityDirectory(store, this.keys, 'http://muster.example'),
      inventory: storedInventory(store),
      gate: undefined,
      approvals: { waiting: (id) => this.waiting.push(id) },
      observer: { decided: (outcome) => this.decided.push(outcome) },
      nodeId: newId(),
      ...parts,
    });
  }

  /** A tenant with P-256 authorities of 4 CRL shards, the two profiles, and an open endpoint of the same name. */
  async tenant(
    name: string = `tenant-${randomUUID()}`,
    settings: ProfileSettings = DEVICE_PROFILE,
  ): Promise<SiteTenant> {
    const { store, keys } = this;
    const now = this.clock.now();
    const tenant = newId(now);
    const common = { tenant, token: 'fake', keyAlgorithm: 'ec-p256', validitySeconds: 10 * 365 * 86_400 } as const;
    const root = await createRoot(
      keys,
      { ...common, name: 'root', subject: nameFromText(`CN=${name} root`), crlShards: 1 },
      now,
    );
    const issuing = await createIssuing(
      keys,
      root,
      { ...common, name: 'issuing', subject: nameFromText(`CN=${name} issuing`), crlShards: 4 },
      now,
    );
    const profile = newId(now);
    const raProfile = newId(now);
    await store.unit(async (tx) => {
      await insertTenant(tx, { id: tenant, name, created_at: now });
      await insertAuthority(tx, root);
      await insertAuthority(tx, issuing);
      await insertProfile(tx, { id: profile, tenant, name: 'device', settings }, now);
      const ra = { id: raProfile, tenant, name: 'registration-authority', settings: REGISTRATION_AUTHORITY_PROFILE };
      await insertProfile(tx, ra, now);
    });
    const made = { id: tenant, root, issuing, profile, raProfile };
    return { ...made, endpoint: await this.endpoint(made, OPEN_ENDPOINT, { label: name }) };
  }

  /** Another endpoint of a tenant. */
  async endpoint(
    tenant: Omit<SiteTenant, 'endpoint'>,
    settings: EndpointSettings,
    { label = `e-${randomUUID()}`, profile = tenant.profile, isDefault = false } = {},
  ): Promise<Endpoint> {
    const draft = { tenant: tenant.id, label, profile, authority: tenant.issuing.id, settings, isDefault };
    await this.store.unit((tx) => createEndpoint(tx, draft, this.clock.now()));
    return (await this.endpoints.resolve(label))!;
  }

  /** A profile of its own for one endpoint. */
  async endpointWithProfile(tenant: SiteTenant, settings: ProfileSettings, open = OPEN_ENDPOINT): Promise<Endpoint> {
    const id = newId();
    await this.store.unit((tx) => insertProfile(tx, { id, tenant: tenant.id, name: id, settings }, this.clock.now()));
    return this.endpoint(tenant, open, { profile: id });
  }

  /** Changes an endpoint, which makes a new revision. */
  async changeEndpoint(endpoint: Endpoint, changes: Partial<EndpointSettings>): Promise<Endpoint> {
    const { id, tenant, label, revision, ...rest } = endpoint;
    const { profile: _profile, authority: _authority, isDefault: _isDefault, keyRules: _keyRules, ...settings } = rest;
    await this.store.unit((tx) => updateEndpoint(tx, tenant, id, revision, { ...settings, ...changes }));
    return (await this.endpoints.resolve(label))!;
  }

  /** A secret of an endpoint; one-time unless told otherwise. */
  async secret(endpoint: Endpoint, request: Partial<SecretRequest> = {}) {
    const made = await this.store.unit((tx) =>
      createSecret(tx, this.secretHash, this.clock.now(), {
        tenant: endpoint.tenant,
        endpoint: endpoint.id,
        usage: 'one-time',
        lifetimeSeconds: 3600,
        createdBy: 'user:test',
        ...request,
      }),
    );
    this.secrets.push(made.secret.reveal());
    return made;
  }

  /** The fact of a password that was just verified. */
  password(endpoint: Endpoint, secret: Secret, { username = 'any', source = '192.0.2.1' } = {}) {
    return this.credentials.password(endpoint, 'est', username, secret, source);
  }

  /** A request as a carrier makes it from a PKCS #10 request and verified facts. */
  request(
    endpoint: Endpoint,
    facts: readonly Fact[],
    { csr = makeCsr().der, ...rest }: Asking = {},
  ): EnrollmentRequest {
    const parsed = parseCertificationRequest(csr);
    return {
      requestId: 'test',
      endpoint,
      protocol: 'est',
      operation: 'enroll',
      requestKey: csr,
      subject: parsed.subject,
      subjectAltName: EXTENSIONS.subjectAltName.find(parsed.requestedExtensions) ?? [],
      requestedExtensions: parsed.requestedExtensions.filter(({ oid }) => oid !== EXTENSION.subjectAltName),
      publicKey: parsed.publicKey,
      proofOfPossession: 'signature',
      der: csr,
      facts,
      sourceAddress: '192.0.2.1',
      ...rest,
    };
  }

  /** Enrols once with a new one-time password. */
  async enroll(endpoint: Endpoint, asking: Asking & { readonly names?: CsrOptions } = {}): Promise<Outcome> {
    const { names, ...rest } = asking;
    const { secret } = await this.secret(endpoint);
    const csr = rest.csr ?? makeCsr(names).der;
    return this.hall.enroll(this.request(endpoint, [await this.password(endpoint, secret)], { ...rest, csr }));
  }

  enrollments(endpoint: Endpoint): Promise<EnrollmentRow[]> {
    return this.store
      .read<EnrollmentTables>()
      .selectFrom('enrollments')
      .selectAll()
      .where('endpoint', '=', endpoint.id)
      .orderBy('id')
      .execute();
  }

  async enrollment(endpoint: Endpoint, id: string | undefined): Promise<EnrollmentRow> {
    return (await this.enrollments(endpoint)).find((row) => row.id === id)!;
  }

  certificates(tenant: string) {
    return this.store.forTenant<AuthorityTables>(tenant).selectFrom('certificates').selectAll().orderBy('id').execute();
  }

  async secretState(endpoint: Endpoint, id: string): Promise<string> {
    const secrets = this.store.forTenant<EnrollmentTables>(endpoint.tenant).selectFrom('shared_secrets');
    return (await secrets.select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;
  }

  /** The audit entries of a tenant, in the order they were made. */
  async audit(tenant: string): Promise<AuditEntry[]> {
    const rows = await this.store
      .read<AuditTables>()
      .selectFrom('audit_entries')
      .select('entry')
      .where('tenant', '=', tenant)
      .orderBy('id')
      .execute();
    return rows.map((row) => decodeEntry(storedBytes(row.entry))!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.keys.fault = undefined;
    await this.store.close();
  }
}

/** The certificate of an outcome that must be one. */
export function issuedBy(outcome: Outcome): Extract<Outcome, { kind: 'issued' }> {
  if (outcome.kind === 'issued') return outcome;
  throw new RangeError(`expected a certificate, found ${JSON.stringify(outcome)}`);
}
