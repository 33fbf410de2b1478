import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CmpTransaction } from '../fakes/cmp-client.ts';
import { name } from '../fakes/cmp-der.ts';
import { ID_IT, info } from '../fakes/cmp-message.ts';
import { type CmpMockServer, startCmpMockServer } from '../fakes/cmp-mock-server.ts';
import { hmac, kmac, passwordBasedMac, type Protection, signature } from '../fakes/cmp-protection.ts';
import { certRequests, genm, oldCertId, p10cr, pkcs10, requestFor, rr } from '../fakes/cmp-request.ts';

/** Before the fake client judges the server, a server nobody here wrote judges the fake client. */
describe('the fake CMP client at the mock server of openssl', () => {
  let mock: CmpMockServer;
  beforeAll(async () => (mock = await startCmpMockServer()));
  afterAll(async () => mock[Symbol.asyncDispose]());

  const protections: Readonly<Record<string, () => Protection>> = {
    'PBM SHA-256': () => passwordBasedMac(mock.secret),
    'PBM SHA-1, HMAC-SHA1, 500 iterations': () =>
      passwordBasedMac(mock.secret, { hash: 'sha1', mac: hmac('sha1'), iterations: 500 }),
    'PBM SHA-512, HMAC-SHA512': () => passwordBasedMac(mock.secret, { hash: 'sha512', mac: hmac('sha512') }),
    'ECDSA SHA-256': () => signature(mock.client),
    'ECDSA SHA-512': () => signature(mock.client, 'ecdsa-sha512'),
  };

  describe.each(Object.keys(protections))('%s', (which) => {
    it.each(['ir', 'cr', 'kur', 'p10cr'] as const)('%s and certConf', async (kind) => {
      const { key, certificate } = mock.answered;
      const protect = protections[which]!();
      const transaction = new CmpTransaction(mock, { protect });
      const subject = name('CN=device');
      const controls = kind === 'kur' ? { controls: [oldCertId(certificate)] } : {};
      const body =
        kind === 'p10cr' ? p10cr(pkcs10({ subject, key })) : certRequests(kind, requestFor(subject, key, controls));
      const response = await transaction.send(body);
      expect(response.summary).toMatch(/^(ip|cp|kup) accepted$/);
      expect(response.certificate).toEqual(Buffer.from(certificate));
      expect(response.header.recipNonce).toEqual(transaction.senderNonce);
      if (protect.kind === 'mac') expect(response.isProtectedWith(mock.secret)).toBe(true);
      else expect(response.isSignedByFirstExtraCert()).toBe(true);
      const certReqId = kind === 'p10cr' ? -1 : 0;
      expect((await transaction.confirm(response.certificate, { confirmation: { certReqId } })).kind).toBe('pkiconf');
    });

    it('rr and genm', async () => {
      const protect = protections[which]!();
      const { certificate } = mock.answered;
      expect((await new CmpTransaction(mock, { protect }).send(rr({ certificate }))).summary).toBe('rp accepted');
      const genp = await new CmpTransaction(mock, { protect }).send(genm(info(ID_IT.signKeyPairTypes)));
      expect(genp.kind).toBe('genp');
    });
  });

  it('is refused with a wrong secret, and by a changed octet anywhere in header or body', async () => {
    const wrong = passwordBasedMac({ ...mock.secret, secret: 'wrong' });
    const request = certRequests('ir', requestFor('CN=device', mock.answered.key));
    expect((await new CmpTransaction(mock, { protect: wrong }).send(request)).status?.status).toBe('rejection');
    const changed = await new CmpTransaction(mock, { protect: signature(mock.client) }).send(request, {
      protection: (bits) => Buffer.from(bits.map((octet, at) => (at === bits.length - 1 ? octet ^ 1 : octet))),
    });
    expect(changed.status?.status).toBe('rejection');
  });

  it('computes KMAC as NIST SP 800-185 has it', () => {
    // Sample #1 of the KMAC examples NIST publishes: no customisation string, 256 bits.
    const key = Buffer.from(Array.from({ length: 32 }, (_, i) => 0x40 + i));
    expect(
      kmac('KMAC128')
        .compute(key, Buffer.from([0, 1, 2, 3]))
        .toString('hex'),
    ).toBe('e5780b0d3ea6f7d3a429c5706aa43a00fadbd7d49628839e3187243f456ee14e');
  });
});
