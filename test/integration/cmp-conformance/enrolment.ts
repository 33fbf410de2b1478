import { beforeAll, describe, expect, it } from 'vitest';

import {
  directoryName,
  dnsNames,
  extension,
  integer,
  name,
  oid,
  sequence,
  tlv,
  utf8String,
} from '../../fakes/cmp-der.ts';
import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import type { Body } from '../../fakes/cmp-message.ts';
import {
  type MacSecret,
  passwordBasedMac,
  type Protection,
  publicKeyMac,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import { readCertificate } from '../../fakes/cmp-reader.ts';
import {
  type CertReqMsg,
  certRequests,
  oldCertId,
  p10cr,
  pkcs10,
  raVerified,
  regToken,
  requestFor,
  signatureProof,
  signatureProofOverInput,
} from '../../fakes/cmp-request.ts';
import type { CmpResponse } from '../../fakes/cmp-response.ts';
import { newKey, publicKeyDer } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';
import { TEMPLATES } from './template-rows.ts';

/** The rows of the table on enrolment. */
export function enrolmentRows(theSite: () => CmpSite): void {
  describe('CMP: enrolment, row by row (RFC 9483 §4.1)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    let gateway: Signer;

    beforeAll(async () => {
      site = theSite();
      await site.endpoint({ label: 'strict-enrolment', cmp: { conformance: 'lightweight' } });
      secret = await site.secret('strict-enrolment');
      gateway = await site.device('gateway', 'default-ra');
    });

    const byMac = (): Protection => passwordBasedMac(secret, { iterations: 200 });
    const send = (body: Body, protect: Protection = byMac(), label = 'strict-enrolment'): Promise<CmpResponse> =>
      site.transaction(label, protect, { implicitConfirm: true }).send(body);

    describe.each(['ir', 'cr', 'kur', 'p10cr'] as const)('CM-30 %s', (kind) => {
      const answers = { ir: 'ip', cr: 'cp', kur: 'kup', p10cr: 'cp' } as const;

      it.each(kind === 'kur' ? (['signature'] as const) : (['signature', 'mac'] as const))(
        'with a %s (CM-31) issues what was asked for',
        async (how) => {
          const subject = `CN=${kind}-${how}`;
          const key = newKey();
          const signer = how === 'signature' ? await site.device(`${kind}-${how}`, 'strict-enrolment') : undefined;
          const protect = signer ? signature(signer) : byMac();
          const transaction = site.transaction('strict-enrolment', protect);
          const controls = kind === 'kur' ? { controls: [oldCertId(signer!.certificate)] } : {};
          const body =
            kind === 'p10cr'
              ? p10cr(pkcs10({ subject: name(subject), key }))
              : certRequests(kind, requestFor(name(subject), key, controls));
          const response = await transaction.send(body);
          expect(response.summary).toBe(`${answers[kind]} accepted`);
          expectAnswerTo(transaction, response, signer ? 'signature' : secret);
          const fields = readCertificate(response.certificate);
          expect(fields.publicKey).toEqual(publicKeyDer(key));
          expect(fields.subject).toEqual(name(subject));
          const certReqId = kind === 'p10cr' ? -1 : 0;
          expect(response.certResponses.map((one) => one.certReqId)).toEqual([certReqId]);
          expect((await transaction.confirm(response.certificate, { confirmation: { certReqId } })).summary).toBe(
            'pkiconf',
          );
          // Where the secret alone vouches for the server, it sends its root (RFC 9483 §4.1.1).
          expect(response.caPubs.length > 0).toBe(kind === 'ir' && how === 'mac');
        },
      );
    });

    describe.each(['ir', 'cr'] as const)('a template in %s', (kind) => {
      it.each(TEMPLATES)('$id $fault', async ({ request, failures }) => {
        const response = await send(certRequests(kind, request()));
        expectRefusal(response, ...failures);
        expect(response.isProtectedWith(secret)).toBe(true);
      });
    });

    it('CM-32 exactly one request in a message', async () => {
      const [one, two] = [requestFor('CN=one', newKey()), requestFor('CN=two', newKey(), { certReqId: 1 })];
      expectRefusal(await send(certRequests('ir', one, two)), 'badRequest');
      expectRefusal(await send(certRequests('ir')), 'badDataFormat');
    });

    it('CM-33 a PKCS #10 request by another key', async () => {
      const right = pkcs10({ subject: 'CN=ten', key: newKey() });
      const changed = Buffer.from(right);
      changed[changed.length - 1]! ^= 1;
      expectRefusal(await send(p10cr(changed)), 'badPOP');
    });

    it('CM-33 poposkInput where subject or key are not in the template', async () => {
      const key = newKey();
      const extensions = [dnsNames(['input.example'], true)];
      const template = { publicKey: publicKeyDer(key), extensions };
      const ask = (authInfo: Parameters<typeof signatureProofOverInput>[1], publicKey?: Buffer): Promise<CmpResponse> =>
        send(certRequests('ir', { template, proof: signatureProofOverInput(key, authInfo, publicKey) }));
      const byKeyMac = await ask({ publicKeyMac: publicKeyMac(secret, publicKeyDer(key)) });
      expect(byKeyMac.summary).toBe('ip accepted');
      expectRefusal(
        await ask({ publicKeyMac: publicKeyMac({ ...secret, secret: 'wrong' }, publicKeyDer(key)) }),
        'badPOP',
      );
      expectRefusal(await ask({ sender: directoryName('CN=somebody') }), 'badPOP');
      const other = publicKeyDer(newKey());
      expectRefusal(await ask({ publicKeyMac: publicKeyMac(secret, other) }, other), 'badPOP');
      expectRefusal(await send(certRequests('ir', { template, proof: signatureProof(key) })), 'badPOP');
    });

    it('CM-34 raVerified from a registration authority, but not for kur', async () => {
      const granted = await send(
        certRequests('cr', requestFor('CN=vouched', newKey(), { proof: raVerified })),
        signature(gateway),
      );
      expect(granted.summary).toBe('cp accepted');
      const kur = certRequests('kur', requestFor('CN=gateway', newKey(), { proof: raVerified }));
      expectRefusal(await send(kur, signature(gateway), 'default-ra'), 'notAuthorized');
      expectRefusal(await send(kur, signature(gateway)), 'notAuthorized');
      const device = await site.device('no-gateway', 'strict-enrolment');
      const vouches = certRequests('cr', requestFor('CN=no-gateway', newKey(), { proof: raVerified }));
      expectRefusal(await send(vouches, signature(device)), 'notAuthorized');
      expectRefusal(await send(vouches), 'notAuthorized');
    });

    it('CM-35 the NULL-DN with a critical subjectAltName; what is known besides is granted or left out, not refused', async () => {
      const template = { extensions: [dnsNames(['nameless.example'], true)] };
      const nameless = await send(certRequests('ir', requestFor('', newKey(), { template })));
      expect(nameless.summary).toBe('ip accepted');
      expect(readCertificate(nameless.certificate).extensions.get('2.5.29.17')).toEqual(
        sequence(tlv(0x82, Buffer.from('nameless.example'))),
      );
      const odd = {
        template: { extensions: [extension('1.3.6.1.4.1.99999.7', utf8String('?'))] },
        controls: [regToken('42')],
      };
      const response = await send(certRequests('ir', requestFor('CN=odd', newKey(), odd)));
      expect(response.summary).toMatch(
        /^ip (accepted|grantedWithMods|rejection (unacceptedExtension|badCertTemplate))/,
      );
      if (response.status?.status !== 'rejection') {
        expect(readCertificate(response.certificate).extensions.has('1.3.6.1.4.1.99999.7')).toBe(false);
      }
    });

    it('CM-36 the same key twice: as the profile says', async () => {
      await site.profile('fresh-keys', { keyReuse: 'refused' });
      await site.endpoint({ label: 'fresh-keys', profile: 'fresh-keys' });
      const protect = passwordBasedMac(await site.secret('fresh-keys'));
      const key = newKey();
      expect((await send(certRequests('ir', requestFor('CN=fresh', key)), protect, 'fresh-keys')).summary).toBe(
        'ip accepted',
      );
      const again = await send(certRequests('cr', requestFor('CN=fresh', key)), protect, 'fresh-keys');
      expectRefusal(again, 'duplicateCertReq');
    });

    it('CM-37 the certificate of another device enrols nobody else, and a secret only its own device', async () => {
      const device = await site.device('itself', 'strict-enrolment');
      for (const kind of ['ir', 'cr', 'kur'] as const) {
        const response = await send(certRequests(kind, requestFor('CN=somebody-else', newKey())), signature(device));
        // CM-39: an update keeps its subject; anything else asks for what is another's.
        expectRefusal(response, kind === 'kur' ? 'badCertTemplate' : 'notAuthorized');
      }
      const request = p10cr(pkcs10({ subject: 'CN=somebody-else', key: newKey() }));
      expectRefusal(await send(request, signature(device)), 'notAuthorized');
      const limited = passwordBasedMac(await site.secret('strict-enrolment', 'device', 'only-me'));
      expectRefusal(await send(certRequests('ir', requestFor('CN=not-me', newKey())), limited), 'notAuthorized');
      expect((await send(certRequests('ir', requestFor('CN=only-me', newKey())), limited)).summary).toBe('ip accepted');
      expect(await site.countOf('somebody-else')).toBe(0);
    });

    it('CM-37 a one-time secret enrols once', async () => {
      const once = passwordBasedMac(await site.secret('strict-enrolment', 'one-time'));
      expect((await send(certRequests('ir', requestFor('CN=once', newKey())), once)).summary).toBe('ip accepted');
      const again = await send(certRequests('ir', requestFor('CN=once', newKey())), once);
      expectRefusal(again, 'badMessageCheck');
      expect(await site.countOf('once')).toBe(1);
    });

    it('CM-38 a certificate that was updated already, where it no longer serves', async () => {
      await site.endpoint({ label: 'updates', cmp: { updatedCertificates: 'refused' } });
      const device = await site.device('updated', 'updates');
      const key = newKey();
      const first = await send(certRequests('kur', requestFor('CN=updated', key)), signature(device), 'updates');
      expect(first.summary).toBe('kup accepted');
      const again = await send(certRequests('kur', requestFor('CN=updated', newKey())), signature(device), 'updates');
      expectRefusal(again, 'certRevoked');
      const renewed = { key, certificate: first.certificate, chain: device.chain ?? [] };
      const next = await send(certRequests('kur', requestFor('CN=updated', newKey())), signature(renewed), 'updates');
      expect(next.summary).toBe('kup accepted');
    });

    describe('CM-39 kur', () => {
      let device: Signer;
      beforeAll(async () => (device = await site.device('renews', 'strict-enrolment')));
      const kur = (more: Partial<CertReqMsg> = {}, subject = 'CN=renews'): Promise<CmpResponse> =>
        send(certRequests('kur', requestFor(subject, newKey(), more)), signature(device));

      it('names the certificate it updates, or none', async () => {
        expect((await kur({ controls: [oldCertId(device.certificate)] })).summary).toBe('kup accepted');
        expect((await kur()).summary).toBe('kup accepted');
      });

      it('with another serial number, or that of another device, or another issuer, is badCertId', async () => {
        const other = await site.device('other', 'strict-enrolment');
        const foreign = sequence(
          oid('1.3.6.1.5.5.7.5.1.5'),
          sequence(directoryName('CN=nobody'), integer(readCertificate(device.certificate).serialNumber)),
        );
        for (const control of [
          oldCertId(device.certificate, { serialNumber: Buffer.from([1]) }),
          oldCertId(other.certificate),
          foreign,
        ]) {
          expectRefusal(await kur({ controls: [control] }), 'badCertId');
        }
      });

      it('keeps subject and names', async () => {
        expectRefusal(await kur({}, 'CN=renamed'), 'badCertTemplate');
        const added = { template: { extensions: [dnsNames(['new.example'])] } };
        expectRefusal(await kur(added), 'badCertTemplate');
      });

      it('a second one while the first waits for its confirmation', async () => {
        const transaction = site.transaction('strict-enrolment', signature(device));
        const first = await transaction.send(certRequests('kur', requestFor('CN=renews', newKey())));
        expect(first.summary).toBe('kup accepted');
        const second = await kur();
        expectRefusal(second, 'badRequest');
        expect((await transaction.confirm(first.certificate)).summary).toBe('pkiconf');
      });
    });
  });
}
