import { beforeAll, describe, expect, it } from 'vitest';

import { sequence } from '../../fakes/cmp-der.ts';
import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import { type Body, buildMessage, ID_IT, info, type MessageChanges, nonce } from '../../fakes/cmp-message.ts';
import {
  type MacSecret,
  passwordBasedMac,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import { certRequests, genm, nested, p10cr, pkcs10, raVerified, requestFor } from '../../fakes/cmp-request.ts';
import type { CmpResponse } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** The rows of the table on registration authority. */
export function registrationAuthorityRows(theSite: () => CmpSite): void {
  describe('CMP: what a registration authority passes on (RFC 9483 §5.2)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    let gateway: Signer;
    let device: Signer;

    beforeAll(async () => {
      site = theSite();
      secret = await site.secret();
      gateway = await site.device('gateway', 'default-ra');
      device = await site.device('router');
    });

    /** A message of a device on its way. */
    interface Inner {
      readonly der: Uint8Array;
      readonly transactionID: Uint8Array;
      readonly senderNonce: Uint8Array;
    }

    function inner(content: Body, protect: Protection, changes: MessageChanges = {}): Inner {
      const ids = { transactionID: nonce(), senderNonce: nonce() };
      const der = buildMessage({ content, protect, ...changes, header: { ...ids, ...changes.header } });
      return { der, ...ids };
    }
    const asksFor = (subject: string): Body => certRequests('cr', requestFor(subject, newKey()));
    const byMac = (): Protection => passwordBasedMac(secret, { iterations: 200 });
    const implicit = { header: { generalInfo: [info(ID_IT.implicitConfirm, Buffer.from([5, 0]))] } };

    function pass(
      messages: readonly Inner[],
      changes: MessageChanges = {},
      protect = signature(gateway),
    ): Promise<CmpResponse> {
      const transaction = site.transaction('default', protect);
      return transaction.send(nested(...messages.map(({ der }) => der)), changes);
    }

    /** RFC 9483 §5.2.2.1: transactionID and senderNonce are those of the message within. */
    const addProtection = (
      message: Inner,
      changes: MessageChanges['header'] = {},
      protect?: Protection,
    ): Promise<CmpResponse> => {
      const { transactionID, senderNonce } = message;
      return pass([message], { header: { transactionID, senderNonce, ...changes } }, protect);
    };

    describe('CM-65 added protection', () => {
      it.each(['mac', 'signature'] as const)('around a message with a %s', async (kind) => {
        const message = inner(asksFor('CN=router'), kind === 'mac' ? byMac() : signature(device), implicit);
        const outer = await addProtection(message);
        expect(outer.isSignedByFirstExtraCert()).toBe(true);
        const answer = outer.kind === 'nested' ? outer.inner[0]! : outer;
        expect(answer.summary).toBe('cp accepted');
        expect(answer.header.transactionID).toEqual(Buffer.from(message.transactionID));
        expect(answer.header.recipNonce).toEqual(Buffer.from(message.senderNonce));
      });

      it('with another transactionID or senderNonce is refused', async () => {
        const response = await addProtection(inner(asksFor('CN=router'), byMac()), { transactionID: nonce() });
        expectRefusal(response, 'badRequest');
        const other = await addProtection(inner(asksFor('CN=router'), byMac()), { senderNonce: nonce() });
        expectRefusal(other, 'badSenderNonce');
      });

      it('by a MAC, or by who is no registration authority, is refused', async () => {
        expectRefusal(await addProtection(inner(asksFor('CN=router'), byMac()), {}, byMac()), 'wrongIntegrity');
        const byDevice = await addProtection(inner(asksFor('CN=router'), byMac()), {}, signature(device));
        expectRefusal(byDevice, 'notAuthorized');
      });

      it('a message within that was changed on the way is refused', async () => {
        const message = inner(asksFor('CN=router'), byMac(), { protection: (bits) => bits.map((octet) => octet ^ 1) });
        const outer = await addProtection(message);
        expectRefusal(outer.kind === 'nested' ? outer.inner[0]! : outer, 'badMessageCheck');
      });

      it('around nothing, and around more than a batch may hold', async () => {
        expectRefusal(await pass([]), 'badDataFormat');
        const { der: innermost, ...ids } = inner(asksFor('CN=router'), byMac());
        let der = innermost;
        for (let i = 0; i < 3; i += 1) der = inner(nested(der), signature(gateway), { header: ids }).der;
        const deep = await addProtection({ der, ...ids });
        expectRefusal(deep.kind === 'nested' ? deep.inner[0]! : deep, 'badRequest');
      });
    });

    describe('CM-65 a batch', () => {
      it('answers each message in its order, protected as it was itself', async () => {
        const messages = [
          inner(certRequests('ir', requestFor('CN=one', newKey())), byMac(), implicit),
          inner(p10cr(pkcs10({ subject: 'CN=two', key: newKey() })), byMac(), implicit),
          inner(asksFor('CN=router'), signature(device), implicit),
          inner(genm(info(ID_IT.caCerts)), signature(device)),
        ];
        const transaction = site.transaction('default', signature(gateway));
        const outer = await transaction.send(nested(...messages.map(({ der }) => der)));
        expect(outer.kind, outer.summary).toBe('nested');
        expectAnswerTo(transaction, outer, 'signature');
        expect(outer.inner.map(({ summary }) => summary)).toEqual([
          'ip accepted',
          'cp accepted',
          'cp accepted',
          'genp',
        ]);
        outer.inner.forEach((answer, at) => {
          expect(answer.header.transactionID).toEqual(Buffer.from(messages[at]!.transactionID));
          expect(answer.header.recipNonce).toEqual(Buffer.from(messages[at]!.senderNonce));
          expect(at < 2 ? answer.isProtectedWith(secret) : answer.isSignedByFirstExtraCert()).toBe(true);
        });
      });

      it('refuses the one message that is wrong, and answers the others', async () => {
        const wrong = inner(asksFor('CN=wrong'), byMac(), { protection: (bits) => bits.map((octet) => octet ^ 1) });
        const outer = await pass([inner(asksFor('CN=right'), byMac(), implicit), wrong]);
        expect(outer.inner[0]!.summary).toBe('cp accepted');
        expectRefusal(outer.inner[1]!, 'badMessageCheck');
        expect(await site.countOf('wrong')).toBe(0);
      });

      it('has no two messages of one transaction, and none of the batch’s own', async () => {
        const [first, second] = [inner(asksFor('CN=twin'), byMac()), inner(asksFor('CN=twin'), byMac())];
        const { transactionID } = first;
        const twin = inner(asksFor('CN=twin'), byMac(), { header: { transactionID } });
        expectRefusal(await pass([first, twin]), 'transactionIdInUse');
        const own = await pass([first, second], { header: { transactionID } });
        expectRefusal(own, 'transactionIdInUse');
        expect(await site.countOf('twin')).toBe(0);
      });

      it('by a MAC, or by who is no registration authority, is refused', async () => {
        const messages = (): Inner[] => [inner(asksFor('CN=batched'), byMac()), inner(asksFor('CN=batched'), byMac())];
        expectRefusal(await pass(messages(), {}, byMac()), 'wrongIntegrity');
        expectRefusal(await pass(messages(), {}, signature(device)), 'notAuthorized');
        expect(await site.countOf('batched')).toBe(0);
      });
    });

    it('CM-19, CM-65 origPKIMessage beside a request that was changed on the way', async () => {
      const original = inner(asksFor('CN=originally'), byMac());
      const generalInfo = [info(ID_IT.origPkiMessage, sequence(original.der))];
      const changed = certRequests('cr', requestFor('CN=as the gateway has it', newKey(), { proof: raVerified }));
      const response = await site.transaction('default', signature(gateway)).send(changed, { header: { generalInfo } });
      expect(response.summary).toBe('cp accepted');
    });

    it('CM-34, V11 the purpose of registration authorities is not for who asks, even by one', async () => {
      const authenticators = ['mac', 'certificate', 'ra'] as const;
      await site.endpoint({ label: 'more-gateways', profile: 'registration-authority', cmp: { authenticators } });
      const ask = (label: string) => site.transaction(label, signature(gateway)).send(asksFor('CN=second gateway'));
      expectRefusal(await ask('more-gateways'), 'notAuthorized');
      expectRefusal(await ask('default-ra'), 'notAuthorized');
      expect(await site.countOf('second gateway')).toBe(0);
    });
  });
}
