import { beforeAll, describe, expect, it } from 'vitest';

import { endUnconfirmed } from '../../../protocols/cmp/confirmation-deadline.ts';
import { certHashWith, type CmpTransaction, type SendChanges } from '../../fakes/cmp-client.ts';
import { sequence } from '../../fakes/cmp-der.ts';
import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import { nonce } from '../../fakes/cmp-message.ts';
import {
  type MacSecret,
  passwordBasedMac,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import {
  certConf,
  certRequests,
  type Confirmation,
  errorBody,
  p10cr,
  pkcs10,
  requestFor,
  statusInfo,
} from '../../fakes/cmp-request.ts';
import type { Failure } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** One fault of a certConf. */
interface Row {
  readonly id: string;
  readonly fault: string;
  readonly changes: SendChanges & { readonly confirmation?: Partial<Confirmation> };
  readonly failures: readonly Failure[];
}

const HASH = Buffer.alloc(32, 7);
const ACCEPTED = 0;
const REJECTION = 2;
const BAD_CERT_TEMPLATE = 19;

const ROWS: readonly Row[] = [
  {
    id: 'CM-41',
    fault: 'a certReqId of 1',
    changes: { confirmation: { certReqId: 1 } },
    failures: ['badRequest'],
  },
  {
    id: 'CM-41',
    fault: 'the hash of something else',
    changes: { confirmation: { certHash: HASH } },
    failures: ['badCertId'],
  },
  {
    id: 'CM-41',
    fault: 'an empty hash',
    changes: { confirmation: { certHash: Buffer.alloc(0) } },
    failures: ['badCertId'],
  },
  {
    id: 'CM-41',
    fault: 'hashAlg although it is CMPv2',
    changes: { confirmation: certHashWith(HASH, 'sha256') },
    failures: ['badRequest'],
  },
  {
    id: 'CM-41',
    fault: 'accepted, and yet with a failInfo',
    changes: { confirmation: { statusInfo: statusInfo(ACCEPTED, BAD_CERT_TEMPLATE) } },
    failures: ['badRequest'],
  },
  {
    id: 'CM-41',
    fault: 'two CertStatus',
    changes: { body: ({ content }) => ({ kind: 'certConf', content: twice(content) }) },
    failures: ['badRequest'],
  },
  {
    id: 'CM-42',
    fault: 'a transactionID of nobody',
    changes: { header: { transactionID: nonce() } },
    failures: ['badRequest'],
  },
  { id: 'CM-42', fault: 'no recipNonce', changes: { header: { recipNonce: null } }, failures: ['badRecipientNonce'] },
  {
    id: 'CM-42',
    fault: 'another recipNonce',
    changes: { header: { recipNonce: nonce() } },
    failures: ['badRecipientNonce'],
  },
  { id: 'CM-42', fault: 'no senderNonce', changes: { header: { senderNonce: null } }, failures: ['badSenderNonce'] },
];

/** The one element of a SEQUENCE OF, twice. */
function twice(content: Uint8Array): Buffer {
  const element = content.subarray(2);
  return sequence(element, element);
}

/** The rows of the table on confirmation. */
export function confirmationRows(theSite: () => CmpSite): void {
  describe('CMP: confirmation, row by row (RFC 9483 §4.1.1)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    let signer: Signer;

    beforeAll(async () => {
      site = theSite();
      await site.endpoint({ label: 'strict-confirmation', cmp: { conformance: 'lightweight' } });
      secret = await site.secret('strict-confirmation');
      signer = await site.device('confirms', 'strict-confirmation');
    });

    const byMac = (): Protection => passwordBasedMac(secret, { iterations: 200 });

    async function issued(
      protect: Protection,
      pvno: 2 | 3 = 2,
    ): Promise<{ transaction: CmpTransaction; certificate: Buffer }> {
      const transaction = site.transaction('strict-confirmation', protect, { pvno });
      const response = await transaction.send(certRequests('cr', requestFor('CN=confirms', newKey())));
      expect(response.summary).toBe('cp accepted');
      return { transaction, certificate: response.certificate };
    }

    describe.each(['mac', 'signature'] as const)('with a %s', (kind) => {
      const protection = (): Protection => (kind === 'mac' ? byMac() : signature(signer));
      const credential = (): MacSecret | 'signature' => (kind === 'mac' ? secret : 'signature');

      it.each(ROWS)('$id $fault', async ({ changes, failures }) => {
        const { transaction, certificate } = await issued(protection());
        const response = await transaction.confirm(certificate, changes);
        expectRefusal(response, ...failures);
        expect(response.kind).toBe('error');
        expect(response.protectedBy).toBe(kind);
        expect((await site.recordOf(certificate)).status).not.toBe('revoked');
      });

      it('CM-40 without implicitConfirm the answer grants none, and pkiconf ends the transaction', async () => {
        const { transaction, certificate } = await issued(protection());
        const confirmed = await transaction.confirm(certificate, {
          confirmation: { statusInfo: statusInfo(ACCEPTED) },
        });
        expect(confirmed.summary).toBe('pkiconf');
        expectAnswerTo(transaction, confirmed, credential());
      });

      it('CM-43 a second certConf is told that the first counted', async () => {
        const { transaction, certificate } = await issued(protection());
        expect((await transaction.confirm(certificate)).summary).toBe('pkiconf');
        const again = await transaction.confirm(certificate);
        expectRefusal(again, 'certConfirmed');
        expectAnswerTo(transaction, again, credential());
      });

      it('CM-41 a rejection is taken with pkiconf, and the certificate is revoked', async () => {
        const { transaction, certificate } = await issued(protection());
        const confirmation = { statusInfo: statusInfo(REJECTION, BAD_CERT_TEMPLATE) };
        expect((await transaction.confirm(certificate, { confirmation })).summary).toBe('pkiconf');
        expect((await site.recordOf(certificate)).status).toBe('revoked');
      });

      it('CM-41 no CertStatus at all rejects what was issued (RFC 9810 §5.3.18)', async () => {
        const { transaction, certificate } = await issued(protection());
        const response = await transaction.send(certConf());
        expect(response.summary).toBe('pkiconf');
        expect((await site.recordOf(certificate)).status).toBe('revoked');
      });

      it('CM-42 a senderNonce that was used before', async () => {
        const { transaction, certificate } = await issued(protection());
        const response = await transaction.confirm(certificate, { header: { senderNonce: transaction.senderNonce } });
        expectRefusal(response, 'badSenderNonce');
      });

      it('CM-68 an error of the client ends the transaction: pkiconf, and the certificate is revoked', async () => {
        const { transaction, certificate } = await issued(protection());
        const response = await transaction.send(errorBody(statusInfo(REJECTION, BAD_CERT_TEMPLATE)));
        expect(response.summary).toBe('pkiconf');
        expectAnswerTo(transaction, response, credential());
        expect((await site.recordOf(certificate)).status).toBe('revoked');
        expectRefusal(await transaction.confirm(certificate), 'certConfirmed');
      });
    });

    it('CM-41 hashAlg in CMPv3, and the version of the request in the answers', async () => {
      for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
        const { transaction, certificate } = await issued(byMac(), 3);
        const confirmed = await transaction.confirm(certificate, { confirmation: certHashWith(certificate, hash) });
        expect([confirmed.summary, confirmed.header.pvno]).toEqual(['pkiconf', 3]);
      }
      const { transaction, certificate } = await issued(byMac(), 3);
      const wrong = { ...certHashWith(certificate, 'sha384'), certHash: HASH };
      expectRefusal(await transaction.confirm(certificate, { confirmation: wrong }), 'badCertId');
    });

    it('CM-42 the certConf is not signed with the new certificate', async () => {
      const key = newKey();
      const transaction = site.transaction('strict-confirmation', signature(signer));
      const { certificate } = await transaction.send(certRequests('cr', requestFor('CN=confirms', key)));
      const protect = signature({ key, certificate, chain: signer.chain ?? [] });
      expectRefusal(await transaction.confirm(certificate, { protect }), 'wrongAuthority');
      expect((await transaction.confirm(certificate)).summary).toBe('pkiconf');
    });

    it('CM-42 nobody else confirms it: neither another secret nor another certificate', async () => {
      const { transaction, certificate } = await issued(byMac());
      const other = passwordBasedMac(await site.secret('strict-confirmation'));
      expectRefusal(await transaction.confirm(certificate, { protect: other }), 'notAuthorized');
      const device = await site.device('bystander', 'strict-confirmation');
      const signed = await issued(signature(signer));
      const answer = await signed.transaction.confirm(signed.certificate, { protect: signature(device) });
      expectRefusal(answer, 'notAuthorized');
      expect((await transaction.confirm(certificate, { header: { recipNonce: null } })).status?.failures).toEqual([
        'badRecipientNonce',
      ]);
    });

    it('CM-41 p10cr is confirmed with the certReqId -1 of its answer', async () => {
      const transaction = site.transaction('strict-confirmation', byMac());
      const { certificate } = await transaction.send(p10cr(pkcs10({ subject: 'CN=confirms', key: newKey() })));
      expectRefusal(await transaction.confirm(certificate), 'badRequest');
      const fresh = site.transaction('strict-confirmation', byMac());
      const answer = await fresh.send(p10cr(pkcs10({ subject: 'CN=confirms', key: newKey() })));
      expect((await fresh.confirm(answer.certificate, { confirmation: { certReqId: -1 } })).summary).toBe('pkiconf');
    });

    it('CM-40 implicitConfirm is granted where the endpoint says so, and needs no certConf', async () => {
      await site.endpoint({
        label: 'explicit',
        cmp: { confirmation: { implicit: false, waitSeconds: 600, unconfirmed: 'keep' } },
      });
      const explicit = passwordBasedMac(await site.secret('explicit'));
      for (const [label, protect, granted] of [
        ['strict-confirmation', byMac(), true],
        ['explicit', explicit, false],
      ] as const) {
        const transaction = site.transaction(label, protect, { implicitConfirm: true });
        const response = await transaction.send(certRequests('cr', requestFor('CN=implicit', newKey())));
        expect(response.header.generalInfo.has('1.3.6.1.5.5.7.4.13'), label).toBe(granted);
        const confirmed = await transaction.confirm(response.certificate);
        expect(confirmed.summary.replace(/ \(.*/, ''), label).toBe(
          granted ? 'error rejection certConfirmed' : 'pkiconf',
        );
      }
    });

    it.each([
      ['revoke', 'revoked'],
      ['keep', 'active'],
    ] as const)('CM-44 without a certConf in time: %s', async (unconfirmed, status) => {
      const label = `late-${unconfirmed}`;
      await site.endpoint({ label, cmp: { confirmation: { implicit: true, waitSeconds: 600, unconfirmed } } });
      const transaction = site.transaction(label, passwordBasedMac(await site.secret(label)));
      const { certificate } = await transaction.send(certRequests('ir', requestFor(`CN=${label}`, newKey())));
      const confirmed = await site.device(`${label}-implicit`, label);
      const statuses = async (): Promise<string[]> =>
        Promise.all([certificate, confirmed.certificate].map(async (der) => (await site.recordOf(der)).status));
      const { clock, server } = site.server;
      await endUnconfirmed(server.kernel.store);
      expect(await statuses()).toEqual(['active', 'active']);
      clock.ahead = 601_000;
      await endUnconfirmed(server.kernel.store);
      expect(await statuses()).toEqual([status, 'active']);
      const late = await transaction.confirm(certificate);
      clock.ahead = 0;
      expectRefusal(late, 'certConfirmed');
    });
  });
}
