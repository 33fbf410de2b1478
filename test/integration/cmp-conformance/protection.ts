import { beforeAll, describe, expect, it } from 'vitest';

import { expectAnswerTo, expectRefusal } from '../../fakes/cmp-expectations.ts';
import { ID_IT, info } from '../../fakes/cmp-message.ts';
import {
  directMac,
  gmac,
  hmac,
  kmac,
  type MacSecret,
  passwordBasedMac,
  pbmac1,
  type Protection,
  signature,
  type Signer,
} from '../../fakes/cmp-protection.ts';
import { certRequests, genm, requestFor, rr } from '../../fakes/cmp-request.ts';
import { type KeyKind, newKey, type SignatureName } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';
import { TestAuthority } from '../../support/test-pki.ts';

const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const HMAC_HASHES = [...HASHES, 'sha224', 'sha3-256', 'sha3-384', 'sha3-512'] as const;
const FEW = { iterations: 120 };

/** RFC 9481 §6: each MAC with a secret. */
const MACS: Readonly<Record<string, (secret: MacSecret) => Protection>> = {
  ...Object.fromEntries(
    HASHES.flatMap((hash) =>
      HASHES.map((mac) => [
        `PBM, ${hash}, HMAC-${mac}`,
        (secret: MacSecret) => passwordBasedMac(secret, { hash, mac: hmac(mac), ...FEW }),
      ]),
    ),
  ),
  'PBM with the HMAC-SHA1 of PKCS #5': (secret) =>
    passwordBasedMac(secret, { mac: hmac('sha1', '1.2.840.113549.2.7'), ...FEW }),
  'PBM, KMAC128': (secret) => passwordBasedMac(secret, { mac: kmac('KMAC128'), ...FEW }),
  'PBM, AES-256-GMAC': (secret) => passwordBasedMac(secret, { mac: gmac(256), ...FEW }),
  ...Object.fromEntries(
    HMAC_HASHES.flatMap((hash) => [
      [`PBMAC1, HMAC-${hash}`, (secret: MacSecret) => pbmac1(secret, { mac: hmac(hash), ...FEW })],
      [`HMAC-${hash}`, (secret: MacSecret) => directMac(secret, hmac(hash))],
    ]),
  ),
  'PBMAC1, PBKDF2 with HMAC-SHA1': (secret) => pbmac1(secret, { hash: 'sha1', ...FEW }),
  'PBMAC1, PBKDF2 with HMAC-SHA512': (secret) => pbmac1(secret, { hash: 'sha512', keyLength: 64, ...FEW }),
  'PBMAC1, KMAC256': (secret) => pbmac1(secret, { mac: kmac('KMAC256'), ...FEW }),
  'PBMAC1, AES-128-GMAC': (secret) => pbmac1(secret, { mac: gmac(128), keyLength: 16, ...FEW }),
  'PBMAC1, AES-192-GMAC': (secret) => pbmac1(secret, { mac: gmac(192), keyLength: 24, ...FEW }),
  KMAC128: (secret) => directMac(secret, kmac('KMAC128')),
  KMAC256: (secret) => directMac(secret, kmac('KMAC256')),
  'KMAC128 with 512 bits': (secret) => directMac(secret, kmac('KMAC128', 512)),
  'AES-256-GMAC': (secret) => directMac(secret, gmac(256)),
};

/** RFC 9481 §3: each signature algorithm with a key for it. */
const SIGNATURES: Readonly<Partial<Record<KeyKind, readonly SignatureName[]>>> = {
  p256: ['ecdsa-sha256', 'ecdsa-sha384', 'ecdsa-sha512', 'ecdsa-sha3-256', 'ecdsa-sha3-384', 'ecdsa-sha3-512'],
  p384: ['ecdsa-sha384'],
  p521: ['ecdsa-sha512'],
  rsa2048: [
    ...(['rsa-sha256', 'rsa-sha384', 'rsa-sha512', 'rsa-sha3-256'] as const),
    ...(['pss-sha256', 'pss-sha384', 'pss-sha512'] as const),
  ],
  ed25519: ['ed25519'],
  ed448: ['ed448'],
};

/** The rows of the table on protection. */
export function protectionRows(theSite: () => CmpSite): void {
  describe('CMP: protection, every algorithm (RFC 9481)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    const signers = new Map<string, Signer>();

    beforeAll(async () => {
      site = theSite();
      const keys = {
        rsa: { minBits: 2048, maxBits: 4096 },
        ec: ['P-256', 'P-384', 'P-521'],
        edwards: ['ed25519', 'ed448'],
        mlDsa: [],
      } as const;
      await site.profile('every-key', { keys });
      await site.endpoint({ label: 'keys', profile: 'every-key' });
      secret = await site.secret('keys');
      for (const kind of Object.keys(SIGNATURES) as KeyKind[]) {
        signers.set(kind, await site.device(`signs-${kind}`, 'keys', newKey(kind)));
      }
    });

    const question = genm(info(ID_IT.caCerts));
    const lastBitChanged = (bits: Buffer): Buffer =>
      Buffer.from(bits.map((octet, at) => (at === bits.length - 1 ? octet ^ 1 : octet)));

    describe('CM-22 MACs, right and wrong', () => {
      it.each(Object.keys(MACS))('%s', async (which) => {
        // Of its own: ten wrong MACs under one reference lock it for a while.
        const secret = await site.secret('keys');
        const transaction = site.transaction('keys', MACS[which]!(secret));
        const response = await transaction.send(question);
        expect(response.kind, response.summary).toBe('genp');
        expectAnswerTo(transaction, response, secret);
        const changed = await site
          .transaction('keys', MACS[which]!(secret))
          .send(question, { protection: lastBitChanged });
        expectRefusal(changed, 'badMessageCheck');
        const wrong = MACS[which]!({ ...secret, secret: secret.secret.slice(0, -1) + '!' });
        expectRefusal(await site.transaction('keys', wrong).send(question), 'badMessageCheck');
      });
    });

    describe('CM-23 signatures, right and wrong', () => {
      it.each(Object.entries(SIGNATURES).flatMap(([kind, names]) => names.map((name) => [name, kind] as const)))(
        '%s with %s',
        async (name, kind) => {
          const protect = signature(signers.get(kind)!, name);
          const transaction = site.transaction('keys', protect);
          const response = await transaction.send(question);
          expect(response.kind, response.summary).toBe('genp');
          expectAnswerTo(transaction, response, 'signature');
          const changed = await site.transaction('keys', protect).send(question, { protection: lastBitChanged });
          expectRefusal(changed, 'badMessageCheck');
        },
      );

      it.each([
        ['rsa-sha1', 'rsa2048'],
        ['ecdsa-sha1', 'p256'],
      ] as const)('%s is refused', async (name, kind) => {
        const response = await site.transaction('keys', signature(signers.get(kind)!, name)).send(question);
        expectRefusal(response, 'badAlg');
        expect(response.isSignedByFirstExtraCert()).toBe(true);
      });

      it('an algorithm that does not go with the key is refused', async () => {
        const { algorithm } = signature(signers.get('rsa2048')!, 'rsa-sha256');
        const response = await site
          .transaction('keys', { ...signature(signers.get('p256')!), algorithm })
          .send(question);
        expectRefusal(response, 'badAlg');
      });
    });

    describe('CM-16 the certificate that protects', () => {
      it('must be the first of extraCerts', async () => {
        const { certificate, chain = [] } = signers.get('p256')!;
        const protect = signature(signers.get('p256')!);
        const orders = [[...chain, certificate], null, [signers.get('p384')!.certificate, certificate, ...chain]];
        await site.endpoint({ label: 'strict-protection', profile: 'every-key', cmp: { conformance: 'lightweight' } });
        expect((await site.transaction('strict-protection', protect).send(question)).kind).toBe('genp');
        for (const extraCerts of orders) {
          const response = await site.transaction('strict-protection', protect).send(question, { extraCerts });
          expectRefusal(response, 'badMessageCheck');
        }
      });

      it('must lead to an authority that is trusted here, and be valid', async () => {
        const factory = TestAuthority.root({ name: 'CN=Factory' });
        const unknown = factory.leaf({ subject: 'CN=foreign' });
        const ask = async (issued: typeof unknown): Promise<void> => {
          const protect = signature({ key: issued.privateKey, certificate: issued.der, chain: [factory.der] });
          const response = await site.transaction('keys', protect).send(question);
          expectRefusal(response, 'signerNotTrusted');
          expect(response.isSignedByFirstExtraCert()).toBe(true);
        };
        await ask(unknown);
        await site.anchor(factory.der, 'client');
        await ask(factory.leaf({ subject: 'CN=foreign', notAfter: new Date(Date.now() - 60_000) }));
      });

      it('must be for signatures', async () => {
        await site.profile('agreement', { keyUsage: ['keyAgreement'] });
        await site.endpoint({ label: 'agreement', profile: 'agreement' });
        const signer = await site.device('agrees', 'agreement');
        const response = await site.transaction('agreement', signature(signer)).send(question);
        expectRefusal(response, 'signerNotTrusted');
      });

      it('must not be revoked', async () => {
        const signer = await site.device('revoked-signer', 'keys');
        const protect = signature(signer);
        expect((await site.transaction('keys', protect).send(rr({ certificate: signer.certificate }))).summary).toBe(
          'rp accepted',
        );
        for (const body of [question, certRequests('kur', requestFor('CN=revoked-signer', newKey()))]) {
          const response = await site.transaction('keys', protect).send(body);
          expectRefusal(response, 'certRevoked');
          expect(response.isSignedByFirstExtraCert()).toBe(true);
        }
      });
    });

    it('CM-22 ten wrong MACs under one reference lock it, and no other', async () => {
      const locked = await site.secret('keys');
      const ask = (protect: Protection) => site.transaction('keys', protect).send(question);
      for (let i = 0; i < 11; i += 1) {
        expectRefusal(await ask(passwordBasedMac({ ...locked, secret: 'guess' }, FEW)), 'badMessageCheck');
      }
      expectRefusal(await ask(passwordBasedMac(locked, FEW)), 'badMessageCheck');
      expect((await ask(passwordBasedMac(await site.secret('keys'), FEW))).kind).toBe('genp');
    });

    describe('CM-24 a MAC does not serve', () => {
      it.each(['kur', 'rr'] as const)('for %s', async (kind) => {
        const { certificate } = signers.get('p256')!;
        const body = kind === 'rr' ? rr({ certificate }) : certRequests('kur', requestFor('CN=signs-p256', newKey()));
        const response = await site.transaction('keys', passwordBasedMac(secret)).send(body);
        expectRefusal(response, 'wrongIntegrity');
        expect(response.isProtectedWith(secret)).toBe(true);
      });

      it('for a certConf of a signed request, nor a signature for that of one with a MAC, nor another MAC', async () => {
        const key = newKey();
        const mac = site.transaction('keys', passwordBasedMac(secret));
        const ip = await mac.send(certRequests('ir', requestFor('CN=mixes', key)));
        const signer = { key, certificate: ip.certificate, chain: ip.extraCerts };
        expectRefusal(await mac.confirm(ip.certificate, { protect: signature(signer) }), 'wrongIntegrity');
        const other = site.transaction('keys', pbmac1(secret));
        const cp = await other.send(certRequests('cr', requestFor('CN=mixes-macs', newKey())));
        const answer = await other.confirm(cp.certificate, { protect: directMac(secret, hmac('sha256')) });
        expectRefusal(answer, 'wrongIntegrity');
        const signed = site.transaction('keys', signature(signers.get('p256')!));
        const own = await signed.send(certRequests('cr', requestFor('CN=signs-p256', newKey())));
        expectRefusal(await signed.confirm(own.certificate, { protect: passwordBasedMac(secret) }), 'wrongIntegrity');
      });
    });

    describe('CM-69 what an endpoint allows', () => {
      it('bounds iterations and salts before anything is derived', async () => {
        for (const make of [passwordBasedMac, pbmac1]) {
          expectRefusal(await site.transaction('keys', make(secret, { iterations: 99 })).send(question), 'badAlg');
        }
        for (const iterations of [100_001, 2 ** 31 - 1, 2 ** 40]) {
          for (const make of [passwordBasedMac, pbmac1]) {
            const cheap = make(secret, { iterations: 100, claimedIterations: iterations });
            const start = performance.now();
            const response = await site.transaction('keys', cheap).send(question);
            expectRefusal(response, 'badAlg');
            expect(performance.now() - start).toBeLessThan(1000);
            expect(response.isProtectedWith(secret), 'by a MAC of the server’s own choice').toBe(true);
          }
        }
        for (const salt of [Buffer.alloc(0), Buffer.alloc(200)]) {
          expectRefusal(
            await site.transaction('keys', passwordBasedMac(secret, { salt, ...FEW })).send(question),
            'badAlg',
          );
        }
      });

      it('takes the most iterations that are allowed, and 5,001 in a worker', async () => {
        for (const iterations of [5_001, 100_000]) {
          const transaction = site.transaction('keys', passwordBasedMac(secret, { iterations }));
          expectAnswerTo(transaction, await transaction.send(question), secret);
        }
      });

      it('takes the MACs and bounds of its own settings alone', async () => {
        const cmp = { macs: ['pbmac1'] as const, iterations: { min: 1000, max: 2000 } };
        await site.endpoint({ label: 'narrow', cmp });
        const narrow = await site.secret('narrow');
        const ask = (protect: Protection) => site.transaction('narrow', protect).send(question);
        expect((await ask(pbmac1(narrow, { iterations: 2000 }))).kind).toBe('genp');
        expectRefusal(await ask(pbmac1(narrow, { iterations: 2001 })), 'badAlg');
        expectRefusal(await ask(pbmac1(narrow, { iterations: 999 })), 'badAlg');
        expectRefusal(await ask(passwordBasedMac(narrow, { iterations: 1000 })), 'badAlg');
        expectRefusal(await ask(directMac(narrow, hmac('sha256'))), 'badAlg');
      });
    });
  });
}
