import { beforeAll, describe, expect, it } from 'vitest';

import {
  algorithm,
  boolean,
  directoryName,
  generalizedTime,
  ia5String,
  implicit,
  nullValue,
  sequence,
  utf8String,
} from '../../fakes/cmp-der.ts';
import { expectAnswerTo, expectRefusal, expectSoundAnswer } from '../../fakes/cmp-expectations.ts';
import { type Body, ID_IT, info, type MessageChanges, nonce } from '../../fakes/cmp-message.ts';
import {
  type MacSecret,
  passwordBasedMac,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import { certRequests, genm, requestFor } from '../../fakes/cmp-request.ts';
import type { Failure } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** One fault of a message, and the failInfo the profile wants for it. */
interface Row {
  readonly id: string;
  readonly fault: string;
  readonly changes: MessageChanges;
  /** Any of these. */
  readonly failures: readonly Failure[];
  /** Where nobody knows who sent it: the answer cannot be a MAC. */
  readonly unknownSender?: true;
  /** Default: error. */
  readonly answer?: 'cp';
  /** Only for one kind of protection. */
  readonly only?: 'mac' | 'signature';
}

const MINUTE = 60_000;
const inMinutes = (minutes: number): Date => new Date(Date.now() + minutes * MINUTE);

const ROWS: readonly Row[] = [
  { id: 'CM-10', fault: 'pvno 4', changes: { header: { pvno: 4 } }, failures: ['unsupportedVersion'] },
  { id: 'CM-10', fault: 'pvno 0', changes: { header: { pvno: 0 } }, failures: ['unsupportedVersion'] },
  { id: 'CM-25', fault: 'pvno 1, cmp1999', changes: { header: { pvno: 1 } }, failures: ['unsupportedVersion'] },
  {
    id: 'CM-11',
    fault: 'a sender that is neither the reference nor the subject of the certificate',
    changes: { header: { sender: directoryName('CN=somebody') } },
    failures: ['badMessageCheck'],
  },
  {
    id: 'CM-11',
    fault: 'a sender that is no directoryName',
    changes: { header: { sender: implicit(1, ia5String('a@example')) } },
    failures: ['badMessageCheck'],
  },
  {
    id: 'CM-12',
    fault: 'no senderKID',
    changes: { header: { senderKID: null } },
    failures: ['badMessageCheck'],
    unknownSender: true,
  },
  {
    id: 'CM-12',
    fault: 'the senderKID of nobody',
    changes: { header: { senderKID: Buffer.from('0123456789abcdefghij') } },
    failures: ['badMessageCheck'],
    unknownSender: true,
  },
  { id: 'CM-13', fault: 'no messageTime', changes: { header: { messageTime: null } }, failures: ['badTime'] },
  {
    id: 'CM-13',
    fault: 'a messageTime an hour ago',
    changes: { header: { messageTime: inMinutes(-60) } },
    failures: ['badTime'],
  },
  {
    id: 'CM-13',
    fault: 'a messageTime in an hour',
    changes: { header: { messageTime: inMinutes(60) } },
    failures: ['badTime'],
  },
  {
    id: 'CM-14',
    fault: 'protection without protectionAlg',
    changes: { header: { protectionAlg: null } },
    failures: ['badMessageCheck'],
    unknownSender: true,
  },
  {
    id: 'CM-14',
    fault: 'protectionAlg without protection',
    changes: { protection: () => null },
    failures: ['badMessageCheck'],
    unknownSender: true,
  },
  {
    id: 'CM-14',
    fault: 'neither protection nor protectionAlg',
    changes: { header: { protectionAlg: null }, protection: () => null },
    failures: ['badMessageCheck'],
    unknownSender: true,
  },
  {
    id: 'CM-15',
    fault: 'a protection with one bit changed',
    changes: {
      protection: (bits) => Buffer.from(bits.map((octet, at) => (at === bits.length - 1 ? octet ^ 1 : octet))),
    },
    failures: ['badMessageCheck'],
  },
  {
    id: 'CM-15',
    fault: 'an empty protection',
    changes: { protection: () => Buffer.alloc(0) },
    failures: ['badMessageCheck'],
  },
  {
    id: 'CM-15',
    fault: 'an algorithm nobody knows',
    changes: { header: { protectionAlg: algorithm('1.3.6.1.4.1.99999.1') } },
    failures: ['badAlg'],
    unknownSender: true,
  },
  {
    id: 'CM-15',
    fault: 'the algorithm of another kind of key',
    changes: { header: { protectionAlg: algorithm('1.2.840.113549.1.1.11', nullValue()) } },
    failures: ['badAlg'],
    only: 'signature',
  },
  { id: 'CM-17', fault: 'no transactionID', changes: { header: { transactionID: null } }, failures: ['badDataFormat'] },
  {
    id: 'CM-17',
    fault: 'a transactionID of eight octets',
    changes: { header: { transactionID: nonce().subarray(8) } },
    failures: ['badDataFormat'],
  },
  { id: 'CM-18', fault: 'no senderNonce', changes: { header: { senderNonce: null } }, failures: ['badSenderNonce'] },
  {
    id: 'CM-18',
    fault: 'a senderNonce of eight octets',
    changes: { header: { senderNonce: nonce().subarray(8) } },
    failures: ['badSenderNonce'],
  },
  {
    id: 'CM-18',
    fault: 'a recipNonce in the first message',
    changes: { header: { recipNonce: nonce() } },
    failures: ['badRecipientNonce'],
  },
  {
    id: 'CM-19',
    fault: 'implicitConfirm that is not NULL',
    changes: { header: { generalInfo: [info(ID_IT.implicitConfirm, boolean(true))] } },
    failures: ['badDataFormat'],
  },
  {
    id: 'CM-19',
    fault: 'confirmWaitTime that is no GeneralizedTime',
    changes: { header: { generalInfo: [info(ID_IT.confirmWaitTime, utf8String('soon'))] } },
    failures: ['badDataFormat'],
  },
  {
    id: 'CM-19',
    fault: 'implicitConfirm and confirmWaitTime',
    changes: {
      header: {
        generalInfo: [
          info(ID_IT.implicitConfirm, nullValue()),
          info(ID_IT.confirmWaitTime, generalizedTime(inMinutes(5))),
        ],
      },
    },
    failures: ['badRequest'],
  },
  {
    id: 'CM-19',
    fault: 'implicitConfirm twice',
    changes: {
      header: { generalInfo: [info(ID_IT.implicitConfirm, nullValue()), info(ID_IT.implicitConfirm, nullValue())] },
    },
    failures: ['badRequest'],
  },
  {
    id: 'CM-19',
    fault: 'a certProfile that is not offered here',
    changes: { header: { generalInfo: [info(ID_IT.certProfile, sequence(utf8String('nobody-has-this')))] } },
    failures: ['badRequest'],
    answer: 'cp',
  },
];

/** The rows of the table on header. */
export function headerRows(theSite: () => CmpSite): void {
  describe('CMP: the header, row by row (RFC 9810 §5.1, RFC 9483 §3)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    let signer: Signer;
    let issued: number;

    beforeAll(async () => {
      site = theSite();
      await site.endpoint({ label: 'strict-header', cmp: { conformance: 'lightweight', clockSkewSeconds: 300 } });
      secret = await site.secret('strict-header');
      signer = await site.device('header');
      // The server gets the certificate of its answers with the first it signs.
      await site.transaction('strict-header', signature(signer)).send(genm(info(ID_IT.caCerts)));
      issued = await allCertificates();
    });

    const allCertificates = async (): Promise<number> => (await site.server.certificatesOf('')).length;
    const request = (): Body => certRequests('cr', requestFor('CN=header', newKey()));

    function protectionOf(kind: 'mac' | 'signature'): Protection {
      return kind === 'mac' ? passwordBasedMac(secret, { iterations: 200 }) : signature(signer);
    }

    describe.each(['mac', 'signature'] as const)('with a %s', (kind) => {
      it.each(ROWS.filter(({ only }) => only === undefined || only === kind))('$id $fault', async (row) => {
        const transaction = site.transaction('strict-header', protectionOf(kind));
        const response = await transaction.send(request(), row.changes);
        expectRefusal(response, ...row.failures);
        // CM-67: what is wrong with the request itself is said in the answer to it.
        expect(response.kind).toBe(row.answer ?? 'error');
        // CM-21: protected like the request, wherever the credential is known.
        const known = kind === 'mac' ? secret : 'signature';
        expectSoundAnswer(response, row.unknownSender ? 'anybody' : known);
        expect(response.header.pvno).toBeLessThanOrEqual(3);
        expect(response.header.pvno).toBeGreaterThanOrEqual(2);
        const { header = {} } = row.changes;
        if (header.transactionID === undefined && header.senderNonce === undefined) {
          expect(response.header.transactionID).toEqual(Buffer.from(transaction.transactionID));
          expect(response.header.recipNonce).toEqual(Buffer.from(transaction.senderNonce));
        }
      });

      it('CM-19 what is not known in generalInfo is ignored, and CM-20 the answer has every field', async () => {
        const generalInfo = [info('1.3.6.1.4.1.99999.2', utf8String('?')), info(ID_IT.implicitConfirm, nullValue())];
        const transaction = site.transaction('strict-header', protectionOf(kind));
        const subject = kind === 'mac' ? 'CN=by-mac' : 'CN=header';
        const response = await transaction.send(certRequests('cr', requestFor(subject, newKey())), {
          header: { generalInfo },
        });
        expect(response.summary).toBe('cp accepted');
        expectAnswerTo(transaction, response, kind === 'mac' ? secret : 'signature');
        expect([...response.header.generalInfo.keys()]).toEqual([ID_IT.implicitConfirm]);
        issued += 1;
      });
    });

    it('CM-17 a transactionID in use by another message is refused, the same message gets the same certificate', async () => {
      const protect = protectionOf('mac');
      const transaction = site.transaction('strict-header', protect, { implicitConfirm: true });
      const first = await transaction.send(certRequests('cr', requestFor('CN=repeats', newKey())));
      issued += 1;
      const again = await transaction.sendAsIs(transaction.request);
      expect(again.certificate).toEqual(first.certificate);
      const { transactionID } = transaction;
      const other = site.transaction('strict-header', protect, { transactionID });
      expectRefusal(await other.send(certRequests('cr', requestFor('CN=repeats', newKey()))), 'transactionIdInUse');
      const stranger = site.transaction('strict-header', passwordBasedMac(await site.secret('strict-header')), {
        transactionID,
      });
      const answer = await stranger.send(certRequests('cr', requestFor('CN=stranger', newKey())));
      expect(['cp accepted', 'error rejection transactionIdInUse']).toContain(answer.summary.replace(/ \(.*/, ''));
      issued += answer.kind === 'cp' ? 1 : 0;
    });

    it('CM-20 nonces of answers are fresh', async () => {
      const nonces = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const response = await site.transaction('strict-header', signature(signer)).send(genm(info(ID_IT.caCerts)));
          return response.header.senderNonce!.toString('hex');
        }),
      );
      expect(new Set(nonces).size).toBe(20);
    });

    it('none of the refused got a certificate', async () => {
      expect(await allCertificates()).toBe(issued);
    });
  });
}
