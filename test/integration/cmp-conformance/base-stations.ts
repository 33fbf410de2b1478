import { readFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import { expectRefusal } from '../../fakes/cmp-expectations.ts';
import type { MessageChanges } from '../../fakes/cmp-message.ts';
import { signature, type Signer } from '../../fakes/cmp-protection.ts';
import { readCertificate } from '../../fakes/cmp-reader.ts';
import { certRequests, type Proof, requestFor, signatureProof } from '../../fakes/cmp-request.ts';
import type { CmpResponse } from '../../fakes/cmp-response.ts';
import { newKey, publicKeyDer } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';
import { TestAuthority } from '../../support/test-pki.ts';

/** What base stations do, signed with their vendor's certificate (3GPP TS 33.310 §9.5; C7 to C9 of real devices). */
export function baseStationRows(theSite: () => CmpSite): void {
  describe('CMP: base stations', () => {
    let site: CmpSite;
    let root: Buffer;
    let station: Signer;
    const vendor = TestAuthority.root({ name: 'CN=Vendor Root' });
    const factory = vendor.intermediate({ name: 'CN=Vendor Factory' });

    beforeAll(async () => {
      site = theSite();
      root = new X509Certificate(await readFile(join(site.server.folder, 'data', 'root.pem'))).raw;
      const made = factory.leaf({ subject: 'CN=enb-0815' });
      station = { key: made.privateKey, certificate: made.der, chain: [factory.der, vendor.der] };
      await site.anchor(vendor.der, 'client');
      await site.endpoint({
        label: 'stations',
        cmp: {
          authenticators: ['anchored-certificate', 'certificate'],
          extraCerts: 'with-root',
          missingSubject: 'from-signer',
        },
      });
    });

    const ask = (
      subject: string | undefined,
      proof: Proof,
      key = newKey(),
      changes: MessageChanges = {},
    ): Promise<CmpResponse> => {
      const { template } = requestFor(subject ?? '', key);
      const named = subject === undefined ? { publicKey: publicKeyDer(key) } : template;
      const transaction = site.transaction('stations', signature(station), { implicitConfirm: true });
      return transaction.send(certRequests('ir', { template: named, proof }), changes);
    };

    it('C8 get the operator’s whole chain with its root in extraCerts', async () => {
      const key = newKey();
      const response = await ask('CN=enb-0815', signatureProof(key), key);
      expect(response.summary).toBe('ip accepted');
      expect(response.extraCerts.some((certificate) => certificate.equals(root))).toBe(true);
      expect(readCertificate(response.certificate).subject).toEqual(readCertificate(station.certificate).subject);
    });

    it('C8 name no subject, and have that of the certificate they sign with', async () => {
      const key = newKey();
      const response = await ask(undefined, signatureProof(key), key);
      expect(response.summary).toBe('ip accepted');
      expect(readCertificate(response.certificate).subject).toEqual(readCertificate(station.certificate).subject);
    });

    it('C8 send their certificates in any order', async () => {
      const key = newKey();
      const extraCerts = [vendor.der, factory.der, station.certificate];
      expect((await ask('CN=enb-0815', signatureProof(key), key, { extraCerts })).summary).toBe('ip accepted');
    });

    it('are refused another name, and so is the vendor of nobody', async () => {
      const key = newKey();
      expectRefusal(await ask('CN=enb-4711', signatureProof(key), key), 'notAuthorized');
      const stranger = TestAuthority.root({ name: 'CN=Nobody' });
      const made = stranger.leaf({ subject: 'CN=enb-0815' });
      const protect = signature({ key: made.privateKey, certificate: made.der, chain: [stranger.der] });
      const request = certRequests('ir', requestFor('CN=enb-0815', newKey()));
      expectRefusal(await site.transaction('stations', protect).send(request), 'signerNotTrusted');
    });

    it('C8, C9 update with the operator’s certificate, with the same key and with a new one', async () => {
      const key = newKey();
      const first = await ask('CN=enb-0815', signatureProof(key), key);
      const signer = { key, certificate: first.certificate, chain: first.extraCerts };
      for (const next of [key, newKey()]) {
        const kur = site.transaction('stations', signature(signer), { implicitConfirm: true });
        expect((await kur.send(certRequests('kur', requestFor('CN=enb-0815', next)))).summary).toBe('kup accepted');
      }
    });
  });
}
