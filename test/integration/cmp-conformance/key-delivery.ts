import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import { enclosedType, openEnvelope, openKeyPackage, recipientKind } from '../../fakes/cmp-envelope.ts';
import { expectRefusal } from '../../fakes/cmp-expectations.ts';
import {
  type MacSecret,
  passwordBasedMac,
  pbmac1,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import {
  certRequests,
  emptyPublicKey,
  requestFor,
  signatureProof,
  subsequentMessage,
  type Template,
} from '../../fakes/cmp-request.ts';
import type { CmpResponse } from '../../fakes/cmp-response.ts';
import { type KeyKind, newKey, publicKeyDer } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

const ID_SIGNED_DATA = '1.2.840.113549.1.7.2';
const ID_KP_CM_KGA = '1.3.6.1.5.5.7.3.32';

/** The rows of the table on key delivery. */
export function keyDeliveryRows(theSite: () => CmpSite): void {
  describe('CMP: what is sent encrypted', () => {
    let site: CmpSite;
    let root: string;

    beforeAll(async () => {
      site = theSite();
      root = await readFile(join(site.server.folder, 'data', 'root.pem'), 'utf8');
    });

    describe('CM-46 indirect proof of possession: the certificate encrypted to its key', () => {
      let secret: MacSecret;
      const profiles = { rsa2048: ['keyEncipherment'], p256: ['keyAgreement'], p384: ['keyAgreement'] } as const;
      beforeAll(async () => {
        for (const [kind, keyUsage] of Object.entries(profiles)) {
          await site.profile(`encryption-${kind}`, { keyUsage });
          await site.endpoint({ label: `encryption-${kind}`, profile: `encryption-${kind}` });
        }
      });

      const proofOf = (kind: KeyKind) => subsequentMessage(kind === 'rsa2048' ? 'keyEncipherment' : 'keyAgreement');

      it.each(['rsa2048', 'p256', 'p384'] as const)('%s', async (kind) => {
        const label = `encryption-${kind}`;
        secret = await site.secret(label);
        const key = newKey(kind);
        const transaction = site.transaction(label, passwordBasedMac(secret), { pvno: 3 });
        const response = await transaction.send(
          certRequests('ir', requestFor('CN=encrypts', key, { proof: proofOf(kind) })),
        );
        expect(response.summary).toBe('ip accepted');
        const [{ certificate, encryptedCertificate } = {}] = response.certResponses;
        expect(certificate).toBeUndefined();
        expect(recipientKind(encryptedCertificate!)).toBe(kind === 'rsa2048' ? 'ktri' : 'kari');
        const opened = openEnvelope(encryptedCertificate!, { key });
        expect(new X509Certificate(opened).checkPrivateKey(key)).toBe(true);
        expect(() => openEnvelope(encryptedCertificate!, { key: newKey(kind) })).toThrow(/Command failed/);
        expect((await transaction.confirm(opened)).summary).toBe('pkiconf');
      });

      it('does not grant implicitConfirm: the confirmation is the proof', async () => {
        const label = 'encryption-rsa2048';
        const transaction = site.transaction(label, passwordBasedMac(await site.secret(label)), {
          pvno: 3,
          implicitConfirm: true,
        });
        const request = requestFor('CN=encrypts', newKey('rsa2048'), { proof: subsequentMessage('keyEncipherment') });
        const response = await transaction.send(certRequests('ir', request));
        expect(response.summary).toBe('ip accepted');
        expect(response.header.generalInfo.has('1.3.6.1.5.5.7.4.13')).toBe(false);
      });

      it('a hash that only who opened it can know: without it the certificate is not confirmed', async () => {
        const label = 'encryption-rsa2048';
        const transaction = site.transaction(label, passwordBasedMac(await site.secret(label)), { pvno: 3 });
        const request = requestFor('CN=guesses', newKey('rsa2048'), { proof: subsequentMessage('keyEncipherment') });
        await transaction.send(certRequests('ir', request));
        expectRefusal(await transaction.confirm(Buffer.from(new X509Certificate(root).raw)), 'badCertId');
      });

      it('is refused for a key that cannot decrypt, with the other kind of key, as a challenge, and where it is switched off', async () => {
        const protect = passwordBasedMac(await site.secret('encryption-rsa2048'));
        const ask = (
          key: KeyObject,
          proof: ReturnType<typeof subsequentMessage>,
          label = 'encryption-rsa2048',
          by = protect,
        ) =>
          site.transaction(label, by, { pvno: 3 }).send(certRequests('ir', requestFor('CN=encrypts', key, { proof })));
        expectRefusal(await ask(newKey('ed25519'), subsequentMessage('keyAgreement')), 'badPOP');
        expectRefusal(await ask(newKey('rsa2048'), subsequentMessage('keyAgreement')), 'badPOP');
        expectRefusal(await ask(newKey('p256'), subsequentMessage('keyEncipherment')), 'badPOP');
        expectRefusal(await ask(newKey('rsa2048'), subsequentMessage('keyEncipherment', 1)), 'badPOP');
        await site.endpoint({ label: 'direct', cmp: { indirectProof: false } });
        const direct = passwordBasedMac(await site.secret('direct'));
        expectRefusal(await ask(newKey('rsa2048'), subsequentMessage('keyEncipherment'), 'direct', direct), 'badPOP');
      });
    });

    describe('CM-45 central key generation (RFC 9483 §4.1.6)', () => {
      let secret: MacSecret;
      const signers = new Map<string, Signer>();

      beforeAll(async () => {
        await site.endpoint({ label: 'central', cmp: { centralKeyGeneration: true } });
        secret = await site.secret('central');
        signers.set('ktri', await site.device('central', 'central', newKey('rsa2048')));
        await site.profile('agrees-and-signs', { keyUsage: ['digitalSignature', 'keyAgreement'] });
        await site.endpoint({ label: 'agreeing', profile: 'agrees-and-signs', cmp: { centralKeyGeneration: true } });
        signers.set('kari', await site.device('central', 'agreeing', newKey('p256')));
        await site.profile('signs-alone', { keyUsage: ['digitalSignature'] });
        await site.endpoint({ label: 'signing', profile: 'signs-alone', cmp: { centralKeyGeneration: true } });
        signers.set('unfit', await site.device('central', 'signing', newKey('rsa2048')));
      });

      const ask = (
        kind: 'ir' | 'cr' | 'kur',
        protect: Protection,
        key: Parameters<typeof emptyPublicKey>[0],
        label = 'central',
        more: { readonly pvno?: 2 | 3; readonly proof?: ReturnType<typeof signatureProof> } = {},
      ): Promise<CmpResponse> => {
        const publicKey = emptyPublicKey(key);
        const template: Template = { subject: 'CN=central', ...(publicKey && { publicKey }) };
        const transaction = site.transaction(label, protect, { pvno: more.pvno ?? 3, implicitConfirm: true });
        return transaction.send(certRequests(kind, { template, ...(more.proof && { proof: more.proof }) }));
      };

      function expectKeyFor(response: CmpResponse, opener: Parameters<typeof openEnvelope>[1]): KeyObject {
        const { privateKey, certificate } = response.certResponses[0]!;
        expect(enclosedType(privateKey!)).toBe(ID_SIGNED_DATA);
        const { key, signer } = openKeyPackage(openEnvelope(privateKey!, opener), root);
        const issued = new X509Certificate(certificate!);
        expect(issued.publicKey.export({ format: 'der', type: 'spki' })).toEqual(publicKeyDer(key));
        expect(signer.keyUsage).toContain(ID_KP_CM_KGA);
        return key;
      }

      it.each([
        ['ktri', 'central', 'rsa'],
        ['ktri', 'central', 'p256'],
        ['kari', 'agreeing', 'p256'],
        ['kari', 'agreeing', 'none'],
      ] as const)('%s at %s: a key of kind %s for who signs', async (recipient, label, kind) => {
        const signer = signers.get(recipient)!;
        const response = await ask('cr', signature(signer), kind, label);
        expect(response.summary).toBe('cp accepted');
        expect(recipientKind(response.certResponses[0]!.privateKey!)).toBe(recipient);
        const key = expectKeyFor(response, { key: signer.key, certificate: signer.certificate });
        if (kind !== 'none') expect(createPublicKey(key).asymmetricKeyType).toBe(kind === 'rsa' ? 'rsa' : 'ec');
      });

      it.each([
        ['PBM', (shared: MacSecret) => passwordBasedMac(shared)],
        ['PBMAC1', (shared: MacSecret) => pbmac1(shared)],
      ] as const)('pwri for who has a secret, with %s', async (_, protection) => {
        const response = await ask('ir', protection(secret), 'p256');
        expect(response.summary).toBe('ip accepted');
        expect(recipientKind(response.certResponses[0]!.privateKey!)).toBe('pwri');
        expectKeyFor(response, { password: secret.secret as string });
      });

      it('kur with a signature gets a new key, with a MAC it is refused', async () => {
        const signer = signers.get('ktri')!;
        const response = await ask('kur', signature(signer), 'rsa');
        expect(response.summary).toBe('kup accepted');
        expectKeyFor(response, { key: signer.key, certificate: signer.certificate });
        expectRefusal(await ask('kur', passwordBasedMac(secret), 'p256'), 'wrongIntegrity');
      });

      it('the repeated request gets another key: none is kept', async () => {
        const transaction = site.transaction('central', passwordBasedMac(secret), { pvno: 3, implicitConfirm: true });
        const template = { subject: 'CN=repeats', publicKey: emptyPublicKey('p256')! };
        const first = await transaction.send(certRequests('ir', { template }));
        const again = await transaction.sendAsIs(transaction.request);
        expect(again.certificate).not.toEqual(first.certificate);
        expect((await site.recordOf(first.certificate)).status).toBe('revoked');
      });

      it('is refused for a certificate that can neither decrypt nor agree, where it is switched off, and with a proof; in CMPv2 the answer is of CMPv3', async () => {
        expectRefusal(await ask('cr', signature(signers.get('unfit')!), 'rsa', 'signing'), 'notAuthorized');
        await site.endpoint({ label: 'no-central' });
        const off = passwordBasedMac(await site.secret('no-central'));
        expectRefusal(await ask('ir', off, 'p256', 'no-central'), 'badCertTemplate');
        const withProof = await ask('ir', passwordBasedMac(secret), 'p256', 'central', {
          proof: signatureProof(newKey()),
        });
        expectRefusal(withProof, 'badPOP');
        const old = await ask('ir', passwordBasedMac(secret), 'p256', 'central', { pvno: 2 });
        // EnvelopedData is of version 3, and so is the answer (RFC 9810 §7).
        expect([old.summary, old.header.pvno]).toEqual(['ip accepted', 3]);
      });
    });
  });
}
