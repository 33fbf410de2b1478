import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TokenFault } from './pkcs11/token-fault.ts';
import type {
  SignerArguments,
  SignerMessage,
  SignerMethod,
  SignerRequest,
  SignerResult,
  SignerToken,
} from './signer-messages.ts';
import type {
  GenerateRequest,
  KeyObject,
  KeyReference,
  RsaPadding,
  SignMechanism,
  TokenBackend,
  TokenFacts,
} from './token-backend.ts';

const SIGNER_PROCESS = fileURLToPath(new URL('signer-process.ts', import.meta.url));
/** Settings of Muster may hold secrets, and those of Node debuggers and loaders: a vendor's module needs neither. */
const WITHHELD = /^(MUSTER_|NODE_OPTIONS$|NODE_V8_COVERAGE$|VITEST)/;

interface Pending {
  resolve(value: unknown): void;
  reject(fault: TokenFault): void;
}

/** A token behind a process of its own: what hangs there hangs alone, and what crashes there takes nobody along. */
export class SignerClient implements TokenBackend {
  readonly remote = true;
  readonly #token: () => SignerToken;
  readonly #onLogin: () => void;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #lastId = 0;

  /** `token` is asked at each start of the process, so that the PIN stays in its Secret in between. */
  constructor(token: () => SignerToken, onLogin: () => void) {
    this.#token = token;
    this.#onLogin = onLogin;
  }

  /** Starts a new process, ending the one before: nothing of a lost connection can linger in the module. */
  async connect(): Promise<TokenFacts> {
    this.abandon();
    const token = this.#token();
    this.#start(token.maxSessions);
    return (await this.#request({ kind: 'connect', token })) as TokenFacts;
  }

  sign(key: KeyReference, mechanism: SignMechanism, input: Uint8Array): Promise<Uint8Array> {
    return this.#operation('sign', [key, mechanism, input]);
  }

  decryptRaw(key: KeyReference, ciphertext: Uint8Array): Promise<Uint8Array> {
    return this.#operation('decryptRaw', [key, ciphertext]);
  }

  unwrap(
    key: KeyReference,
    padding: RsaPadding,
    ciphertext: Uint8Array,
    length: number,
  ): Promise<Uint8Array | undefined> {
    return this.#operation('unwrap', [key, padding, ciphertext, length]);
  }

  generate(request: GenerateRequest): Promise<KeyObject> {
    return this.#operation('generate', [request]);
  }

  find(key: KeyReference): Promise<readonly KeyObject[]> {
    return this.#operation('find', [key]);
  }

  ping(): Promise<void> {
    return this.#operation('ping', []);
  }

  /** Kills the process, whatever it is doing: SIGKILL ends stopped processes, too. */
  abandon(): void {
    this.#child?.kill('SIGKILL');
    this.#ended('the signer process was ended');
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited =
      child.exitCode !== null ? undefined : new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.abandon();
    await exited;
  }

  #start(threads: number): void {
    const inherited = Object.entries(process.env).filter(([name]) => !WITHHELD.test(name));
    const child = fork(SIGNER_PROCESS, [], {
      serialization: 'advanced',
      execArgv: [],
      // As many threads as sessions: each session may wait for the token.
      env: { ...Object.fromEntries(inherited), UV_THREADPOOL_SIZE: String(Math.max(4, threads)) },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    child.on('message', (message) => {
      if (child === this.#child) this.#receive(message as SignerMessage);
    });
    child.on('error', (error) => this.#lost(child, error.message));
    child.on('exit', (code, signal) => this.#lost(child, `the signer process ended (${signal ?? code})`));
  }

  #lost(child: ChildProcess, message: string): void {
    if (child === this.#child) this.#ended(message);
  }

  #ended(message: string): void {
    this.#child = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new TokenFault('lost', message));
  }

  #operation<M extends SignerMethod>(method: M, args: SignerArguments<M>): Promise<SignerResult<M>> {
    return this.#request({ kind: 'operation', method, args }) as Promise<SignerResult<M>>;
  }

  #request(request: WithoutId<SignerRequest>): Promise<unknown> {
    const child = this.#child;
    if (child?.connected !== true) return Promise.reject(new TokenFault('lost', 'the signer process is not running'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      child.send({ ...request, id }, (error) => {
        if (error !== null && this.#pending.delete(id)) reject(new TokenFault('lost', error.message));
      });
    });
  }

  #receive(message: SignerMessage): void {
    if (message.kind === 'login') return this.#onLogin();
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === 'result') pending?.resolve(message.value);
    else pending?.reject(new TokenFault(message.fault.kind, message.fault.message, message.fault.code));
  }
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;
