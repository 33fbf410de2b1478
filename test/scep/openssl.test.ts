import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encodePem } from '../../core/x509/pem.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { commonNames } from '../../core/x509/name.ts';
import { pemOfKey } from '../support/est-fixture.ts';
import { makeKey } from '../support/test-pki.ts';
import { buildMessage, OID } from './device.ts';
import { type Device, ScepSite } from './scep-site.ts';

const run = promisify(execFile);

/** OpenSSL's cms as the device's other half: it encrypts what the server opens, and opens and verifies what it answers. */
describe('with openssl cms', () => {
  let site: ScepSite;
  let folder: string;
  let ra: string;
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: string[]) => run('openssl', args, { encoding: 'buffer', timeout: 20_000 });

  beforeAll(async () => {
    site = await ScepSite.start();
    folder = await mkdtemp(join(tmpdir(), 'muster-scep-'));
    ra = file('ra.pem');
    await writeFile(ra, encodePem('CERTIFICATE', await site.recipient()));
    const { body } = await site.get('default?operation=GetCACert');
    await writeFile(file('ca.p7b'), body);
    const { stdout } = await openssl('pkcs7', '-inform', 'DER', '-in', file('ca.p7b'), '-print_certs');
    await writeFile(file('ca.pem'), stdout);
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function answerTo(device: Device, cipher: string, ...options: string[]): Promise<void> {
    await writeFile(file('request.der'), device.content);
    await openssl(
      'cms',
      '-encrypt',
      cipher,
      '-binary',
      '-in',
      file('request.der'),
      '-outform',
      'DER',
      '-out',
      file('env'),
      ...options,
    );
    const envelope = new Uint8Array(await readFile(file('env')));
    const message = await buildMessage({ ...device, envelope, recipient: await site.recipient() });
    const { status, body } = await site.call('default?operation=PKIOperation', { method: 'POST', body: message });
    expect(status).toBe(200);
    await writeFile(file('answer'), body);
    await writeFile(file('device.pem'), encodePem('CERTIFICATE', device.signer.der));
    await writeFile(file('device.key'), pemOfKey(device.signer.privateKey));
  }

  it.each([
    ['-aes-128-cbc', 'aes-128-cbc', [], []],
    ['-aes-256-cbc', 'aes-256-cbc', [], ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256']],
    ['-des3', 'des-ede3-cbc', ['-stream', '-indef'], []],
  ])('opens what it encrypts with %s, and is understood', async (option, name, form, padding) => {
    const device = await site.device(`ossl${option}`);
    await answerTo(device, option, ...form, '-recip', ra, ...padding);
    // The certificate of the RA leads to the root, and may sign messages.
    await openssl(
      'cms',
      '-verify',
      '-inform',
      'DER',
      '-in',
      file('answer'),
      '-CAfile',
      file('ca.pem'),
      '-purpose',
      'smimesign',
      '-binary',
      '-out',
      file('inner'),
    );
    const printed = await openssl('cms', '-cmsout', '-print', '-inform', 'DER', '-in', file('inner'));
    expect(printed.stdout.toString()).toContain(`algorithm: ${name}`);
    await openssl(
      'cms',
      '-decrypt',
      '-inform',
      'DER',
      '-in',
      file('inner'),
      '-inkey',
      file('device.key'),
      '-recip',
      file('device.pem'),
      '-binary',
      '-out',
      file('certs'),
    );
    const { stdout } = await openssl('pkcs7', '-inform', 'DER', '-in', file('certs'), '-print_certs');
    expect(stdout.toString()).toContain(`CN = ossl${option}`);
  });

  it('names SCEP attributes as it prints them', async () => {
    const device = await site.device('printed');
    await answerTo(device, '-aes-128-cbc', '-recip', ra);
    const { stdout } = await openssl('asn1parse', '-inform', 'DER', '-in', file('answer'));
    const lines = stdout.toString().split('\n');
    for (const [type, tag] of [
      [OID.messageType, 'PRINTABLESTRING'],
      [OID.pkiStatus, 'PRINTABLESTRING'],
      [OID.transactionID, 'PRINTABLESTRING'],
      [OID.senderNonce, 'OCTET STRING'],
      [OID.recipientNonce, 'OCTET STRING'],
    ]) {
      const at = lines.findIndex((line) => line.endsWith(`:${type}`));
      expect(lines.slice(at + 1, at + 3).join('\n')).toContain(`prim: ${tag}`);
    }
  });

  it('makes a request with a P-256 key that is enrolled', async () => {
    const key = makeKey('ec-p256');
    const device = await site.device('ec', 'default', { key });
    await answerTo(device, '-aes-128-cbc', '-recip', ra);
    await openssl(
      'cms',
      '-verify',
      '-inform',
      'DER',
      '-in',
      file('answer'),
      '-CAfile',
      file('ca.pem'),
      '-binary',
      '-out',
      file('inner'),
    );
    await openssl(
      'cms',
      '-decrypt',
      '-inform',
      'DER',
      '-in',
      file('inner'),
      '-pwri_password',
      device.challenge,
      '-binary',
      '-out',
      file('certs'),
    );
    const { stdout } = await openssl(
      'pkcs7',
      '-inform',
      'DER',
      '-in',
      file('certs'),
      '-print_certs',
      '-outform',
      'PEM',
    );
    const pem = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(stdout.toString())![1]!;
    expect(commonNames(parseCertificate(new Uint8Array(Buffer.from(pem, 'base64'))).subject)).toEqual(['ec']);
  });
});
