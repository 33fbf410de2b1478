import { beforeAll, describe, expect, it } from 'vitest';

import { expectRefusal } from '../../fakes/cmp-expectations.ts';
import { type Body, buildMessage, ID_IT, info, nonce } from '../../fakes/cmp-message.ts';
import { passwordBasedMac, type Protection, signature, type Signer } from '../../fakes/cmp-protection.ts';
import {
  certRequests,
  genm,
  nested,
  oldCertId,
  p10cr,
  pkcs10,
  pollReq,
  raVerified,
  requestFor,
  rr,
} from '../../fakes/cmp-request.ts';
import type { CmpResponse } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** V6, CM-63: what one tenant trusts counts for nothing at another's, whatever is asked. */
export function tenantRows(theSite: () => CmpSite): void {
  describe('CMP: two tenants in one installation', () => {
    let site: CmpSite;
    const ours: Record<string, Signer> = {};
    const theirs: Record<string, Signer> = {};

    beforeAll(async () => {
      site = theSite();
      await site.server.addTenant('acme');
      await site.endpoint({ label: 'acme-queue', approval: 'manual' }, 'acme');
      ours['device'] = await site.device('tenant-router');
      ours['ra'] = await site.device('tenant-gateway', 'default-ra');
      theirs['device'] = await site.device('tenant-router', 'acme');
      theirs['ra'] = await site.device('tenant-gateway', 'acme-ra');
    });

    const send = (label: string, body: Body, protect: Protection): Promise<CmpResponse> =>
      site.transaction(label, protect, { implicitConfirm: true }).send(body);
    const statusOf = async (certificate: Uint8Array): Promise<string> => (await site.recordOf(certificate)).status;
    const refusals = ['signerNotTrusted', 'notAuthorized', 'badMessageCheck'] as const;

    describe.each(['ra', 'device'] as const)('a certificate of acme’s (%s) at an endpoint of ours', (role) => {
      const bodies: Readonly<Record<string, () => Body>> = {
        ir: () => certRequests('ir', requestFor('CN=victim', newKey())),
        cr: () => certRequests('cr', requestFor('CN=victim', newKey(), { proof: raVerified })),
        kur: () => certRequests('kur', requestFor('CN=tenant-router', newKey())),
        'kur of our certificate': () =>
          certRequests(
            'kur',
            requestFor('CN=tenant-router', newKey(), { controls: [oldCertId(ours['device']!.certificate)] }),
          ),
        p10cr: () => p10cr(pkcs10({ subject: 'CN=victim', key: newKey() })),
        'rr of our certificate': () => rr({ certificate: ours['device']!.certificate, reason: 1 }),
        'rr of its own': () => rr({ certificate: theirs['device']!.certificate, reason: 1 }),
        genm: () => genm(info(ID_IT.caCerts)),
        pollReq: () => pollReq(0),
        nested: () => nested(buildMessage({ content: genm(info(ID_IT.caCerts)), protect: signature(ours['device']!) })),
      };

      it.each(Object.keys(bodies))('%s is refused', async (which) => {
        for (const label of ['default', 'default-ra']) {
          expectRefusal(await send(label, bodies[which]!(), signature(theirs[role]!)), ...refusals);
        }
        expect(await site.countOf('victim')).toBe(0);
        expect(await site.countOf('tenant-router')).toBe(2);
        expect(await statusOf(ours['device']!.certificate)).toBe('active');
        expect(await statusOf(theirs['device']!.certificate)).toBe('active');
      });
    });

    it('our registration authority revokes nothing of acme’s at our own endpoint', async () => {
      const body = rr({ certificate: theirs['device']!.certificate, reason: 1 });
      expectRefusal(await send('default', body, signature(ours['ra']!)), 'badCertId');
      expect(await statusOf(theirs['device']!.certificate)).toBe('active');
    });

    it('our registration authority passes on nothing of acme’s at our own endpoint', async () => {
      const message = (): Uint8Array =>
        buildMessage({ content: genm(info(ID_IT.caCerts)), protect: signature(theirs['device']!) });
      const outer = await send('default', nested(message(), message()), signature(ours['ra']!));
      for (const answer of outer.inner) expectRefusal(answer, ...refusals);
    });

    it('a poll for a transaction of acme’s finds nothing at ours, by whoever', async () => {
      const secret = await site.secret('acme-queue');
      const transaction = site.transaction('acme-queue', passwordBasedMac(secret));
      await transaction.send(certRequests('ir', requestFor('CN=waiting', newKey())));
      const { transactionID } = transaction;
      for (const [label, protect] of [
        ['default', signature(ours['ra']!)],
        ['default', passwordBasedMac(await site.secret())],
        ['default', passwordBasedMac(secret)],
        ['acme-queue', signature(ours['ra']!)],
        ['acme-queue', passwordBasedMac(await site.secret())],
      ] as const) {
        const response = await site.transaction(label, protect, { transactionID }).send(pollReq(0));
        expectRefusal(response, ...refusals, 'badRequest');
      }
      expect((await transaction.poll()).kind).toBe('pollRep');
    });

    it('a secret opens its own endpoint alone, and no other of the same tenant', async () => {
      await site.endpoint({ label: 'next-door' });
      const secret = await site.secret();
      for (const label of ['acme', 'next-door', 'default-ra']) {
        for (const body of [certRequests('ir', requestFor('CN=stray', newKey())), genm(info(ID_IT.caCerts))]) {
          const response = await send(label, body, passwordBasedMac(secret));
          expectRefusal(response, 'badMessageCheck');
          expect(response.isProtectedWith(secret), 'the endpoint does not know the secret').toBe(false);
        }
      }
      expect(await site.countOf('stray')).toBe(0);
    });

    it('a transactionID of acme’s is free at ours: each tenant has its own', async () => {
      const transactionID = nonce();
      for (const label of ['acme', 'default']) {
        const protect = passwordBasedMac(await site.secret(label));
        const response = await site
          .transaction(label, protect, { transactionID })
          .send(certRequests('ir', requestFor('CN=same id', newKey())));
        expect(response.summary).toBe('ip accepted');
      }
    });
  });
}
