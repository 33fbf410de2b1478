import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../../core/asn1/codec.ts';
import { octetString, sequence, sequenceOf, any } from '../../../core/asn1/schema.ts';
import { buildSignedData } from '../../../core/cms/build-signed-data.ts';
import { subjectPublicKeyInfoSchema, type SubjectPublicKeyInfo } from '../../../core/x509/public-key.ts';
import { idevidVerifier } from '../../../devices/attestation/idevid/verifier.ts';
import { appraisalContext, type ContextOptions, testAnchor } from '../../fakes/appraisal-context.ts';
import { type FactoryDevice, type FactoryDeviceFiles, TestManufacturer } from '../../fakes/test-manufacturer.ts';
import { makeKey, publicKeyOf, signWith } from '../../support/test-pki.ts';

const run = promisify(execFile);
const proofContent = sequence('IdevidProof', { nonce: octetString, publicKey: subjectPublicKeyInfoSchema });

let folder: string;
let maker: TestManufacturer;
let device: FactoryDevice;
let files: FactoryDeviceFiles;
const nonce = new Uint8Array(randomBytes(32));
const wanted = publicKeyOf(makeKey());

beforeAll(async () => {
  folder = await mkdtemp(join('/tmp', 'idevid-'));
  maker = new TestManufacturer();
  device = maker.device('SN-77');
  files = await maker.writeFiles(device, folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the test manufacturer', () => {
  it('makes chains that openssl verifies', async () => {
    const { stdout } = await run('openssl', [
      'verify',
      '-CAfile',
      files.root,
      '-untrusted',
      files.intermediate,
      files.certificate,
    ]);
    expect(stdout).toContain('idevid.pem: OK');
  });
});

describe('an IDevID with proof', () => {
  it('attests the key that its own key signed for, as openssl cms writes it', async () => {
    const content = join(folder, 'proof.der');
    await writeFile(content, proofOf(nonce, wanted));
    const message = join(folder, 'proof.cms');
    const signing = [
      '-sign',
      '-binary',
      '-nodetach',
      '-signer',
      files.certificate,
      '-inkey',
      files.key,
      '-certfile',
      files.intermediate,
    ];
    await run('openssl', ['cms', ...signing, '-in', content, '-outform', 'DER', '-out', message]);
    const evidence = await appraise(new Uint8Array(await readFile(message)));
    expect(evidence.attestedPublicKey!.der).toEqual(wanted.der);
    expect(evidence.identifiers).toMatchObject({ 'serial-number': 'SN-77' });
  });

  it('is fresh once, or for what the carrier expects', async () => {
    const message = await signed();
    const context = contextOf();
    await idevidVerifier().appraise(message, context);
    await expect(idevidVerifier().appraise(message, context)).rejects.toMatchObject({ code: 'nonce-not-ours' });
    await expect(appraise(message, { nonce })).resolves.toBeDefined();
    await expect(appraise(message, { nonce: new Uint8Array(32) })).rejects.toMatchObject({ code: 'nonce-mismatch' });
  });

  it('is refused as a bare chain: certificates are public', async () => {
    const bare = encode(sequenceOf(any), device.chain);
    await expect(appraise(bare)).rejects.toMatchObject({ code: 'idevid-malformed' });
    await expect(appraise(device.idevid.der)).rejects.toMatchObject({ code: 'idevid-malformed' });
  });

  it('is refused where another key signed, or another maker vouches', async () => {
    const stranger = new TestManufacturer({ name: 'Other' }).device('SN-77');
    await expect(appraise(await signed(stranger))).rejects.toMatchObject({ code: 'idevid-unknown' });
    const message = await signed(device, makeKey());
    await expect(appraise(message)).rejects.toMatchObject({
      code: 'idevid-proof-invalid',
      detail: expect.stringContaining('signature-invalid'),
    });
  });

  it('is refused with other content', async () => {
    const text = await signed(device, device.idevid.privateKey, Buffer.from('hello'));
    await expect(appraise(text)).rejects.toMatchObject({ code: 'idevid-malformed' });
    const typed = await signed(device, device.idevid.privateKey, proofOf(nonce, wanted), '1.2.840.113549.1.9.16.1.4');
    await expect(appraise(typed)).rejects.toMatchObject({ code: 'idevid-malformed' });
    await expect(appraise(new Uint8Array(70_000))).rejects.toMatchObject({ code: 'idevid-malformed' });
  });
});

function proofOf(freshFor: Uint8Array, publicKey: SubjectPublicKeyInfo): Uint8Array {
  return encode(proofContent, { nonce: freshFor, publicKey });
}

function signed(
  by: FactoryDevice = device,
  key = by.idevid.privateKey,
  content = proofOf(nonce, wanted),
  contentType?: string,
): Promise<Uint8Array> {
  return buildSignedData({
    ...(contentType === undefined ? {} : { contentType }),
    content,
    certificates: by.chain,
    signer: {
      certificate: by.idevid.der,
      signatureAlgorithm: 'ecdsa-with-SHA256',
      sign: async (data) => signWith(key, 'ecdsa-with-SHA256', data),
    },
  });
}

function contextOf(options: ContextOptions = {}): ReturnType<typeof appraisalContext> {
  return appraisalContext({ issued: [nonce], anchors: [testAnchor('idevid', maker.root.certificate)], ...options });
}

function appraise(
  message: Uint8Array,
  options: ContextOptions = {},
): ReturnType<ReturnType<typeof idevidVerifier>['appraise']> {
  return idevidVerifier().appraise(message, contextOf(options));
}
