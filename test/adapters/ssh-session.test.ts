import { describe, expect, it } from 'vitest';

import { SshSession, type SshTarget } from '../../adapters/transport/ssh/session.ts';
import { Secret } from '../../core/keys/secret.ts';
import { type Behaviour, DeviceSshServer, SilentPort } from '../fakes/device-ssh-server.ts';

const PASSWORD = 'correct horse';
const never = new AbortController().signal;
const LIMITS = { timeoutMs: 1_000, maxOctets: 1_000 };

function target(port: number, more: Partial<SshTarget> = {}): SshTarget {
  return {
    host: '127.0.0.1',
    port,
    username: 'admin',
    connectTimeoutMs: 1_500,
    acceptsHostKey: () => Promise.resolve(true),
    credential: () => Promise.resolve({ kind: 'password', secret: new Secret(PASSWORD) }),
    ...more,
  };
}

/** What one command ends with on a device that behaves so. */
async function execOn(behave: Behaviour, limits = LIMITS) {
  await using device = await DeviceSshServer.start(PASSWORD, behave);
  await using session = await SshSession.open(target(device.port), never);
  return await session.exec('show', 'input', limits, never);
}

describe('a command', () => {
  it('gets its input, and returns output and status', async () => {
    const result = await execOn((_command, channel) => {
      const parts: Buffer[] = [];
      channel.on('data', (part: Buffer) => parts.push(part));
      channel.on('end', () => {
        channel.write(Buffer.concat(parts));
        channel.stderr.write('a warning');
        channel.exit(3);
        channel.end();
      });
    });
    expect(result).toEqual({ status: 3, stdout: 'input', stderr: 'a warning' });
  });

  it.each<[string, string, Behaviour]>([
    ['never ends', 'ssh-timeout', () => undefined],
    ['writes without end', 'ssh-output-limit', (_command, channel) => void channel.write('x'.repeat(5_000))],
    ['ends without a status', 'ssh-closed', (_command, channel) => void channel.end()],
    ['is killed by a signal', 'ssh-closed', (_command, channel) => void (channel.exit('KILL'), channel.end())],
  ])('that %s is %s', async (_what, code, behave) => {
    await expect(execOn(behave)).rejects.toMatchObject({ code });
  });
});

describe('a login', () => {
  it('is refused: ssh-authentication, and the password is in no message', async () => {
    await using device = await DeviceSshServer.start('another', () => undefined);
    const failure = await SshSession.open(target(device.port), never).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'ssh-authentication' });
    expect(String(failure)).not.toContain(PASSWORD);
  });

  it('is never tried where the host key is another: ssh-host-key', async () => {
    let asked = '';
    await using device = await DeviceSshServer.start(PASSWORD, () => undefined);
    const acceptsHostKey = (fingerprint: string): Promise<boolean> => {
      asked = fingerprint;
      return Promise.resolve(false);
    };
    await expect(SshSession.open(target(device.port, { acceptsHostKey }), never)).rejects.toMatchObject({
      code: 'ssh-host-key',
    });
    expect(asked).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('to a device that hangs is ssh-timeout, to nobody ssh-unreachable', async () => {
    await using silent = await SilentPort.start();
    await expect(SshSession.open(target(silent.port), never)).rejects.toMatchObject({ code: 'ssh-timeout' });
    await expect(SshSession.open(target(1), never)).rejects.toMatchObject({ code: 'ssh-unreachable' });
  });

  it('ends at once when we stop', async () => {
    await using silent = await SilentPort.start();
    const stop = new AbortController();
    const opening = SshSession.open(target(silent.port), stop.signal);
    setTimeout(() => stop.abort(), 50);
    await expect(opening).rejects.toMatchObject({ code: 'ssh-closed' });
  });
});
