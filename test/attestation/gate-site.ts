import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import { credentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint, EndpointSettings } from '../../core/enrollment/endpoint.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import { MemoryShortLived } from '../../core/store/memory-short-lived.ts';
import type { Migration } from '../../core/store/migrations.ts';
import { durableRows } from '../../core/store/rows.ts';
import type { Engine } from '../../core/store/store.ts';
import { takenKeysOf } from '../../core/store/taken-keys.ts';
import type { AnchorPurpose, AnchorSettings } from '../../devices/attestation/anchors.ts';
import type { CloneAlarm } from '../../devices/attestation/clones.ts';
import { listEvidence } from '../../devices/attestation/evidence-records.ts';
import { StoredGate } from '../../devices/attestation/gate.ts';
import { appraiseIdevid, idevidVerifier } from '../../devices/attestation/idevid/verifier.ts';
import { attestationMigrations } from '../../devices/attestation/migrations.ts';
import { AttestationKeyOffice } from '../../devices/attestation/tpm/attestation-key-office.ts';
import { attestationKeyMigrations } from '../../devices/attestation/tpm/migrations.ts';
import { addTrustAnchor } from '../../devices/attestation/trust-anchors.ts';
import { announce } from '../../devices/inventory/expected-devices.ts';
import { deviceOfJson } from '../../devices/inventory/manifest-line.ts';
import { plainVerifier } from '../fakes/plain-evidence.ts';
import { makeCsr } from '../support/test-pki.ts';
import { OPEN_ENDPOINT, openTo, Site, type Asking, type SiteTenant } from '../enrollment/site.ts';

/** A site with the real gate before its hall. */
export class GateSite implements AsyncDisposable {
  readonly site: Site;
  readonly acme: SiteTenant;
  readonly gate: StoredGate;
  readonly hall: Hall;
  readonly credentials: CredentialVerifier;
  readonly alarms: CloneAlarm[] = [];

  private constructor(site: Site, acme: SiteTenant) {
    this.site = site;
    this.acme = acme;
    const { store, clock, authorities, secretHash, dataKeys } = site;
    const shortLived = new MemoryShortLived({ clock, takenKeys: takenKeysOf(store), report: () => undefined });
    this.gate = this.newGate();
    const { gate } = this;
    this.credentials = credentialVerifier({ store, shortLived, authorities, secretHash, dataKeys, gate });
    this.hall = site.newHall({ gate });
  }

  /** `further`: the tables of a protocol that is tested on it. */
  static async open(engine: Engine, further: readonly Migration[] = []): Promise<GateSite> {
    const site = await Site.open(engine, [...attestationMigrations, ...attestationKeyMigrations, ...further]);
    return new GateSite(site, await site.tenant('acme'));
  }

  /** The gate of another node. */
  newGate(): StoredGate {
    const { store, clock } = this.site;
    return new StoredGate({
      store,
      shortLived: new MemoryShortLived({ clock, takenKeys: takenKeysOf(store), report: () => undefined }),
      nonceKey: new Uint8Array(32).fill(9),
      verifiers: [plainVerifier(), idevidVerifier()],
      identify: appraiseIdevid,
      attestationKeys: new AttestationKeyOffice(store),
      onClone: (alarm) => this.alarms.push(alarm),
    });
  }

  /** An endpoint that accepts passwords, and what else is said. */
  endpoint(changes: Partial<EndpointSettings> = { attestation: 'enforce' }): Promise<Endpoint> {
    return this.site.endpoint(this.acme, { ...OPEN_ENDPOINT, ...changes });
  }

  /** An endpoint that lets devices in by their IDevID alone. */
  idevidEndpoint(attestation: EndpointSettings['attestation'] = 'enforce'): Promise<Endpoint> {
    return this.site.endpoint(this.acme, { ...openTo('idevid', 'certificate'), attestation });
  }

  /** Enrols with a one-time password, and evidence where it is given. */
  async enroll(endpoint: Endpoint, asking: Asking & { readonly evidence?: Evidence } = {}): Promise<Outcome> {
    const { secret } = await this.site.secret(endpoint);
    const fact = await this.credentials.password(endpoint, 'est', 'any', secret, '192.0.2.1');
    return this.hall.enroll(this.site.request(endpoint, [fact], asking));
  }

  /** Enrols over TLS with a certificate of the device's own. */
  async enrollByTls(endpoint: Endpoint, chain: readonly Uint8Array[], subject: string, asking: Asking = {}) {
    const fact = await this.credentials.tlsCertificate(endpoint, chain);
    return this.hall.enroll(this.site.request(endpoint, [fact], { csr: makeCsr({ subject }).der, ...asking }));
  }

  /** Trusts a certificate for a purpose. */
  trust<P extends AnchorPurpose>(purpose: P, certificate: Uint8Array, settings: Partial<AnchorSettings[P]> = {}) {
    const { store, clock } = this.site;
    const anchor = { tenant: this.acme.id, purpose, name: purpose, certificate, settings };
    return store.unit((tx) => addTrustAnchor(tx, anchor, clock.now()));
  }

  /** Has devices expected, as lines of a manifest say them. */
  async expect(...devices: readonly object[]): Promise<void> {
    const { store, clock } = this.site;
    const lines = devices.map((device) => deviceOfJson(JSON.stringify(device)));
    await store.unit((tx) => announce(tx, { tenant: this.acme.id, manifest: null, devices: lines, at: clock.now() }));
  }

  /** Lets time pass; returns the time then, epoch milliseconds. */
  later(milliseconds: number): number {
    this.site.clock.ahead += milliseconds;
    return this.site.clock.now();
  }

  /** The verdict recorded last. */
  async lastVerdict() {
    const [row] = await listEvidence(durableRows(this.site.store), this.acme.id, { limit: 1 });
    return row!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.site[Symbol.asyncDispose]();
  }
}
