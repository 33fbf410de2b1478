// @peculiar/x509 needs it loaded first.
import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import * as peculiar from '@peculiar/x509';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { afterAll, describe, expect, it } from 'vitest';

import { CaKey, caKeyOf } from '../../core/authority/ca-key.ts';
import { Linted, lintCertificate } from '../../core/authority/lint.ts';
import { prepareCertificate } from '../../core/authority/prepare.ts';
import { DEVICE_PROFILE } from '../../core/authority/profile.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { assembleSigned, encodeTbsCertificate, parseCertificate } from '../../core/x509/certificate.ts';
import { generalNameFromText } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, nameFromText } from '../../core/x509/name.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { makeKey, publicKeyOf, type TestKeyKind } from '../support/test-pki.ts';
import { Scratch, tryOpenssl } from '../x509/openssl.ts';
import { type TestIssuer, testIssuer } from './issuer.ts';

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

function prepared(issuer: TestIssuer, key: TestKeyKind = 'ec-p256', isNameless = false): Linted {
  const request = {
    subject: isNameless ? EMPTY_NAME : nameFromText('CN=router1,O=Example\\, Inc.'),
    subjectAltName: ['dns:router1.example', 'ip:2001:db8::1', 'uri:urn:dev:1'].map(generalNameFromText),
    requestedExtensions: [],
    publicKey: publicKeyOf(makeKey(key)),
  };
  return prepareCertificate(DEVICE_PROFILE, issuer, request, Date.now());
}

describe('CaKey', () => {
  it('does not take what was not linted: not for the compiler, and not at run time', async () => {
    const { caKey, keys } = await testIssuer();
    const linted = prepared(await testIssuer());
    // @ts-expect-error bytes are no linted certificate
    await expect(caKey.signCertificate(linted.certificate.tbsDer, 't')).rejects.toThrow();
    // @ts-expect-error neither is what looks like one
    await expect(caKey.signCertificate({ certificate: linted.certificate }, 't')).rejects.toThrow();
    const { certificate } = linted;
    // @ts-expect-error not even one with the method
    await expect(caKey.signCertificate({ certificate, redeem: () => certificate.tbsDer }, 't')).rejects.toThrow();
    // @ts-expect-error the key to the constructor stays in its module
    expect(() => new Linted(Symbol('linted'), linted.certificate)).toThrow('only lint makes');
    // The root's own certificate was the only thing this token ever signed.
    expect(keys.signed).toHaveLength(1);
  });

  it('signs what is linted once', async () => {
    const issuer = await testIssuer();
    const linted = prepared(issuer);
    const certificate = parseCertificate(await issuer.caKey.signCertificate(linted, 't'));
    expect(certificate.tbsDer).toEqual(linted.certificate.tbsDer);
    await expect(issuer.caKey.signCertificate(linted, 't')).rejects.toMatchObject({ name: 'InternalError' });
    expect(issuer.keys.signed).toHaveLength(2);
  });

  it('lets no signature out that does not verify', async () => {
    for (const algorithm of ['ec-p256', 'rsa-2048', 'ed25519'] as const) {
      const issuer = await testIssuer(algorithm);
      issuer.keys.fault = 'wrong-signature';
      const failure = issuer.caKey.signCertificate(prepared(issuer), 't');
      await expect(failure, algorithm).rejects.toMatchObject({ reason: 'hsm-unavailable' });
    }
  });

  it('refuses a certificate that names another algorithm, and leaves it unsigned', async () => {
    const issuer = await testIssuer();
    const linted = prepared({ ...issuer, signatureAlgorithm: 'ecdsa-with-SHA384' });
    await expect(issuer.caKey.signCertificate(linted, 't')).rejects.toMatchObject({ name: 'InternalError' });
    expect(issuer.keys.signed).toHaveLength(1);
    expect(linted.redeem()).toBe(linted.certificate.tbsDer);
  });

  it('is refused where the token’s key is not the certificate’s', async () => {
    const [one, other] = [await testIssuer(), await testIssuer()];
    const key = await one.keys.open(parseKeyUri(one.row.key_uri).uri);
    expect(() => caKeyOf(key, other.publicKey, 'ecdsa-with-SHA256')).toThrow('not the key of the CA certificate');
    expect(caKeyOf(key, one.publicKey, 'ecdsa-with-SHA256')).toBeInstanceOf(CaKey);
  });

  it('passes on that the token is away', async () => {
    const issuer = await testIssuer();
    issuer.keys.fault = 'away';
    await expect(issuer.caKey.signCertificate(prepared(issuer), 't')).rejects.toMatchObject({
      reason: 'hsm-unavailable',
    });
  });
});

describe('what is issued', () => {
  const issuers = ['ec-p256', 'ec-p384', 'rsa-2048', 'ed25519'] as const;
  const devices = ['ec-p256', 'ec-p521', 'rsa-3072', 'ed25519'] as const;

  it.each(
    issuers.flatMap((ca, index) => [
      { ca, device: devices[index]!, isNameless: index % 2 === 1 },
      { ca, device: 'ec-p384' as const, isNameless: false },
    ]),
  )(
    'by $ca for $device (no subject: $isNameless) satisfies openssl, pkijs, @peculiar/x509 and Node, byte for byte',
    async ({ ca, device, isNameless }) => {
      const issuer = await testIssuer(ca);
      const der = await issuer.caKey.signCertificate(prepared(issuer, device, isNameless), 't');
      const root = scratch.file('root.pem', encodePem('CERTIFICATE', issuer.certificate.der));
      const file = scratch.file('device.pem', encodePem('CERTIFICATE', der));
      expect(
        tryOpenssl(['verify', '-x509_strict', '-check_ss_sig', '-purpose', 'sslclient', '-CAfile', root, file]),
      ).toEqual({
        ok: true,
        output: `${file}: OK\n`,
      });
      expect(new X509Certificate(der).verify(new X509Certificate(issuer.certificate.der).publicKey)).toBe(true);
      const pki = new pkijs.Certificate({ schema: asn1js.fromBER(der.slice().buffer).result });
      expect(new Uint8Array(pki.toSchema(true).toBER())).toEqual(new Uint8Array(der));
      expect(new Uint8Array(new peculiar.X509Certificate(der).rawData)).toEqual(new Uint8Array(der));

      const parsed = parseCertificate(der);
      const { notBefore, notAfter } = parsed;
      const again = encodeTbsCertificate({ ...parsed, validity: { notBefore, notAfter } });
      expect(assembleSigned(again, parsed.signatureAlgorithm, parsed.signature)).toEqual(der);
    },
  );

  it('passes lint again as it stands', async () => {
    const issuer = await testIssuer();
    const { certificate } = prepared(issuer);
    expect(lintCertificate(certificate.tbsDer, issuer, DEVICE_PROFILE).certificate).toEqual(certificate);
  });
});
