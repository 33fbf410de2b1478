import { createHash } from 'node:crypto';

import { Client, type ClientChannel, type ConnectConfig } from 'ssh2';
import type { Secret } from '../../../core/keys/secret.ts';
import { DeviceFailure } from '../../sdk/failure.ts';

/** Where to log in, and as whom. The credential is asked for when it is sent, and kept nowhere. */
export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly credential: () => Promise<{ readonly kind: 'key' | 'password'; readonly secret: Secret }>;
  /** Judges the host key by its fingerprint before anything secret is sent. */
  readonly acceptsHostKey: (fingerprint: string) => Promise<boolean>;
  readonly connectTimeoutMs: number;
}

/** What one command may take. */
export interface ExecLimits {
  readonly timeoutMs: number;
  /** Of stdout and stderr together. */
  readonly maxOctets: number;
}

/** How a command ended. Output is UTF-8; what is none is replaced. */
export interface ExecResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `SHA256:…` in base64 without padding, as OpenSSH prints fingerprints of host keys. */
export function hostKeyFingerprint(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** One SSH connection, for commands without a terminal (RFC 4254 §6.5). */
export class SshSession implements AsyncDisposable {
  readonly #client: Client;
  #ended: DeviceFailure | undefined;
  readonly #onEnd = new Set<(failure: DeviceFailure) => void>();

  private constructor(client: Client) {
    this.#client = client;
    client.on('error', (error) => this.#end(failureOf(error)));
    client.on('close', () => this.#end(new DeviceFailure('ssh-closed', 'the connection was closed')));
  }

  /** Connects, checks the host key, logs in. @throws DeviceFailure */
  static async open(target: SshTarget, signal: AbortSignal): Promise<SshSession> {
    signal.throwIfAborted();
    const { kind, secret } = await target.credential();
    const client = new Client();
    const session = new SshSession(client);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    session.#onEnd.add(reject);
    client.once('ready', () => resolve());
    const stop = (): void => session.#abandon(new DeviceFailure('ssh-closed', 'we stopped'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      const credential = kind === 'key' ? { privateKey: secret.reveal() } : { password: secret.reveal() };
      const verifier = hostVerifier(target, (failure) => session.#end(failure));
      client.connect({ ...baseConfig(target), hostVerifier: verifier, ...credential });
      await promise;
      return session;
    } catch (error) {
      client.destroy();
      throw error instanceof DeviceFailure ? error : failureOf(error);
    } finally {
      signal.removeEventListener('abort', stop);
      session.#onEnd.delete(reject);
    }
  }

  /**
   * Runs a command with this input. A command that takes too long or writes too much ends the connection: nobody knows what
   * state it left.
   * @throws DeviceFailure
   */
  async exec(command: string, input: string, limits: ExecLimits, signal: AbortSignal): Promise<ExecResult> {
    if (this.#ended) throw this.#ended;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<ExecResult>();
    const timer = setTimeout(
      () => this.#abandon(new DeviceFailure('ssh-timeout', `no end of a command within ${limits.timeoutMs} ms`)),
      limits.timeoutMs,
    );
    const stop = (): void => this.#abandon(new DeviceFailure('ssh-closed', 'we stopped'));
    signal.addEventListener('abort', stop, { once: true });
    this.#onEnd.add(reject);
    this.#client.exec(command, (error, channel) => {
      if (error) reject(failureOf(error));
      else this.#collect(channel, limits.maxOctets, resolve);
      channel?.end(input);
    });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      this.#onEnd.delete(reject);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abandon(new DeviceFailure('ssh-closed', 'the session is over'));
  }

  #collect(channel: ClientChannel, maxOctets: number, resolve: (result: ExecResult) => void): void {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let octets = 0;
    let status: number | null = null;
    const take = (into: Buffer[]) => (chunk: Buffer) => {
      octets += chunk.length;
      if (octets > maxOctets)
        this.#abandon(new DeviceFailure('ssh-output-limit', `a command wrote more than ${maxOctets} octets`));
      else into.push(chunk);
    };
    channel.on('data', take(out));
    channel.stderr.on('data', take(err));
    channel.on('error', (error: Error) => this.#abandon(failureOf(error)));
    channel.on('exit', (code: number | null) => void (status = code));
    channel.on('close', () => {
      // RFC 4254 §6.10: ended by a signal, or without a word.
      if (status === null) this.#abandon(new DeviceFailure('ssh-closed', 'a command ended without a status'));
      else resolve({ status, stdout: textOf(out), stderr: textOf(err) });
    });
  }

  #abandon(failure: DeviceFailure): void {
    this.#end(failure);
    this.#client.destroy();
  }

  /** The first end counts; what waits is told. */
  #end(failure: DeviceFailure): void {
    if (this.#ended) return;
    this.#ended = failure;
    for (const tell of this.#onEnd) tell(failure);
  }
}

function baseConfig({ host, port, username, connectTimeoutMs }: SshTarget): ConnectConfig {
  return {
    host,
    port,
    username,
    readyTimeout: connectTimeoutMs,
    timeout: connectTimeoutMs * 4,
    keepaliveInterval: 10_000,
    keepaliveCountMax: 3,
  };
}

function hostVerifier({ acceptsHostKey, host }: SshTarget, refuse: (failure: DeviceFailure) => void) {
  return (key: Buffer, answer: (accepted: boolean) => void): void => {
    const fingerprint = hostKeyFingerprint(key);
    acceptsHostKey(fingerprint).then(
      (accepted) => {
        if (!accepted) refuse(new DeviceFailure('ssh-host-key', `${host} shows the host key ${fingerprint}`));
        answer(accepted);
      },
      (error: unknown) => {
        refuse(new DeviceFailure('ssh-closed', 'the host key could not be judged', error));
        answer(false);
      },
    );
  };
}

/** What ssh2 says, typed. Its messages hold no secret. */
function failureOf(error: unknown): DeviceFailure {
  const { level, code, message } = error as { level?: string; code?: string; message?: string };
  const detail = message ?? String(error);
  if (level === 'client-authentication') return new DeviceFailure('ssh-authentication', 'the login was refused', error);
  if (level === 'client-timeout' || code === 'ETIMEDOUT') return new DeviceFailure('ssh-timeout', detail, error);
  if (level === 'protocol' || level === 'handshake') return new DeviceFailure('ssh-protocol', detail, error);
  if (code === 'ECONNRESET' || code === 'EPIPE') return new DeviceFailure('ssh-closed', detail, error);
  if (level === 'client-socket' || code !== undefined) return new DeviceFailure('ssh-unreachable', detail, error);
  // A private key that cannot be read is refused before anything is sent.
  if (/privateKey|private key|passphrase/i.test(detail))
    return new DeviceFailure('ssh-authentication', 'the private key cannot be read', error);
  return new DeviceFailure('ssh-closed', detail, error);
}

function textOf(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
