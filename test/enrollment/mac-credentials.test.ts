import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { OPEN_CMP } from '../../core/enrollment/cmp-settings.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import { createMacSecret, type MacSecretRequest } from '../../core/enrollment/sealed-secrets.ts';
import { revokeSecret } from '../../core/enrollment/secrets.ts';
import type { EnrollmentTables } from '../../core/enrollment/tables.ts';
import { InternalError, UpstreamError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { issuedBy, OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

describe.each(ENGINES)('MAC secrets on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let endpoint: Endpoint;
  let source = 0;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    endpoint = await open();
  });
  afterEach(() => {
    site.clock.ahead = 0;
    site.keys.fault = undefined;
    source += 1;
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (): Promise<Endpoint> =>
    site.endpoint(acme, { ...OPEN_ENDPOINT, protocols: { ...OPEN_ENDPOINT.protocols, cmp: OPEN_CMP } });

  async function make(request: Partial<MacSecretRequest> = {}) {
    const sealer = await site.dataKeys.sealer(acme.id);
    const made = await site.store.unit((tx) =>
      createMacSecret(tx, sealer, site.clock.now(), {
        tenant: acme.id,
        endpoint: endpoint.id,
        usage: 'one-time',
        lifetimeSeconds: 3600,
        createdBy: 'user:test',
        ...request,
      }),
    );
    site.secrets.push(made.secret.reveal());
    return made;
  }

  const find = (reference: string, at = endpoint) =>
    site.credentials.macCredential(at, 'cmp', Buffer.from(reference), `192.0.2.${source % 256}`);

  const request = (facts: EnrollmentRequest['facts'], { name = 'router1' } = {}): EnrollmentRequest =>
    site.request(endpoint, facts, { protocol: 'cmp', csr: makeCsr({ subject: `CN=${name}` }).der });

  it('are found by their reference, readable, and stand sealed in the store', async () => {
    const { id, reference, secret } = await make({ usage: 'device', subject: 'router1' });
    expect(reference).toMatch(/^[0-9a-z]{12}$/);
    const found = await find(reference);
    expect(found!.secret.reveal()).toBe(secret.reveal());
    expect(found!.fact()).toMatchObject({
      kind: 'mac',
      secretId: id,
      reference,
      usage: 'device',
      state: 'free',
      boundKey: undefined,
      subject: 'router1',
    });
    const rows = site.store.forTenant<EnrollmentTables>(acme.id).selectFrom('shared_secrets').selectAll();
    const row = await rows.where('id', '=', id).executeTakeFirstOrThrow();
    expect(Buffer.from(row.sealed!).includes(secret.reveal())).toBe(false);
    expect(JSON.stringify({ ...row, sealed: null })).not.toContain(secret.reveal());
  });

  it('are not found by another reference, at another endpoint, ended, revoked, or where no MAC is accepted', async () => {
    const { id, reference } = await make();
    for (const other of ['', 'router1', reference.toUpperCase(), `${reference}\0`, 'a'.repeat(5000), '\ufffd'])
      expect(await find(other)).toBeUndefined();
    expect(await find(reference, await open())).toBeUndefined();
    expect(await find(reference, acme.endpoint)).toBeUndefined();
    site.clock.ahead = 3601_000;
    expect(await find(reference)).toBeUndefined();
    site.clock.ahead = 0;
    await site.store.unit((tx) => revokeSecret(tx, acme.id, id));
    expect(await find(reference)).toBeUndefined();
  });

  it('admit one request, and answer what follows it after that', async () => {
    const { reference, id } = await make();
    const first = request([(await find(reference))!.fact()]);
    issuedBy(await site.hall.enroll(first));
    expect(await site.secretState(endpoint, id)).toBe('spent');
    // certConf and pollReq are protected by it after the certificate was made.
    const later = (await find(reference))!.fact();
    expect(later.state).toBe('spent');
    expect(issuedBy(await site.hall.enroll({ ...first, facts: [later] })).replayed).toBe(true);
    expect(await site.hall.enroll(request([later], { name: 'router2' }))).toMatchObject({
      kind: 'rejected',
      reason: 'bad-credential',
    });
  });

  it('of one device enrol it again and again, and nobody else', async () => {
    const { reference } = await make({ usage: 'device', subject: 'router1' });
    for (let n = 0; n < 2; n++) issuedBy(await site.hall.enroll(request([(await find(reference))!.fact()])));
    const other = request([(await find(reference))!.fact()], { name: 'router2' });
    expect(await site.hall.enroll(other)).toMatchObject({ kind: 'rejected', reason: 'subject-mismatch' });
  });

  it('renew nothing, and serve no carrier whose endpoint settings do not name them', async () => {
    const { reference } = await make();
    const fact = (await find(reference))!.fact();
    expect(await site.hall.enroll({ ...request([fact]), operation: 'renew' })).toMatchObject({
      reason: 'authentication-required',
    });
    expect(await site.hall.enroll({ ...request([fact]), protocol: 'est' })).toMatchObject({ reason: 'not-authorized' });
  });

  it('lock out, by reference and source, who gets the MAC wrong: before anything is derived', async () => {
    const { reference } = await make({ usage: 'device' });
    const other = await make({ usage: 'device' });
    for (let n = 0; n < 10; n++) await (await find(reference))!.failed();
    await expect((await find(reference))!.failed()).rejects.toMatchObject({ reason: 'locked-out' });
    await expect(find(reference)).rejects.toMatchObject({ reason: 'locked-out', retryAfterSeconds: 300 });
    expect(await find(other.reference)).toBeDefined();
    source += 1;
    expect(await find(reference)).toBeDefined();
  });

  it('lock out who tries references', async () => {
    for (let n = 0; n < 10; n++) expect(await find(`unknown${n}`)).toBeUndefined();
    await expect(find('unknown')).rejects.toMatchObject({ reason: 'locked-out' });
    const { reference } = await make();
    expect(await find(reference)).toBeDefined();
  });

  it('need the token once; one that was moved to another row does not open', async () => {
    const [one, two] = [await make(), await make()];
    const rows = () => site.store.forTenant<EnrollmentTables>(acme.id).selectFrom('shared_secrets').selectAll();
    const { sealed } = await rows().where('id', '=', two.id).executeTakeFirstOrThrow();
    site.keys.fault = 'away';
    expect(await find(one.reference)).toBeDefined();
    await site.store.unit(async (tx) => {
      const mine = tx.forTenant<EnrollmentTables>(acme.id);
      await mine.updateTable('shared_secrets', { sealed }).where('id', '=', one.id).execute();
    });
    await expect(find(one.reference)).rejects.toThrow(InternalError);
  });

  it('cannot be made for another tenant’s endpoint, nor while the token is away', async () => {
    const other = await site.tenant();
    await expect(make({ tenant: other.id })).rejects.toMatchObject({ reason: 'conflict' });
    site.keys.fault = 'away';
    await expect(site.dataKeys.sealer((await newTenant(site)).id)).rejects.toThrow(UpstreamError);
  });
});

/** A tenant whose data key was never made; its authorities are, so the token has to be there for that. */
async function newTenant(site: Site): Promise<{ readonly id: string }> {
  const { fault } = site.keys;
  site.keys.fault = undefined;
  const tenant = await site.tenant(`tenant-${newId()}`);
  site.keys.fault = fault;
  return tenant;
}
