import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  authorityStanding,
  type AuthorityRevocation,
  revokeAuthority,
} from '../../core/authority/authority-revocation.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { localBuilder } from '../../core/authority/crl-building.ts';
import { Crls } from '../../core/authority/crls.ts';
import { RevocationView } from '../../core/authority/revocation-view.ts';
import { CaRollover } from '../../core/authority/rollover.ts';
import { Rollovers } from '../../core/authority/rollovers.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import type { AuthorityRow } from '../../core/authority/tables.ts';
import { moveEndpoints } from '../../core/enrollment/endpoints.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { nameToText } from '../../core/x509/name.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { ENGINES } from '../support/stores.ts';

describe.each(ENGINES)('the revocation of an authority on %s', (engine) => {
  let site: Site;

  beforeAll(async () => {
    site = await Site.open(engine);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const revoke = (tenant: SiteTenant, more: Partial<AuthorityRevocation> = {}) =>
    site.store.unit((tx) =>
      revokeAuthority(tx, {
        tenant: tenant.id,
        authority: 'issuing',
        reason: 'cACompromise',
        actor: 'user:a',
        at: site.clock.now(),
        ...more,
      }),
    );
  const serialOf = ({ certificate }: AuthorityRow) => parseCertificate(certificate).serialNumber;
  const standing = (tenant: SiteTenant) => authorityStanding(site.store, tenant.root.id, serialOf(tenant.issuing));
  const entriesOf = async (tenant: SiteTenant, authority: AuthorityRow) => {
    const crls = new Crls({ store: site.store, authorities: site.authorities, build: localBuilder(site.store) });
    await crls.publish({ tenant: tenant.id, authority: authority.id, scope: 'full' }, 'change');
    return parseCertificateList(await crls.current(tenant.id, authority.id)).entries;
  };

  it('stands in the list of the one above it, once, with who and why', async () => {
    const tenant = await site.tenant();
    expect(await standing(tenant)).toEqual({ kind: 'good' });
    const [first, second] = [await revoke(tenant), await revoke(tenant, { reason: 'superseded' })];
    expect([first.outcome, second.outcome]).toEqual(['revoked', 'already-revoked']);
    expect(await standing(tenant)).toMatchObject({ kind: 'revoked', reason: 'cACompromise' });
    const entries = await entriesOf(tenant, tenant.root);
    expect(entries.map(({ serialNumber, reason }) => [serialNumber, reason])).toEqual([
      [serialOf(tenant.issuing), 'cACompromise'],
    ]);
    const audited = (await site.audit(tenant.id)).filter(({ action }) => action === 'authority.revoked');
    expect(audited).toMatchObject([{ actor: 'user:a', object: `authority:${tenant.issuing.id}` }]);
  });

  it('is refused for a root, for a hold, and for what is not of the tenant', async () => {
    const tenant = await site.tenant();
    const other = await site.tenant();
    await expect(revoke(tenant, { authority: 'root' })).rejects.toMatchObject({ reason: 'conflict' });
    for (const reason of ['certificateHold', 'removeFromCRL'] as const)
      await expect(revoke(tenant, { reason })).rejects.toMatchObject({ reason: 'malformed-request' });
    await expect(revoke(tenant, { authority: other.issuing.id })).rejects.toMatchObject({ reason: 'not-found' });
    expect(await standing(other)).toEqual({ kind: 'good' });
  });

  it('ends what its endpoints issue on every node, and goes on with its own lists', async () => {
    const tenant = await site.tenant();
    const far = new AuthorityDirectory(site.store, site.keys, 'http://muster.example');
    const hall = site.newHall({ authorities: far });
    const hints = { publish: async () => undefined, subscribe: async () => async () => undefined };
    const view = new RevocationView({ store: site.store, hints, report: () => undefined });
    view.subscribe((changes) => far.noteRevocations(changes));
    await view.start();
    const ask = async () => {
      const { secret } = await site.secret(tenant.endpoint);
      return hall.enroll(site.request(tenant.endpoint, [await site.password(tenant.endpoint, secret)]));
    };
    const { certificateId } = issuedBy(await ask());
    await revoke(tenant);
    await view.look();
    const refused = await ask().then(
      (outcome) => (outcome.kind === 'rejected' ? outcome.reason : outcome.kind),
      ({ reason }: { reason: string }) => reason,
    );
    expect(refused).toBe('authority-retired');
    await expect((await far.issuer(tenant.id, tenant.issuing.id)).caKey()).rejects.toThrow(/is revoked/);
    await view.stop();
    const { serial_number: serialNumber } = (await site.certificates(tenant.id)).find(
      ({ id }) => id === certificateId,
    )!;
    expect((await entriesOf(tenant, tenant.issuing)).map((entry) => entry.serialNumber)).not.toContain(serialNumber);
  });

  it('ends what it had let in and not signed yet', async () => {
    const tenant = await site.tenant();
    const { secret } = await site.secret(tenant.endpoint);
    site.keys.fault = 'away';
    const asked = site.hall.enroll(site.request(tenant.endpoint, [await site.password(tenant.endpoint, secret)]));
    await expect(asked).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    site.keys.fault = undefined;
    await revoke(tenant);
    await site.newHall().resumeInterrupted(true);
    expect(await site.enrollments(tenant.endpoint)).toMatchObject([
      { status: 'rejected', reason: 'authority-retired' },
    ]);
  });

  it('makes its certificates no credentials', async () => {
    const tenant = await site.tenant();
    const { certificate } = issuedBy(await site.enroll(tenant.endpoint));
    const present = () => site.credentials.tlsCertificate(tenant.endpoint, [certificate]);
    expect(await present()).toMatchObject({ origin: 'own' });
    await revoke(tenant);
    site.authorities.noteRevocations(undefined);
    await expect(present()).rejects.toMatchObject({ reason: 'certificate-revoked' });
  });

  it('lets a successor take over', async () => {
    const tenant = await site.tenant();
    await revoke(tenant);
    const { store, keys } = site;
    const authorities = new AuthorityDirectory(store, keys, 'http://muster.example');
    const rollovers = new Rollovers({ store, authorities, report: () => undefined });
    const identities = new ServiceIdentities({ store, keys, authorities });
    const rollover = new CaRollover({ store, keys, rollovers, identities, moveEndpoints });
    const { id } = await rollover.start({ tenant: tenant.id, authority: 'issuing', actor: 'user:a' });
    await rollover.switch({ tenant: tenant.id, id, actor: 'user:a' });
    const endpoint = (await site.endpoints.resolve(tenant.endpoint.label))!;
    const { certificate } = issuedBy(await site.enroll(endpoint));
    expect(nameToText(parseCertificate(certificate).issuer)).toContain('issuing G2');
  });
});
