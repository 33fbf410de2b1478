import { createPrivateKey, createPublicKey } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encode } from '../../core/asn1/codec.ts';
import { octetString } from '../../core/asn1/schema.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { encodeContentInfo } from '../../core/cms/content-info.ts';
import { CMS_ATTRIBUTE, CONTENT_TYPE } from '../../core/cms/oids.ts';
import { encodeSmimeCapabilities } from '../../core/cms/smime-capabilities.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import type { RequestAttribute } from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { describeKey } from '../../core/authority/profile.ts';
import { type EstFixture, pemOfKey, run, startEst } from '../support/est-fixture.ts';
import { type IssuedCertificate, makeCsr, type TestKeyKind } from '../support/test-pki.ts';
import { type Answer, basic, connection, enroll } from './est-client.ts';

const DECRYPT_KEY_ID = '1.2.840.113549.1.9.16.2.37';
const ASYMMETRIC_DECRYPT_KEY_ID = '1.2.840.113549.1.9.16.2.54';
const AES_256_CBC = '2.16.840.1.101.3.4.1.42';
const AES_128_CBC = '2.16.840.1.101.3.4.1.2';
const RSAES_OAEP = '1.2.840.113549.1.1.7';

describe('server-side key generation (ES-15, ES-16, ES-17, E9)', () => {
  let est: EstFixture;
  const headers = basic('r1', 'keygen-password');

  beforeAll(async () => {
    est = await startEst({
      endpoints: [
        { label: 'only-ec', keyRules: { ec: ['P-384'], edwards: [], mlDsa: [] } },
        { label: 'quantum', keyRules: { ec: [], edwards: [], mlDsa: [65] } },
        { label: 'no-key', keyRules: { ec: [], edwards: [], mlDsa: [] } },
        { label: 'manual', approval: 'manual' },
      ],
    });
    est.credentials.addPassword('keygen-password', 'r1');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  it.each([
    ['serverkeygen', 'rsa-2048', 'RSA 2048'],
    ['serverkeygen', 'ec-p384', 'EC P-384'],
    ['serverkeygen', 'ed25519', 'Ed25519'],
    ['only-ec/serverkeygen', 'rsa-2048', 'EC P-384'],
    ['quantum/serverkeygen', 'ec-p256', 'ML-DSA-65'],
  ] as const)('%s makes for a request with %s a key of %s, and never the same twice', async (path, hint, made) => {
    const { der, privateKey } = makeCsr({ subject: 'CN=made', key: hint });
    const keys = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const answer = await enroll(est, path, der, { headers });
      expect(answer.status).toBe(200);
      const { key, certificate } = keyAndCertificate(answer);
      expect(describeKey(certificate.publicKey.algorithm)).toBe(made);
      const publicKey = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
      const spki = publicKey.export({ format: 'der', type: 'spki' });
      expect(spki).toEqual(Buffer.from(certificate.publicKey.der));
      expect(spki).not.toEqual(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
      keys.add(spki.toString('hex'));
    }
    expect(keys.size).toBe(2);
  });

  it('answers a multipart of key and certificate, in that order, each in base64', async () => {
    const answer = await enroll(est, 'serverkeygen', makeCsr().der, {
      headers: { ...headers, 'User-Agent': 'libest 3.2.0p' },
    });
    expect(answer.headers['Content-Type']).toBe('multipart/mixed; boundary=muster-est-part');
    expect(answer.headers['Content-Length']).toBe(String(answer.body.length));
    const parts = answer.text.split('--muster-est-part');
    expect(parts).toHaveLength(4);
    expect(parts[1]).toMatch(
      /^\r\nContent-Type: application\/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n[A-Za-z0-9+/=\n]+\r\n$/,
    );
    expect(parts[2]).toMatch(
      /^\r\nContent-Type: application\/pkcs7-mime; smime-type=certs-only\r\nContent-Transfer-Encoding: base64\r\n\r\n[A-Za-z0-9+/=\n]+\r\n$/,
    );
    expect(parts[3]).toBe('--\r\n');
  });

  it('ignores the signature of the request (RFC 7030 §4.4.1)', async () => {
    const der = Buffer.from(makeCsr({ subject: 'CN=unsigned' }).der);
    der[der.length - 1]! ^= 1;
    expect((await enroll(est, 'serverkeygen', der, { headers })).status).toBe(200);
    expect(est.hall.requests.at(-1)).toMatchObject({ proofOfPossession: 'server-generated', operation: 'enroll' });
  });

  it('makes no key for whom it does not know, nor where the profile allows none', async () => {
    const { der } = makeCsr();
    expect((await enroll(est, 'serverkeygen', der)).status).toBe(401);
    expect((await enroll(est, 'no-key/serverkeygen', der, { headers })).status).toBe(403);
  });

  it('waits for approval like any enrolment, and then delivers a key with its certificate', async () => {
    const { der } = makeCsr({ subject: 'CN=waits' });
    expect((await enroll(est, 'manual/serverkeygen', der, { headers })).status).toBe(202);
    est.hall.approveAll();
    const { key, certificate } = keyAndCertificate(await enroll(est, 'manual/serverkeygen', der, { headers }));
    const publicKey = createPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
    expect(publicKey.export({ format: 'der', type: 'spki' })).toEqual(Buffer.from(certificate.publicKey.der));
  });

  it.each([
    ['rsa-2048', [AES_256_CBC], 'keyEncipherment', 'aes-256-cbc'],
    ['rsa-2048', [AES_128_CBC, RSAES_OAEP], 'keyEncipherment', 'aes-128-cbc'],
    ['ec-p256', [], 'keyAgreement', 'aes-128-cbc'],
  ] as const)(
    'encrypts for the client certificate (%s, %j): openssl opens it',
    async (kind, capabilities, usage, cipher) => {
      const client = est.issuing.leaf({ subject: 'CN=opens', key: kind, keyUsage: ['digitalSignature', usage] });
      const answer = await askEncrypted(est, client, kind, asymmetric(client, capabilities));
      expect(answer.status).toBe(200);
      expect(answer.text).toContain('Content-Type: application/pkcs7-mime; smime-type=server-generated-key\r\n');
      const { key: enveloped, certificate } = keyAndCertificate(answer);
      const pkcs8 = await openEnveloped(est, client, enveloped, cipher);
      const publicKey = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
      expect(publicKey.export({ format: 'der', type: 'spki' })).toEqual(Buffer.from(certificate.publicKey.der));
    },
  );

  it.each([
    ['a symmetric key', [{ type: DECRYPT_KEY_ID, values: [encode(octetString, Buffer.from('key-1'))] }], 400],
    [
      'the key of nobody',
      [{ type: ASYMMETRIC_DECRYPT_KEY_ID, values: [encode(octetString, new Uint8Array(20))] }],
      400,
    ],
    [
      'a key named by a malformed identifier',
      [{ type: ASYMMETRIC_DECRYPT_KEY_ID, values: [Uint8Array.of(5, 0)] }],
      400,
    ],
  ])('refuses to encrypt under %s and makes no certificate', async (_what, attributes, status) => {
    const client = est.issuing.leaf({ subject: 'CN=refused' });
    const before = est.hall.requests.length;
    expect((await askEncrypted(est, client, 'ec-p256', attributes)).status).toBe(status);
    expect(est.hall.requests).toHaveLength(before);
  });

  it('refuses ciphers that are not known, and keys that may not encrypt', async () => {
    const signs = est.issuing.leaf({ subject: 'CN=signs', keyUsage: ['digitalSignature'] });
    const fits = est.issuing.leaf({ subject: 'CN=fits', keyUsage: ['keyAgreement'] });
    const answers = [
      await askEncrypted(est, signs, 'ec-p256', asymmetric(signs, [AES_128_CBC])),
      await askEncrypted(est, fits, 'ec-p256', asymmetric(fits, ['1.2.840.113549.3.2'])),
    ];
    expect(answers.map(({ status }) => status)).toEqual([400, 400]);
  });

  it('refuses to deliver encrypted what nobody can sign', async () => {
    await using unsigned = await startEst({ withoutSigner: true });
    const client = unsigned.issuing.leaf({ subject: 'CN=opens', key: 'rsa-2048', keyUsage: ['keyEncipherment'] });
    expect((await askEncrypted(unsigned, client, 'rsa-2048', asymmetric(client, []))).status).toBe(501);
  });

  it('logs and remembers no key', async () => {
    const { key } = keyAndCertificate(await enroll(est, 'serverkeygen', makeCsr().der, { headers }));
    const secret = Buffer.from(key).subarray(-40).toString('base64').slice(0, 40);
    expect(est.logged.join('')).not.toContain(secret);
    expect(JSON.stringify(est.hall.requests)).not.toContain(secret);
  });
});

function keyAndCertificate(answer: Answer): { key: Buffer; certificate: ReturnType<typeof parseCertificate> } {
  const [, first, second] = answer.text.split('--muster-est-part');
  const content = (part: string | undefined): Buffer => Buffer.from(part?.split('\r\n\r\n')[1] ?? '', 'base64');
  const [der] = decodeCertsOnly(content(second)).certificates;
  return { key: content(first), certificate: parseCertificate(der!) };
}

function asymmetric({ certificate }: IssuedCertificate, capabilities: readonly string[]): RequestAttribute[] {
  const keyId = EXTENSIONS.subjectKeyIdentifier.find(certificate.extensions)!;
  const supported = encodeSmimeCapabilities(capabilities.map((algorithm) => ({ algorithm })));
  return [
    { type: ASYMMETRIC_DECRYPT_KEY_ID, values: [encode(octetString, keyId)] },
    ...(capabilities.length === 0 ? [] : [{ type: CMS_ATTRIBUTE.smimeCapabilities, values: [supported] }]),
  ];
}

async function askEncrypted(
  est: EstFixture,
  client: IssuedCertificate,
  key: TestKeyKind,
  attributes: readonly RequestAttribute[],
): Promise<Answer> {
  const agent = connection(est, client);
  const { subject } = client.certificate;
  const answer = await enroll(est, 'serverkeygen', makeCsr({ subject, key, attributes }).der, { agent });
  agent.destroy();
  return answer;
}

/** EnvelopedData → SignedData → AsymmetricKeyPackage → PrivateKeyInfo, by openssl. */
async function openEnveloped(
  est: EstFixture,
  client: IssuedCertificate,
  enveloped: Uint8Array,
  cipher: string,
): Promise<Buffer> {
  const certificate = await est.file('client.pem', encodePem('CERTIFICATE', client.der));
  const key = await est.file('client.key', pemOfKey(client.privateKey));
  const message = await est.file('enveloped.der', enveloped);
  const printed = await run('openssl', ['cms', '-cmsout', '-print', '-inform', 'DER', '-in', message]);
  expect(printed.stdout.toString()).toContain(`algorithm: ${cipher}`);
  const opened = await run('openssl', [
    'cms',
    '-decrypt',
    '-binary',
    '-inform',
    'DER',
    '-in',
    message,
    '-recip',
    certificate,
    '-inkey',
    key,
  ]);
  expect(opened.stderr).toBe('');
  const contentInfo = encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content: opened.stdout });
  const signed = await est.file('signed.der', contentInfo);
  const anchors = await est.file(
    'anchors.pem',
    [est.root, est.issuing].map(({ der }) => encodePem('CERTIFICATE', der)).join(''),
  );
  const check = ['-inform', 'DER', '-in', signed, '-purpose', 'any', '-CAfile', anchors];
  const verified = await run('openssl', ['cms', '-verify', '-binary', ...check]);
  expect(verified.stderr).toMatch(/success/i);
  return keyOf(verified.stdout);
}

/** AsymmetricKeyPackage ::= SEQUENCE OF OneAsymmetricKey, with one key. */
function keyOf(keyPackage: Buffer): Buffer {
  const lengthOctets = keyPackage[1]! < 0x80 ? 0 : keyPackage[1]! & 0x7f;
  return keyPackage.subarray(2 + lengthOctets);
}
