import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InternalError } from '../../core/errors/muster-error.ts';
import { openKeyStore } from '../../core/keys/key-store.ts';
import { formatKeyUri } from '../../core/keys/key-uri.ts';
import { provisionSoftHsm } from '../../core/keys/softhsm.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';

const DATA = Buffer.from('to be signed');

describe('a SoftHSM of its own', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'softhsm-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is made once, readable by its owner alone', async () => {
    const made = await provisionSoftHsm(directory, { label: 'default' });
    expect(made.pin.reveal()).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(await readFile(made.pinFile, 'utf8')).toBe(`${made.pin.reveal()}\n`);
    expect(process.env['SOFTHSM2_CONF']).toBe(made.configFile);
    for (const name of await readdir(directory)) expect((await stat(join(directory, name))).mode & 0o077, name).toBe(0);
    const again = await provisionSoftHsm(directory, { label: 'default' });
    expect(again.pin.reveal()).toBe(made.pin.reveal());
    expect(await readdir(join(directory, 'tokens'))).toHaveLength(1);
  });

  it('holds a token for each tenant, also when the first is in use', async () => {
    const a = await provisionSoftHsm(directory, { label: 'tenant-a' });
    {
      await using first = await openKeyStore([a]);
      await provisionSoftHsm(directory, { label: 'tenant-b' });
      expect(first.health()).toMatchObject([{ state: 'up' }]);
    }
    const b = await provisionSoftHsm(directory, { label: 'tenant-b' });
    await using store = await openKeyStore([a, b]);
    const keys = await Promise.all(
      ['tenant-a', 'tenant-b'].map((token) =>
        store.generate({ token, algorithm: 'ec-p256', label: 'CA', usage: 'sign' }),
      ),
    );
    for (const key of keys)
      expect(await key.sign('ecdsa-with-SHA256', Buffer.from('x'), { tenant: 'a' })).toBeInstanceOf(Uint8Array);
    expect(await store.list('tenant-a')).toHaveLength(1);
    await expect(store.open(keys[0]!.uri.replace('tenant-a', 'tenant-b') as (typeof keys)[0]['uri'])).rejects.toThrow(
      'no key',
    );
  });

  it('completes what a crash left half done', async () => {
    const made = await provisionSoftHsm(directory, { label: 'first' });
    const soPin = await readFile(join(directory, 'first.so-pin'), 'utf8');
    const pinFile = join(directory, 'second.pin');
    await provisionSoftHsm(directory, { label: 'second' });
    await rm(join(directory, 'tokens'), { recursive: true });
    // PINs written, token not made yet.
    const completed = await provisionSoftHsm(directory, { label: 'first' });
    expect(completed.pin.reveal()).toBe(made.pin.reveal());
    expect(await readFile(join(directory, 'first.so-pin'), 'utf8')).toBe(soPin);
    await using store = await openKeyStore([completed]);
    expect(store.health()).toMatchObject([{ state: 'up' }]);
    expect(pinFile).toBe((await provisionSoftHsm(directory, { label: 'second' })).pinFile);
  });

  it('refuses labels that are no file names, and says what is missing', async () => {
    await expect(provisionSoftHsm(directory, { label: '../x' })).rejects.toThrow(InternalError);
    await expect(provisionSoftHsm(directory, { label: 'x'.repeat(33) })).rejects.toThrow(InternalError);
  });

  it('does not open keys that somebody made extractable', async () => {
    const token = await provisionSoftHsm(directory, { label: 'default' });
    const common = ['--module', token.module, '--token-label', 'default', '--login', '--pin', token.pin.reveal()];
    execFileSync('pkcs11-tool', [
      ...common,
      '--keypairgen',
      '--key-type',
      'EC:prime256v1',
      '--extractable',
      '--label',
      'loose',
      '--id',
      '0a',
    ]);
    await using store = await openKeyStore([token]);
    const uri = formatKeyUri({ token: 'default', object: 'loose' });
    await expect(store.open(uri)).rejects.toThrow('CKA_EXTRACTABLE is not false');
    expect(await store.list('default')).toMatchObject([{ label: 'loose', protection: { extractable: true } }]);
  });

  it('refuses contradictory settings', async () => {
    const token = await provisionSoftHsm(directory, { label: 'default' });
    await expect(openKeyStore([token, token])).rejects.toThrow('two tokens');
    await expect(openKeyStore([token, { ...token, label: 'other', libraryParameters: 'x' }])).rejects.toThrow(
      'different parameters',
    );
  });

  it('keeps signing while the library restarts for a token that is missing', async () => {
    const token = await provisionSoftHsm(directory, { label: 'default' });
    await using store = await openKeyStore([token, { ...token, label: 'missing' }]);
    const keys = {
      'ecdsa-with-SHA256': await store.generate({ token: 'default', algorithm: 'ec-p256', label: 'EC', usage: 'sign' }),
      sha256WithRSAEncryption: await store.generate({
        token: 'default',
        algorithm: 'rsa-2048',
        label: 'RSA',
        usage: 'sign',
      }),
    };
    const logins = (): number => store.health()[0]!.loginAttempts;
    const before = logins();
    const end = performance.now() + 2000;
    const sign = async (algorithm: keyof typeof keys): Promise<void> => {
      while (performance.now() < end) {
        const signature = await keys[algorithm].sign(algorithm, DATA, { tenant: 'a' });
        expect(verifySignature(keys[algorithm].publicKey, algorithm, DATA, signature)).toBe(true);
        await nextTurn();
      }
    };
    await Promise.all((['ecdsa-with-SHA256', 'sha256WithRSAEncryption', 'sha256WithRSAEncryption'] as const).map(sign));
    expect(logins()).toBeGreaterThan(before);
    expect(store.health()).toMatchObject([{ state: 'up' }, { state: 'down' }]);
  });

  it('is found when it is made later', async () => {
    const token = await provisionSoftHsm(directory, { label: 'default' });
    await using store = await openKeyStore([{ ...token, label: 'late' }]);
    expect(store.health()).toMatchObject([{ state: 'down', lastError: expect.stringContaining('late') }]);
    execFileSync('softhsm2-util', [
      '--init-token',
      '--free',
      '--label',
      'late',
      '--pin',
      token.pin.reveal(),
      '--so-pin',
      'irrelevant',
    ]);
    await expect.poll(() => store.health()[0]!.state, { timeout: 10_000 }).toBe('up');
  });
});
