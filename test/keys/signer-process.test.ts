import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KeyStore, type TokenKey, openKeyStore } from '../../core/keys/key-store.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';

const DATA = Buffer.from('to be signed');

describe('the signer process', () => {
  let softHsm: PrivateSoftHsm;
  let store: KeyStore;
  let key: TokenKey;
  const sign = (): Promise<Uint8Array> => key.sign('ecdsa-with-SHA256', DATA, { tenant: 'a' });

  beforeAll(async () => {
    process.env['MUSTER_STORE_PASSWORD'] = 'not for modules';
    softHsm = await privateSoftHsm();
    store = await openKeyStore([{ ...softHsm, process: 'own' }]);
    key = await store.generate({ token: softHsm.label, algorithm: 'ec-p256', label: 'CA', usage: 'sign' });
  });
  afterAll(async () => {
    delete process.env['MUSTER_STORE_PASSWORD'];
    await store.close();
    await softHsm.remove();
  });

  it('alone has the module, and neither shows the PIN nor gets the settings of the server', () => {
    const signer = signerPid();
    expect(maps(signer)).toContain('libsofthsm2.so');
    const visible = `${read(signer, 'cmdline')}${read(signer, 'environ')}`;
    expect(visible).toContain('SOFTHSM2_CONF');
    expect(visible).not.toContain(softHsm.pin.reveal());
    expect(visible).not.toContain('not for modules');
  });

  it('is replaced when it crashes, and what was asked meanwhile is answered', async () => {
    await sign();
    const crashed = signerPid();
    const waiting = Array.from({ length: 16 }, sign);
    process.kill(crashed, 'SIGKILL');
    expect(await Promise.all(waiting)).toHaveLength(16);
    expect(signerPid()).not.toBe(crashed);
    expect(store.health()).toMatchObject([{ state: 'up', loginAttempts: 2 }]);
  });

  it('ends with its store', async () => {
    const other = await openKeyStore([{ ...softHsm, process: 'own' }]);
    expect(signerPids()).toHaveLength(2);
    await other.close();
    expect(signerPids()).toHaveLength(1);
  });

  it('ends with a server that is killed', () => {
    const script = `
      import { openKeyStore } from ${JSON.stringify(new URL('../../core/keys/key-store.ts', import.meta.url).href)};
      import { Secret } from ${JSON.stringify(new URL('../../core/keys/secret.ts', import.meta.url).href)};
      import { readFileSync } from 'node:fs';
      const pin = new Secret(readFileSync(process.env.PIN_FILE, 'utf8').trim());
      await openKeyStore([{ label: 'test', module: ${JSON.stringify(softHsm.module)}, pin, process: 'own' }]);
      const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim();
      process.stdout.write(children, () => process.kill(process.pid, 'SIGKILL'));`;
    const child = execServer(script, { ...process.env, PIN_FILE: softHsm.pinFile });
    expect(child).toMatch(/^\d+$/);
    const end = Date.now() + 5000;
    while (isSigner(Number(child)) && Date.now() < end)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    expect(isSigner(Number(child))).toBe(false);
  });
});

/** Runs a server that kills itself; what it printed before. */
function execServer(script: string, env: NodeJS.ProcessEnv): string {
  try {
    return execFileSync(process.execPath, ['--input-type=module', '--eval', script], { env, encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

function signerPid(): number {
  return signerPids()[0]!;
}

/** The signer processes of this one. */
function signerPids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && isSigner(pid) && parentOf(pid) === process.pid);
}

function isSigner(pid: number): boolean {
  return read(pid, 'cmdline').includes('signer-process.ts') && !/^State:\s+Z/m.test(read(pid, 'status'));
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(read(pid, 'status'))?.[1]);
}

function maps(pid: number): string {
  return read(pid, 'maps');
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
