import { availableParallelism } from 'node:os';
import { InternalError } from '../errors/muster-error.ts';
import { CryptokiLibrary } from './pkcs11/cryptoki-library.ts';
import { isInMemoryModule } from './pkcs11/in-memory-modules.ts';
import { Pkcs11Token } from './pkcs11/pkcs11-token.ts';
import type { Secret } from './secret.ts';
import { SignerClient } from './signer-client.ts';
import type { TokenBackend } from './token-backend.ts';
import type { ConnectionLimits } from './token-connection.ts';

/** One token of an installation. */
export interface TokenConfig {
  /** The token's label, by which key URIs name it; unique among the tokens of a store. */
  readonly label: string;
  /** Path of the PKCS#11 module. */
  readonly module: string;
  readonly pin: Secret;
  /** Passed to C_Initialize of modules that take some (NSS, YubiHSM). */
  readonly libraryParameters?: string | undefined;
  /** `shared`: in this process; `own`: in a signer process; `auto`, the default: `own` unless the module is SoftHSM or NSS. */
  readonly process?: 'auto' | 'own' | 'shared' | undefined;
  /** From a request to its answer, waiting included; 3000 by default. */
  readonly operationTimeoutMs?: number | undefined;
  /** Sessions at most, the token's own limit apart; 8 by default. */
  readonly maxSessions?: number | undefined;
  /** Operations of one tenant that may wait; 512 by default. */
  readonly queueLimitPerTenant?: number | undefined;
  /** Operations of all tenants that may wait; 4096 by default. */
  readonly queueLimit?: number | undefined;
  /** Overrides what the token's mechanism list says: for tokens that list CKM_RSA_X_509 and refuse it. */
  readonly rsaDecryption?: 'raw' | 'unwrap' | undefined;
}

/** A device answers in a second and under load in three; a server must say 503 before five have gone by. */
const OPERATION_TIMEOUT_MS = 3000;
/** Starting a process, loading a module and logging in, on a machine that is busy. */
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_SESSIONS = 8;
const QUEUE_LIMIT_PER_TENANT = 512;
const QUEUE_LIMIT = 4096;

/** Makes the backends of a store's tokens; those that share a module in this process share its library. */
export class TokenBackends {
  readonly #libraries = new Map<string, CryptokiLibrary>();

  /** Throws InternalError when two tokens want one module of this process with different parameters. */
  make(config: TokenConfig, onLogin: () => void): { backend: TokenBackend; limits: ConnectionLimits } {
    const shared = config.process === 'shared' || (config.process !== 'own' && isInMemoryModule(config.module));
    const { label, pin, rsaDecryption, maxSessions = MAX_SESSIONS } = config;
    const backend = shared
      ? new Pkcs11Token(this.#library(config), { label, pin, rsaDecryption, maxSessions, onLogin })
      : new SignerClient(() => signerToken(config, maxSessions), onLogin);
    return { backend, limits: limitsOf(config, shared ? poolConcurrency() : maxSessions) };
  }

  /** Finalises the libraries of this process. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#libraries.values(), (library) => library.close()));
  }

  #library({ module, libraryParameters }: TokenConfig): CryptokiLibrary {
    let library = this.#libraries.get(module);
    if (library === undefined) {
      library = new CryptokiLibrary(module, libraryParameters);
      this.#libraries.set(module, library);
    }
    if (library.libraryParameters !== libraryParameters) {
      throw new InternalError(
        `two tokens of ${module} have different parameters: give one of them a process of its own`,
      );
    }
    return library;
  }
}

/** Computing tokens are as fast as there are processors: one operation more keeps them busy while the event loop is. */
function poolConcurrency(): number {
  return availableParallelism() + 1;
}

function limitsOf(config: TokenConfig, concurrency: number): ConnectionLimits {
  return {
    operationTimeoutMs: config.operationTimeoutMs ?? OPERATION_TIMEOUT_MS,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    queueLimitPerTenant: config.queueLimitPerTenant ?? QUEUE_LIMIT_PER_TENANT,
    queueLimit: config.queueLimit ?? QUEUE_LIMIT,
    concurrency,
  };
}

function signerToken({ module, libraryParameters, label, pin, rsaDecryption }: TokenConfig, maxSessions: number) {
  return { module, libraryParameters, label, pin: pin.reveal(), maxSessions, rsaDecryption };
}
