import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { auditMigrations } from '../../core/audit/migrations.ts';
import { authorityMigrations } from '../../core/authority/migrations.ts';
import { RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import { Rollovers } from '../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import { approve } from '../../core/enrollment/enrollments.ts';
import { OPEN_CMP, type CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import { enrollmentMigrations } from '../../core/enrollment/migrations.ts';
import { createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { migrate } from '../../core/store/migrations.ts';
import { storeMigrations } from '../../core/store/store-migrations.ts';
import type { Engine } from '../../core/store/store.ts';
import { inventoryMigrations } from '../../devices/inventory/migrations.ts';
import { endUnconfirmed } from '../../protocols/cmp/confirmation-deadline.ts';
import { cmpMigrations } from '../../protocols/cmp/migrations.ts';
import { CmpService, type OpenEndpoint } from '../../protocols/cmp/service.ts';
import type { CmpTables } from '../../protocols/cmp/tables.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from '../enrollment/site.ts';
import { type Body, buildMessage, type HeaderChanges, ID_IT, info, nonce } from '../fakes/cmp-message.ts';
import { type MacSecret, passwordBasedMac, type Protection, signature } from '../fakes/cmp-protection.ts';
import { certConf, certRequests, genm, pollReq, requestFor, rr } from '../fakes/cmp-request.ts';
import { CmpResponse } from '../fakes/cmp-response.ts';
import { newKey } from '../fakes/cmp-signatures.ts';
import { ENGINES } from '../support/stores.ts';

const DAY = 86_400_000;
const IMPLICIT = [info(ID_IT.implicitConfirm, Buffer.from([5, 0]))];

/** The rules of CMP over a site: its store, its hall, its token with faults. */
class CmpSite implements AsyncDisposable {
  readonly site: Site;
  readonly tenant: SiteTenant;
  /** How long a CRL takes, in milliseconds. */
  crlMilliseconds = 0;
  #service: CmpService;

  private constructor(site: Site, tenant: SiteTenant) {
    this.site = site;
    this.tenant = tenant;
    this.#service = this.#start();
  }

  static async open(engine: Engine): Promise<CmpSite> {
    const site = await Site.open(engine);
    const before = [storeMigrations, auditMigrations, authorityMigrations, enrollmentMigrations, inventoryMigrations];
    await migrate(site.store, [...before.flat(), ...cmpMigrations]);
    return new CmpSite(site, await site.tenant());
  }

  /** Another process on the same store. */
  async restart(): Promise<void> {
    await this.#service[Symbol.asyncDispose]();
    this.#service = this.#start();
  }

  async endpoint(
    cmp: Partial<CmpSettings> = {},
    changes: object = {},
    profile = this.tenant.profile,
  ): Promise<OpenEndpoint> {
    const settings = { ...OPEN_ENDPOINT, protocols: { cmp: { ...OPEN_CMP, ...cmp } }, ...changes };
    const { label } = await this.site.endpoint(this.tenant, settings, { profile });
    return this.#service.open(label);
  }

  async secret({ endpoint }: OpenEndpoint, usage: 'one-time' | 'device' = 'one-time'): Promise<MacSecret> {
    const { store, dataKeys } = this.site;
    const sealer = await dataKeys.sealer(endpoint.tenant);
    const draft = {
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      usage,
      lifetimeSeconds: 3600,
      createdBy: 'user:test',
    };
    const made = await store.unit((tx) => createMacSecret(tx, sealer, store.clock.now(), draft));
    return { reference: made.reference, secret: made.secret.reveal() };
  }

  async mac(open: OpenEndpoint, usage?: 'one-time' | 'device'): Promise<Protection> {
    return passwordBasedMac(await this.secret(open, usage), { iterations: 500 });
  }

  async send(open: OpenEndpoint, message: Uint8Array): Promise<CmpResponse> {
    const call = { requestId: 'test', message, operation: undefined, sourceAddress: '192.0.2.1' };
    return new CmpResponse(Buffer.from((await this.#service.answer(open, call, () => undefined))!));
  }

  transactions({ endpoint }: OpenEndpoint): Promise<CmpTables['cmp_transactions'][]> {
    const rows = this.site.store.forTenant<CmpTables>(endpoint.tenant).selectFrom('cmp_transactions').selectAll();
    return rows.where('endpoint', '=', endpoint.id).execute();
  }

  #start(): CmpService {
    const { store, keys, authorities, endpoints, credentials, profiles, hall } = this.site;
    const identities = new ServiceIdentities({ store, keys, authorities });
    const current = async (): Promise<Uint8Array> => {
      await delay(this.crlMilliseconds);
      return Buffer.from([0x30, 0]);
    };
    const crls = { current };
    const rollovers = new Rollovers({ store, authorities, report: () => undefined });
    const sightings = new RolloverSightings({ store, rollovers });
    const ofRollovers = { rollovers, sightings };
    const others = { store, endpoints, credentials, profiles, hall, identities, crls };
    return new CmpService({ ...others, authorities, ...ofRollovers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.site.keys.fault = undefined;
    await this.#service[Symbol.asyncDispose]();
    await this.site[Symbol.asyncDispose]();
  }
}

/** The messages of one transaction: the id is kept, nonces are echoed. */
class Talk {
  readonly transactionID = nonce();
  readonly #cmp: CmpSite;
  readonly #open: OpenEndpoint;
  readonly #protect: Protection;
  readonly #pvno: number;
  #echo: Uint8Array | undefined;

  constructor(cmp: CmpSite, open: OpenEndpoint, protect: Protection, pvno = 2) {
    this.#cmp = cmp;
    this.#open = open;
    this.#protect = protect;
    this.#pvno = pvno;
  }

  message(content: Body, header: HeaderChanges = {}): Uint8Array {
    const { transactionID } = this;
    const echo = this.#echo === undefined ? {} : { recipNonce: this.#echo };
    return buildMessage({
      content,
      protect: this.#protect,
      header: { pvno: this.#pvno, transactionID, ...echo, ...header },
    });
  }

  async send(content: Body, header: HeaderChanges = {}): Promise<CmpResponse> {
    const response = await this.#cmp.send(this.#open, this.message(content, header));
    this.#echo = response.header.senderNonce;
    return response;
  }
}

const irOf = (name: string, key = newKey()): Body => certRequests('ir', requestFor(`CN=${name}`, key));
const hashOf = (certificate: Uint8Array): Buffer => createHash('sha256').update(certificate).digest();

describe.each(ENGINES)('a transaction on %s', (engine) => {
  let cmp: CmpSite;
  beforeAll(async () => void (cmp = await CmpSite.open(engine)));
  afterEach(() => void (cmp.site.clock.ahead = 0));
  afterAll(() => cmp[Symbol.asyncDispose]());

  it('is remembered from the first message to pkiconf, over restarts', async () => {
    const open = await cmp.endpoint();
    const talk = new Talk(cmp, open, await cmp.mac(open));
    const ir = talk.message(irOf('router1'));
    const ip = await cmp.send(open, ir);
    expect(ip.summary).toBe('ip accepted');
    await cmp.restart();
    expect((await cmp.send(open, ir)).der).toEqual(ip.der);
    const conf = talk.message(certConf({ certHash: hashOf(ip.certificate) }), { recipNonce: ip.header.senderNonce! });
    const pkiconf = await cmp.send(open, conf);
    expect(pkiconf.kind).toBe('pkiconf');
    await cmp.restart();
    expect((await cmp.send(open, conf)).der).toEqual(pkiconf.der);
    expect((await cmp.send(open, talk.message(irOf('router1')))).summary).toContain('transactionIdInUse');
    expect(await cmp.transactions(open)).toMatchObject([{ state: 'ended', confirmation: 'accepted', request: null }]);
  });

  it('sent twice at once is answered alike, with one certificate', async () => {
    const open = await cmp.endpoint();
    const message = new Talk(cmp, open, await cmp.mac(open)).message(irOf('router1'), { generalInfo: IMPLICIT });
    const answers = await Promise.all([1, 2, 3].map(() => cmp.send(open, message)));
    const certificates = new Set(answers.map((answer) => answer.certificate.toString('hex')));
    expect(certificates.size).toBe(1);
    expect(await cmp.transactions(open)).toHaveLength(1);
  });

  it.each(['keep', 'revoke'] as const)('that nobody confirms ends in time: %s', async (unconfirmed) => {
    const open = await cmp.endpoint({ confirmation: { implicit: true, waitSeconds: 60, unconfirmed } });
    const talk = new Talk(cmp, open, await cmp.mac(open));
    const ip = await talk.send(irOf('router1'));
    await endUnconfirmed(cmp.site.store);
    expect(await cmp.transactions(open)).toMatchObject([{ state: 'confirming', confirmation: null }]);
    cmp.site.clock.ahead = 61_000;
    await endUnconfirmed(cmp.site.store);
    expect(await cmp.transactions(open)).toMatchObject([{ state: 'ended', confirmation: 'unconfirmed' }]);
    const status = { keep: 'active', revoke: 'revoked' }[unconfirmed];
    const issued = (await cmp.site.certificates(cmp.tenant.id)).find(({ der }) => ip.certificate.equals(der));
    expect(issued).toMatchObject({ status });
    const late = await talk.send(certConf({ certHash: hashOf(ip.certificate) }));
    expect(late.summary).toContain('certConfirmed');
  });

  it('is dropped a day after it is over, and not before', async () => {
    const open = await cmp.endpoint({}, { pendingLifetimeSeconds: 60 });
    const talk = new Talk(cmp, open, await cmp.mac(open));
    await talk.send(irOf('router1'), { generalInfo: IMPLICIT });
    cmp.site.clock.ahead = DAY - 60_000;
    await endUnconfirmed(cmp.site.store);
    expect(await cmp.transactions(open)).toHaveLength(1);
    cmp.site.clock.ahead = DAY + 120_000;
    await endUnconfirmed(cmp.site.store);
    expect(await cmp.transactions(open)).toHaveLength(0);
  });

  it('keeps its one-time secret while the token is away: it is polled for', async () => {
    const open = await cmp.endpoint();
    const talk = new Talk(cmp, open, await cmp.mac(open));
    cmp.site.keys.fault = 'away';
    expect((await talk.send(irOf('router1'))).summary).toBe('ip waiting');
    const pollRep = await talk.send(pollReq(0));
    expect(pollRep.kind).toBe('pollRep');
    expect(pollRep.checkAfter).toBeGreaterThanOrEqual(5);
    cmp.site.keys.fault = undefined;
    await cmp.restart();
    const ip = await talk.send(pollReq(0));
    expect(ip.summary).toBe('ip accepted');
    expect((await talk.send(certConf({ certHash: hashOf(ip.certificate) }))).kind).toBe('pkiconf');
  });

  it('that waits for an operator ends with what he says, or with his silence', async () => {
    const open = await cmp.endpoint({}, { approval: 'manual', pendingLifetimeSeconds: 3600 });
    const approved = new Talk(cmp, open, await cmp.mac(open));
    const forgotten = new Talk(cmp, open, await cmp.mac(open));
    expect((await approved.send(irOf('router1'))).summary).toBe('ip waiting');
    expect((await forgotten.send(irOf('router2'))).summary).toBe('ip waiting');
    const first = cmp.site.waiting.at(-2);
    const { store, clock } = cmp.site;
    const decision = { tenant: cmp.tenant.id, id: first!, actor: 'user:test', comment: 'known', now: clock.now() };
    await store.unit((tx) => approve(tx, decision));
    expect((await approved.send(pollReq(0))).summary).toBe('ip accepted');
    clock.ahead = 3_601_000;
    expect((await forgotten.send(pollReq(0))).summary).toContain('ip rejection');
  });
});

describe('on a site', () => {
  let cmp: CmpSite;
  beforeAll(async () => void (cmp = await CmpSite.open('sqlite')));
  afterAll(() => cmp[Symbol.asyncDispose]());

  async function device(open: OpenEndpoint, name: string): Promise<Protection> {
    const key = newKey();
    const ip = await new Talk(cmp, open, await cmp.mac(open)).send(irOf(name, key), { generalInfo: IMPLICIT });
    return signature({ key, certificate: ip.certificate, chain: ip.extraCerts });
  }

  it('a revocation whose answer was lost with the token is told to have succeeded when it comes again', async () => {
    const open = await cmp.endpoint();
    const signed = await device(open, 'router1');
    const other = await device(open, 'router1');
    const talk = new Talk(cmp, open, signed);
    const message = talk.message(rr({ certificate: other.extraCerts[0]!, reason: 4 }));
    cmp.site.keys.fault = 'away';
    const lost = await cmp.send(open, message);
    expect(lost.protectedBy).toBe('nothing');
    expect(lost.summary).toContain('systemUnavail');
    cmp.site.keys.fault = undefined;
    await cmp.restart();
    expect((await cmp.send(open, message)).summary).toBe('rp accepted');
    const again = await new Talk(cmp, open, signed).send(rr({ certificate: other.extraCerts[0]!, reason: 4 }));
    expect(again.summary).toContain('certRevoked');
  });

  it('a release of a certificate on hold tells the present time', async () => {
    const { raProfile } = cmp.tenant;
    const open = await cmp.endpoint();
    const gateways = await cmp.endpoint({}, {}, raProfile);
    const gateway = await device(gateways, 'gateway');
    const held = (await device(open, 'router3')).extraCerts[0]!;
    const talk = new Talk(cmp, open, gateway);
    expect((await talk.send(rr({ certificate: held, reason: 6 }))).summary).toBe('rp accepted');
    const release = rr({ certificate: held, reason: 8 });
    const old = await new Talk(cmp, open, gateway).send(release, { messageTime: new Date(Date.now() - 2 * 3_600_000) });
    expect(old.summary).toContain('badTime');
    const timeless = await new Talk(cmp, open, gateway).send(release, { messageTime: null });
    expect(timeless.summary).toContain('badTime');
    expect((await new Talk(cmp, open, gateway).send(release)).summary).toBe('rp accepted');
  });

  it('a revocation of another device’s certificate is refused, and in the audit log', async () => {
    const open = await cmp.endpoint();
    const signed = await device(open, 'router1');
    const other = await device(open, 'router2');
    const refused = await new Talk(cmp, open, signed).send(rr({ certificate: other.extraCerts[0]!, reason: 1 }));
    expect(refused.summary).toContain('notAuthorized');
    const entries = await cmp.site.audit(cmp.tenant.id);
    expect(entries.filter(({ action }) => action === 'revocation.refused')).toHaveLength(1);
    const kept = (await cmp.site.certificates(cmp.tenant.id)).find(({ der }) =>
      Buffer.from(der).equals(other.extraCerts[0]!),
    );
    expect(kept).toMatchObject({ status: 'active' });
  });

  it('a request of version 3 that takes long is polled for, even a genm', async () => {
    const open = await cmp.endpoint({ answerWithinSeconds: 1 });
    const protect = await cmp.mac(open, 'device');
    cmp.crlMilliseconds = 1200;
    const talk = new Talk(cmp, open, protect, 3);
    expect((await talk.send(genm(info(ID_IT.currentCrl)))).summary).toBe('error waiting');
    await delay(300);
    expect((await talk.send(pollReq(-1))).kind).toBe('genp');
    // Version 2 has no word for it, and waits.
    expect((await new Talk(cmp, open, protect, 2).send(genm(info(ID_IT.currentCrl)))).kind).toBe('genp');
  });
});
