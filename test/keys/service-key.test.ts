import { execFileSync } from 'node:child_process';
import { randomBytes, publicEncrypt, constants } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KeyStore, type TokenKey, openKeyStore } from '../../core/keys/key-store.ts';
import { openServiceKey } from '../../core/keys/service-key.ts';
import {
  type Certificate,
  assembleSigned,
  encodeTbsCertificate,
  parseCertificate,
} from '../../core/x509/certificate.ts';
import { EXTENSIONS, type Extension, type KeyUsageBit } from '../../core/x509/extensions.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';

const TENANT = { tenant: 'a' };
const nobody = { isAuthorityKey: () => false };

describe('service keys', () => {
  let softHsm: PrivateSoftHsm;
  let store: KeyStore;
  let key: TokenKey;
  const make = (algorithm: 'ec-p256' | 'rsa-2048', usage: 'sign' | 'decrypt' = 'sign'): Promise<TokenKey> =>
    store.generate({ token: softHsm.label, algorithm, label: randomBytes(8).toString('hex'), usage });

  beforeAll(async () => {
    softHsm = await privateSoftHsm();
    store = await openKeyStore([softHsm]);
    key = await make('ec-p256');
  });
  afterAll(async () => {
    await store.close();
    await softHsm.remove();
  });

  it('sign with the algorithm that fits, and are what openssl verifies', async () => {
    const certificate = await selfSigned(key, [usage('digitalSignature')]);
    const service = await openServiceKey(store, key.uri, certificate, nobody);
    expect(service).toMatchObject({ certificate, signatureAlgorithm: 'ecdsa-with-SHA256' });
    const files = { certificate: certificate.der, data: Buffer.from('an OCSP response'), signature: Buffer.alloc(0) };
    files.signature = Buffer.from(await service.sign(files.data, TENANT));
    const path = (name: keyof typeof files): string => join(softHsm.directory, name);
    for (const name of ['certificate', 'data', 'signature'] as const) writeFileSync(path(name), files[name]);
    const publicKey = execFileSync('openssl', [
      'x509',
      '-inform',
      'DER',
      '-in',
      path('certificate'),
      '-pubkey',
      '-noout',
    ]);
    writeFileSync(join(softHsm.directory, 'key.pem'), publicKey);
    const verify = [
      'dgst',
      '-sha256',
      '-verify',
      join(softHsm.directory, 'key.pem'),
      '-signature',
      path('signature'),
      path('data'),
    ];
    expect(execFileSync('openssl', verify, { encoding: 'utf8' })).toContain('Verified OK');
  });

  it('need no certificate where those who verify know the key', async () => {
    const service = await openServiceKey(store, key.uri, undefined, nobody);
    expect(service.certificate).toBeUndefined();
    expect(await service.sign(Buffer.from('checkpoint'), { ...TENANT, algorithm: 'ecdsa-with-SHA384' })).toBeInstanceOf(
      Uint8Array,
    );
  });

  it('decrypt', async () => {
    const decrypting = await make('rsa-2048', 'decrypt');
    const service = await openServiceKey(store, decrypting.uri, undefined, nobody);
    const pem = `-----BEGIN PUBLIC KEY-----\n${Buffer.from(service.publicKey.der).toString('base64')}\n-----END PUBLIC KEY-----`;
    const contentKey = randomBytes(24);
    const ciphertext = publicEncrypt({ key: pem, padding: constants.RSA_PKCS1_PADDING }, contentKey);
    expect(Buffer.from(await service.decryptRsa('pkcs1', ciphertext, { ...TENANT, length: 24 }))).toEqual(contentKey);
  });

  it.each<[string, Extension[]]>([
    ['basicConstraints cA', [EXTENSIONS.basicConstraints.encode({ cA: true })]],
    ['keyCertSign', [usage('digitalSignature', 'keyCertSign')]],
    ['cRLSign', [usage('cRLSign')]],
  ])('are not opened on a certificate with %s', async (_what, extensions) => {
    const certificate = await selfSigned(key, extensions);
    await expect(openServiceKey(store, key.uri, certificate, nobody)).rejects.toMatchObject({ reason: 'internal' });
  });

  it('are not opened on the key of an authority, whatever its certificate says', async () => {
    const certificate = await selfSigned(key, [usage('digitalSignature')]);
    const asked: string[] = [];
    const authorities = { isAuthorityKey: async (hash: string) => asked.push(hash) > 0 };
    for (const shown of [certificate, undefined]) {
      await expect(openServiceKey(store, key.uri, shown, authorities)).rejects.toThrow('belongs to an authority');
    }
    expect(asked).toEqual([spkiSha256(key.publicKey), spkiSha256(key.publicKey)]);
  });

  it('are not opened with the certificate of another key', async () => {
    const certificate = await selfSigned(await make('ec-p256'), [usage('digitalSignature')]);
    await expect(openServiceKey(store, key.uri, certificate, nobody)).rejects.toThrow('not one of the key');
  });
});

function usage(...bits: KeyUsageBit[]): Extension {
  return EXTENSIONS.keyUsage.encode(new Set(bits));
}

async function selfSigned(key: TokenKey, extensions: Extension[]): Promise<Certificate> {
  const signatureAlgorithm = defaultSignatureAlgorithm(key.publicKey.algorithm);
  const name = nameFromText('CN=service');
  const validity = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2036-01-01T00:00:00Z') };
  const serialNumber = parseSerialNumber('01');
  const { publicKey } = key;
  const tbs = encodeTbsCertificate({
    serialNumber,
    signatureAlgorithm,
    issuer: name,
    validity,
    subject: name,
    publicKey,
    extensions,
  });
  return parseCertificate(assembleSigned(tbs, signatureAlgorithm, await key.sign(signatureAlgorithm, tbs, TENANT)));
}
