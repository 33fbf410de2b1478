import { beforeAll, describe, expect, it } from 'vitest';

import type { CmpTransaction } from '../../fakes/cmp-client.ts';
import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import { type Body, nonce } from '../../fakes/cmp-message.ts';
import { type MacSecret, passwordBasedMac, type Protection, signature } from '../../fakes/cmp-protection.ts';
import { certRequests, p10cr, pkcs10, pollReq, requestFor } from '../../fakes/cmp-request.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';
import { api, type Listed } from '../../support/installation.ts';

/** CM-48: RFC 9483 §4.4. */
export function pollingRows(theSite: () => CmpSite): void {
  describe('CMP: polling for what an operator decides', () => {
    let site: CmpSite;
    let secret: MacSecret;

    beforeAll(async () => {
      site = theSite();
      await site.endpoint({ label: 'queue', approval: 'manual', retryAfterSeconds: 7 });
      await site.endpoint({ label: 'open' });
      secret = await site.secret('queue');
    });

    async function decide(deviceName: string, decision: 'approve' | 'reject'): Promise<void> {
      const path = '/enrollments?status=pending&limit=500';
      const { items } = await api<Listed<{ id: string; deviceName: string }>>(site.server, 'GET', path);
      const found = items.filter((item) => item.deviceName === deviceName);
      expect(found).toHaveLength(1);
      await api(site.server, 'POST', `/enrollments/${found[0]!.id}/${decision}`, {});
    }

    async function waiting(content: Body, protect: Protection): Promise<CmpTransaction> {
      const transaction = site.transaction('queue', protect);
      const response = await transaction.send(content);
      expect(response.status?.status, response.summary).toBe('waiting');
      return transaction;
    }

    it.each(['ir', 'cr', 'p10cr', 'kur'] as const)('%s waits, is polled, and is granted once', async (kind) => {
      const cn = `waits-${kind}`;
      const signer = kind === 'kur' ? await site.device(cn, 'open') : undefined;
      const protect = signer ? signature(signer) : passwordBasedMac(secret);
      const certReqId = kind === 'p10cr' ? -1 : 0;
      const key = newKey();
      const body =
        kind === 'p10cr'
          ? p10cr(pkcs10({ subject: `CN=${cn}`, key }))
          : certRequests(kind, requestFor(`CN=${cn}`, key));
      const transaction = await waiting(body, protect);
      for (let i = 0; i < 2; i += 1) {
        const response = await transaction.poll({}, certReqId);
        expect([response.kind, response.checkAfter]).toEqual(['pollRep', 7]);
        expectAnswerTo(transaction, response, signer ? 'signature' : secret);
      }
      await decide(cn, 'approve');
      const granted = await transaction.poll({}, certReqId);
      expect(granted.summary).toMatch(/^(ip|cp|kup) accepted$/);
      expect(granted.certResponses[0]!.certReqId).toBe(certReqId);
      expectAnswerTo(transaction, granted, signer ? 'signature' : secret);
      expect((await transaction.confirm(granted.certificate, { confirmation: { certReqId } })).summary).toBe('pkiconf');
      expect(await site.countOf(cn)).toBe(signer ? 2 : 1);
    });

    it('is told of a rejection', async () => {
      const transaction = await waiting(
        certRequests('ir', requestFor('CN=unwanted', newKey())),
        passwordBasedMac(secret),
      );
      await decide('unwanted', 'reject');
      expectRefusal(await transaction.poll(), 'notAuthorized');
      expect(await site.countOf('unwanted')).toBe(0);
    });

    it('nobody else polls for it: no other secret, no certificate, and none without protection', async () => {
      const transaction = await waiting(
        certRequests('ir', requestFor('CN=private', newKey())),
        passwordBasedMac(secret),
      );
      const { transactionID } = transaction;
      const others = [
        passwordBasedMac(await site.secret('queue')),
        signature(await site.device('nosy', 'open')),
        undefined,
      ];
      await decide('private', 'approve');
      for (const protect of others) {
        const response = await site.transaction('queue', protect, { transactionID }).send(pollReq(0));
        expectRefusal(response, 'badMessageCheck', 'badRequest', 'notAuthorized', 'wrongIntegrity', 'wrongAuthority');
      }
      expect((await transaction.poll()).summary).toBe('ip accepted');
    });

    it('refuses a poll for another request, with old nonces, and of a transaction of nobody', async () => {
      const transaction = await waiting(
        certRequests('ir', requestFor('CN=sloppy', newKey())),
        passwordBasedMac(secret),
      );
      expectRefusal(await transaction.poll({}, 1), 'badRequest');
      expectRefusal(await transaction.poll({ header: { recipNonce: nonce() } }), 'badRecipientNonce');
      expectRefusal(await site.transaction('queue', passwordBasedMac(secret)).send(pollReq(0)), 'badRequest');
      expectRefusal(await transaction.send(pollReq()), 'badRequest');
    });

    it('the repeated request is answered like a poll', async () => {
      const transaction = site.transaction('queue', passwordBasedMac(secret));
      const message = transaction.build(certRequests('ir', requestFor('CN=repeats-waiting', newKey())));
      expect((await transaction.sendAsIs(message)).status?.status).toBe('waiting');
      expect((await transaction.sendAsIs(message)).status?.status).toBe('waiting');
      await decide('repeats-waiting', 'approve');
      expect((await transaction.poll()).summary).toBe('ip accepted');
      expect(await site.countOf('repeats-waiting')).toBe(1);
    });
  });
}
