import { createPublicKey, sign, verify } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { encode } from '../../core/asn1/codec.ts';
import { printableString } from '../../core/asn1/schema.ts';
import { attribute, signingTime, signingTimeAttribute, singleValue } from '../../core/cms/attribute.ts';
import { CmsError } from '../../core/cms/cms-error.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { buildSignedData, parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import type { CmsSigner, VerifySignedDataOptions } from '../../core/cms/signed-data.ts';
import type { SignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { TestAuthority, signWith } from '../support/test-pki.ts';
import type { IssuedCertificate, TestKeyKind } from '../support/test-pki.ts';
import { CommandPeer, hex } from './openssl-peer.ts';

const content = Buffer.from('content that is signed\n');
const authority = TestAuthority.root();
const holders = new Map<TestKeyKind, IssuedCertificate>();
const peer = new CommandPeer();
afterAll(() => peer[Symbol.dispose]());

function holder(key: TestKeyKind): IssuedCertificate {
  const known = holders.get(key) ?? authority.leaf({ key, subject: `CN=${key}`, eku: ['1.3.6.1.5.5.7.3.4'] });
  holders.set(key, known);
  return known;
}

function signer(key: TestKeyKind, signatureAlgorithm: SignatureAlgorithm, options: Partial<CmsSigner> = {}): CmsSigner {
  const { der, privateKey } = holder(key);
  return {
    certificate: der,
    signatureAlgorithm,
    sign: async (data) => signWith(privateKey, signatureAlgorithm, data),
    ...options,
  };
}

function opensslAccepts(message: Uint8Array, extra: readonly string[] = []): boolean {
  const ca = peer.certificate(authority.der);
  const args = ['-verify', '-binary', '-inform', 'DER', '-in', peer.file(message), '-CAfile', ca, ...extra];
  return Buffer.from(peer.cms(args)).equals(content);
}

function opensslSigns(key: TestKeyKind, extra: readonly string[] = []): Uint8Array {
  const { der, privateKey } = holder(key);
  const files = ['-signer', peer.certificate(der), '-inkey', peer.privateKey(privateKey), '-in', peer.file(content)];
  return peer.cms(['-sign', '-binary', '-nodetach', '-outform', 'DER', ...files, ...extra]);
}

function findingOf(message: Uint8Array, options?: VerifySignedDataOptions): string {
  const verdict = verifySignedData(parseSignedData(message), options);
  return verdict.ok ? 'ok' : verdict.finding;
}

describe('buildSignedData', () => {
  const cases: readonly [TestKeyKind, SignatureAlgorithm, Partial<CmsSigner>?][] = [
    ['rsa-2048', 'sha256WithRSAEncryption'],
    ['rsa-2048', 'sha512WithRSAEncryption', { rsaIdentifier: 'specific' }],
    ['rsa-2048', 'rsassa-pss-sha256'],
    ['ec-p256', 'ecdsa-with-SHA256', { identifiedBy: 'subjectKeyIdentifier' }],
    ['ec-p384', 'ecdsa-with-SHA384'],
    ['ec-p521', 'ecdsa-with-SHA512'],
  ];
  it.each(cases)('openssl verifies %s with %s', async (key, algorithm, options) => {
    const message = await buildSignedData({
      content,
      signer: signer(key, algorithm, options),
      signedAttributes: [signingTimeAttribute(new Date())],
    });
    expect(opensslAccepts(message)).toBe(true);
    expect(findingOf(message)).toBe('ok');
  });

  it.each(['md5', 'sha1'] as const)('mirrors a client that knows only %s', async (digest) => {
    const { der, privateKey } = holder('rsa-2048');
    const message = await buildSignedData({
      content,
      signer: {
        certificate: der,
        signatureAlgorithm: `${digest}WithRSAEncryption`,
        sign: async (data) => sign(digest, data, privateKey),
      },
    });
    expect(opensslAccepts(message)).toBe(true);
    expect(findingOf(message)).toBe('digest-not-accepted');
    expect(findingOf(message, { digests: [digest] })).toBe('ok');
  });

  it('writes rsaEncryption as signature algorithm unless told otherwise', async () => {
    const general = await buildSignedData({ content, signer: signer('rsa-2048', 'sha256WithRSAEncryption') });
    expect(hex(parseSignedData(general).signerInfos[0]!.signatureAlgorithm)).toBe('300d06092a864886f70d0101010500');
    const specific = signer('rsa-2048', 'sha256WithRSAEncryption', { rsaIdentifier: 'specific' });
    const message = await buildSignedData({ content, signer: specific });
    expect(hex(parseSignedData(message).signerInfos[0]!.signatureAlgorithm)).toBe('300d06092a864886f70d01010b0500');
  });

  it('certtool verifies Ed25519 (RFC 8419)', async () => {
    const message = await buildSignedData({ content, signer: signer('ed25519', 'ed25519') });
    const ca = peer.certificate(authority.der);
    const args = ['--p7-verify', '--inder', '--infile', peer.file(message), '--load-ca-certificate', ca];
    expect(peer.succeeds('certtool', args)).toBe(true);
    const broken = new Uint8Array(message);
    broken[broken.length - 1]! ^= 1;
    args[3] = peer.file(broken);
    expect(peer.succeeds('certtool', args)).toBe(false);
  });

  it.each(['ed448', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const)(
    'signs with %s over the attributes as a SET',
    async (key) => {
      const message = await buildSignedData({ content, signer: signer(key, key) });
      expect(findingOf(message)).toBe('ok');
      const { signedAttributesDer, signature } = parseSignedData(message).signerInfos[0]!;
      expect(signedAttributesDer![0]).toBe(0x31);
      expect(verify(null, signedAttributesDer!, createPublicKey(holder(key).privateKey), signature)).toBe(true);
    },
  );

  it('leaves ML-DSA a choice of digests no weaker than the key (RFC 9882)', async () => {
    const allowed = await buildSignedData({ content, signer: signer('ml-dsa-65', 'ml-dsa-65', { digest: 'sha384' }) });
    expect(findingOf(allowed)).toBe('ok');
    const weak = buildSignedData({ content, signer: signer('ml-dsa-65', 'ml-dsa-65', { digest: 'sha256' }) });
    await expect(weak).rejects.toThrow(CmsError);
  });

  it('carries attributes, another content type, certificates and CRLs', async () => {
    const transactionId = attribute('2.16.840.1.113733.1.9.7', encode(printableString, 'abc'));
    const at = new Date('2026-11-22T10:00:00.750Z');
    const message = await buildSignedData({
      content,
      contentType: CONTENT_TYPE.asymmetricKeyPackage,
      signer: signer('ec-p256', 'ecdsa-with-SHA256'),
      signedAttributes: [transactionId, signingTimeAttribute(at)],
      certificates: [authority.der, holder('ec-p256').der],
      crls: [authority.crl()],
    });
    const verdict = verifySignedData(parseSignedData(message));
    expect(verdict).toMatchObject({ ok: true, contentType: CONTENT_TYPE.asymmetricKeyPackage, digest: 'sha256' });
    const attributes = verdict.ok ? verdict.signedAttributes : [];
    expect(singleValue(attributes, transactionId.type)).toEqual(transactionId.values[0]);
    expect(signingTime(attributes)).toEqual(new Date('2026-11-22T10:00:00.000Z'));
    expect(opensslAccepts(message, ['-crl_check'])).toBe(true);
  });

  it('detaches the content', async () => {
    const message = await buildSignedData({ content, detached: true, signer: signer('ec-p256', 'ecdsa-with-SHA256') });
    expect(opensslAccepts(message, ['-content', peer.file(content)])).toBe(true);
    expect(findingOf(message)).toBe('content-absent');
    expect(findingOf(message, { detachedContent: content })).toBe('ok');
  });

  it('carries what is not signed beside the signature: openssl accepts it', async () => {
    const counterSignature = attribute('1.2.3.4', encode(printableString, 'unsigned'));
    const template = { content, signer: signer('ec-p256', 'ecdsa-with-SHA256') };
    const message = await buildSignedData({ ...template, unsignedAttributes: [counterSignature] });
    expect(opensslAccepts(message)).toBe(true);
    expect(hex(message)).toContain(hex(encode(printableString, 'unsigned')));
    expect(findingOf(message)).toBe('ok');
  });

  it('signs no attribute twice, which a verifier would read as it likes', async () => {
    const at = signingTimeAttribute(new Date());
    const template = { content, signer: signer('ec-p256', 'ecdsa-with-SHA256') };
    await expect(buildSignedData({ ...template, signedAttributes: [at, at] })).rejects.toMatchObject({
      fault: 'invalid-argument',
      expected: 'each signed attribute once',
      found: 'one twice',
    });
  });

  it('passes on what the key throws', async () => {
    const down = new TypeError('token down');
    const broken = signer('ec-p256', 'ecdsa-with-SHA256', { sign: () => Promise.reject(down) });
    await expect(buildSignedData({ content, signer: broken })).rejects.toBe(down);
  });
});

describe('verifySignedData', () => {
  it.each<[TestKeyKind, readonly string[]]>([
    ['rsa-2048', []],
    ['rsa-2048', ['-md', 'sha384']],
    ['rsa-2048', ['-keyopt', 'rsa_padding_mode:pss', '-keyopt', 'rsa_pss_saltlen:digest']],
    ['rsa-2048', ['-keyid']],
    ['ec-p256', []],
    ['ec-p384', ['-md', 'sha384', '-keyid']],
    ['ec-p521', ['-md', 'sha512', '-nosmimecap']],
  ])('accepts what openssl signs with %s %j', (key, extra) => {
    const verdict = verifySignedData(parseSignedData(opensslSigns(key, extra)));
    expect(verdict).toMatchObject({ ok: true, contentType: CONTENT_TYPE.data });
    if (!verdict.ok) return;
    expect(hex(verdict.content)).toBe(hex(content));
    expect(hex(verdict.signerCertificate)).toBe(hex(holder(key).der));
  });

  it('accepts BER: indefinite lengths and constructed strings', () => {
    const message = opensslSigns('rsa-2048', ['-stream']);
    expect(message[1]).toBe(0x80);
    expect(findingOf(message)).toBe('ok');
  });

  it('accepts Ed25519 by certtool', () => {
    const { der, privateKey } = holder('ed25519');
    const files = ['--load-certificate', peer.certificate(der), '--load-privkey', peer.privateKey(privateKey)];
    const out = ['--infile', peer.file(content), '--outder', '--p7-include-cert', '--p7-time'];
    expect(findingOf(peer.run('certtool', ['--p7-sign', ...files, ...out]))).toBe('ok');
  });

  it('accepts old digests only where the caller names them', () => {
    for (const digest of ['sha1', 'md5'] as const) {
      const message = opensslSigns('rsa-2048', ['-md', digest]);
      expect(findingOf(message)).toBe('digest-not-accepted');
      expect(findingOf(message, { digests: [digest] })).toBe('ok');
    }
  });

  it('accepts a signature over the content itself only where the caller allows it', () => {
    const message = opensslSigns('ec-p256', ['-noattr']);
    expect(findingOf(message)).toBe('signed-attributes-absent');
    expect(findingOf(message, { signedAttributes: 'optional' })).toBe('ok');
  });

  it('looks among given certificates instead of the message’s, never in both', () => {
    const bare = opensslSigns('ec-p256', ['-nocerts']);
    expect(findingOf(bare)).toBe('signer-certificate-absent');
    expect(findingOf(bare, { signerCertificates: [holder('ec-p256').der] })).toBe('ok');
    const full = opensslSigns('ec-p256');
    expect(findingOf(full, { signerCertificates: [holder('ec-p384').der] })).toBe('signer-certificate-absent');
  });
});
