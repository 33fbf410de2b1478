import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import {
  boolean,
  directoryName,
  explicit,
  extension,
  name,
  nullValue,
  sequence,
  utf8String,
} from '../../fakes/cmp-der.ts';
import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import { type Body, ID_IT, info } from '../../fakes/cmp-message.ts';
import {
  type MacSecret,
  passwordBasedMac,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import { oidOf, readCertificate, type Tlv } from '../../fakes/cmp-reader.ts';
import { certRequests, genm, reasonCode, requestFor, type Revocation, rr } from '../../fakes/cmp-request.ts';
import type { CmpResponse, Failure } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** One fault of a revocation request. */
interface Row {
  readonly id: string;
  readonly fault: string;
  readonly revocation: (own: Uint8Array) => Revocation;
  readonly failures: readonly Failure[];
}

const SUPERSEDED = 4;
const HOLD = 6;
const REMOVE_FROM_CRL = 8;
const withReason = (reason: number) => (certificate: Uint8Array) => ({ certificate, reason });

const ROWS: readonly Row[] = [
  {
    id: 'CM-60',
    fault: 'no serial number',
    revocation: (own) => ({ template: { issuer: readCertificate(own).issuer } }),
    failures: ['addInfoNotAvailable'],
  },
  {
    id: 'CM-60',
    fault: 'no issuer',
    revocation: (own) => ({ template: { serialNumber: readCertificate(own).serialNumber } }),
    failures: ['addInfoNotAvailable'],
  },
  {
    id: 'CM-60',
    fault: 'a serial number of nobody',
    revocation: (own) => ({ certificate: own, template: { serialNumber: Buffer.from('0102030405060708', 'hex') } }),
    failures: ['badCertId'],
  },
  {
    id: 'CM-60',
    fault: 'another issuer',
    revocation: (own) => ({ certificate: own, template: { issuer: name('CN=nobody') } }),
    failures: ['badCertId'],
  },
  {
    id: 'CM-60',
    fault: 'no crlEntryDetails',
    revocation: (own) => ({ certificate: own, reason: null }),
    failures: ['badRequest'],
  },
  {
    id: 'CM-60',
    fault: 'the reason 7, which there is not',
    revocation: withReason(7),
    failures: ['badRequest'],
  },
  { id: 'CM-60', fault: 'the reason 11', revocation: withReason(11), failures: ['badRequest'] },
  {
    id: 'CM-60',
    fault: 'two reasons',
    revocation: (certificate) => ({ certificate, crlEntryDetails: [reasonCode(1), reasonCode(4)] }),
    failures: ['badDataFormat'],
  },
  {
    id: 'CM-60',
    fault: 'a reason that is no ENUMERATED',
    revocation: (certificate) => ({ certificate, crlEntryDetails: [extension('2.5.29.21', boolean(true))] }),
    failures: ['badDataFormat'],
  },
  {
    id: 'CM-62',
    fault: 'removeFromCRL of what is not on hold',
    revocation: withReason(REMOVE_FROM_CRL),
    failures: ['badCertId'],
  },
];

/** The rows of the table on support. */
export function supportRows(theSite: () => CmpSite): void {
  describe('CMP: revocation and support messages, row by row (RFC 9483 §4.2, §4.3)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    let signer: Signer;
    let gateway: Signer;

    beforeAll(async () => {
      site = theSite();
      await site.endpoint({ label: 'strict-support', cmp: { conformance: 'lightweight' } });
      secret = await site.secret('strict-support');
      signer = await site.device('supported', 'strict-support');
      gateway = await site.device('gateway', 'default-ra');
    });

    const send = (body: Body, protect: Protection = signature(signer), pvno: 2 | 3 = 2): Promise<CmpResponse> =>
      site.transaction('strict-support', protect, { pvno }).send(body);

    describe('rr', () => {
      it.each(ROWS)('$id $fault', async ({ revocation, failures }) => {
        const response = await send(rr(revocation(signer.certificate)));
        expectRefusal(response, ...failures);
        expect(response.isSignedByFirstExtraCert()).toBe(true);
        expect((await site.recordOf(signer.certificate)).status).toBe('active');
      });

      it('CM-60 names exactly one certificate', async () => {
        const { certificate } = signer;
        expectRefusal(await send(rr({ certificate }, { certificate })), 'badRequest');
        expectRefusal(await send(rr()), 'badRequest');
      });

      it('CM-60, CM-61 revokes the owner’s certificate, once', async () => {
        const device = await site.device('revokes-itself', 'strict-support');
        const transaction = site.transaction('strict-support', signature(device));
        const response = await transaction.send(rr({ certificate: device.certificate, reason: SUPERSEDED }));
        expect(response.summary).toBe('rp accepted');
        expectAnswerTo(transaction, response, 'signature');
        expect((await site.recordOf(device.certificate)).status).toBe('revoked');
        expectRefusal(await send(rr({ certificate: device.certificate }), signature(device)), 'certRevoked');
      });

      it('CM-60 a registration authority revokes for others, a device does not', async () => {
        const device = await site.device('left-behind', 'strict-support');
        expectRefusal(await send(rr({ certificate: device.certificate })), 'notAuthorized');
        const byRa = site.transaction('default', signature(gateway));
        expect((await byRa.send(rr({ certificate: device.certificate, reason: 1 }))).summary).toBe('rp accepted');
        const again = await site
          .transaction('default', signature(gateway))
          .send(rr({ certificate: device.certificate }));
        expectRefusal(again, 'certRevoked');
      });

      it('CM-62 certificateHold, and back by removeFromCRL', async () => {
        const device = await site.device('on-hold', 'strict-support');
        const byRa = (reason: number): Promise<CmpResponse> =>
          site.transaction('default', signature(gateway)).send(rr({ certificate: device.certificate, reason }));
        expect((await byRa(HOLD)).summary).toBe('rp accepted');
        expectRefusal(await send(genm(info(ID_IT.caCerts)), signature(device)), 'certRevoked');
        expect((await byRa(REMOVE_FROM_CRL)).summary).toBe('rp accepted');
        expect((await send(genm(info(ID_IT.caCerts)), signature(device))).kind).toBe('genp');
      });
    });

    describe.each(['mac', 'signature'] as const)('CM-64 genm with a %s', (kind) => {
      const protect = (): Protection =>
        kind === 'mac' ? passwordBasedMac(secret, { iterations: 200 }) : signature(signer);

      async function ask(type: string, value?: Uint8Array): Promise<Tlv | undefined> {
        const transaction = site.transaction('strict-support', protect());
        const response = await transaction.send(genm(info(type, value)));
        expect(response.kind, response.summary).toBe('genp');
        expectAnswerTo(transaction, response, kind === 'mac' ? secret : 'signature');
        expect(response.infos.size).toBe(1);
        const [[, answer] = []] = response.infos;
        return answer;
      }
      const rootDer = async (): Promise<Buffer> =>
        new X509Certificate(await readFile(join(site.server.folder, 'data', 'root.pem'))).raw;

      it('caCerts', async () => {
        const certificates = (await ask(ID_IT.caCerts))!.children.map(({ der }) => new X509Certificate(der));
        const issued = new X509Certificate(signer.certificate);
        expect(certificates.some((ca) => issued.checkIssued(ca) && issued.verify(ca.publicKey))).toBe(true);
      });

      it('rootCaCert: no update for the root there is, nor for one of nobody', async () => {
        expect(await ask(ID_IT.rootCaCert, await rootDer())).toBeUndefined();
        expect(await ask(ID_IT.rootCaCert)).toBeUndefined();
      });

      it('certReqTemplate', async () => {
        const template = await ask(ID_IT.certReqTemplate);
        // CertReqTemplateContent: certTemplate, and keySpec with the kinds of key that are certified.
        const [, keySpec] = template!.children;
        const controls = keySpec!.children.map((control) => oidOf(control.children[0]!));
        expect(controls).toContain('1.3.6.1.5.5.7.5.1.11');
      });

      it('crlStatusList: the CRL of the issuer, and none that is newer than the newest', async () => {
        const { issuer } = readCertificate(signer.certificate);
        const source = explicit(1, sequence(directoryName(issuer)));
        const [crl] = (await ask(ID_IT.crlStatusList, sequence(sequence(source))))!.children;
        const tbs = crl!.children[0]!;
        expect(tbs.children[2]!.der).toEqual(issuer);
        const thisUpdate = tbs.children[3]!.der;
        expect(await ask(ID_IT.crlStatusList, sequence(sequence(source, thisUpdate)))).toBeUndefined();
      });

      it('currentCRL', async () => {
        const crl = await ask(ID_IT.currentCrl);
        expect(crl!.children[0]!.children[2]!.der).toEqual(readCertificate(signer.certificate).issuer);
      });

      it('signKeyPairTypes and encKeyPairTypes', async () => {
        const types = (await ask(ID_IT.signKeyPairTypes))!.children.map(({ children }) => oidOf(children[0]!));
        expect(types).toContain('1.2.840.10045.2.1');
        expect(types).toContain('1.2.840.113549.1.1.1');
        expect((await ask(ID_IT.encKeyPairTypes))!.children.map(({ children }) => oidOf(children[0]!))).toContain(
          '1.2.840.113549.1.1.1',
        );
      });

      it('preferredSymmAlg', async () => {
        expect(oidOf((await ask(ID_IT.preferredSymmAlg))!.children[0]!)).toMatch(/^2\.16\.840\.1\.101\.3\.4\.1\.\d+$/);
      });

      it('suppLangTags: one of those asked for', async () => {
        const answer = await ask(ID_IT.suppLangTags, sequence(utf8String('de'), utf8String('en')));
        expect(answer!.children.map(({ contents }) => contents.toString())).toEqual(['en']);
      });

      it.each([
        ['caCerts with a value', ID_IT.caCerts, utf8String('?')],
        ['rootCaCert with something else', ID_IT.rootCaCert, nullValue()],
        ['certReqTemplate with a value', ID_IT.certReqTemplate, utf8String('?')],
        ['crlStatusList with nothing', ID_IT.crlStatusList, undefined],
        ['crlStatusList with something else', ID_IT.crlStatusList, sequence(utf8String('?'))],
        ['suppLangTags with something else', ID_IT.suppLangTags, nullValue()],
      ] as const)('%s is refused', async (_, type, value) => {
        expectRefusal(await send(genm(info(type, value)), protect()), 'badRequest', 'badDataFormat');
      });

      it('crlStatusList of an issuer of nobody', async () => {
        const source = explicit(1, sequence(directoryName('CN=nobody')));
        const response = await send(genm(info(ID_IT.crlStatusList, sequence(sequence(source)))), protect());
        expectRefusal(response, 'badRequest');
      });

      it('a type nobody knows; none at all is answered with what there is (RFC 9810 §5.3.19)', async () => {
        const unknown = await send(genm(info('1.3.6.1.4.1.99999.3')), protect());
        expectRefusal(unknown, 'badRequest');
        const any = await send(genm(), protect());
        expect([any.kind, any.infos.has(ID_IT.caCerts)]).toEqual(['genp', true]);
      });
    });

    describe('what is not for this server', () => {
      it('CM-66 cross-certification is refused', async () => {
        const ccr = certRequests('ccr', requestFor('CN=other CA', newKey()));
        expectRefusal(await send(ccr), 'badRequest');
        expectRefusal(await send(ccr, signature(gateway)), 'badRequest');
      });

      it.each(['ip', 'cp', 'kup', 'pkiconf', 'genp', 'rp', 'pollRep', 'krr', 'popdecc', 'popdecr'] as const)(
        '%s is no request',
        async (kind) => {
          const content = kind === 'pkiconf' ? nullValue() : sequence();
          const response = await send({ kind, content });
          expectRefusal(response, 'badRequest', 'badDataFormat');
          expect(response.isSignedByFirstExtraCert()).toBe(true);
        },
      );
    });
  });
}
