import pkcs11js from 'pkcs11js';
import { TokenFault } from './token-fault.ts';

/**
 * One PKCS#11 module, loaded and initialised in this process. Cryptoki's state is the process's: finalising it ends the
 * sessions of all its tokens, so each restart counts a generation up, and tokens of an older one connect again.
 */
export class CryptokiLibrary {
  readonly path: string;
  readonly libraryParameters: string | undefined;
  readonly api = new pkcs11js.PKCS11();
  /** Set while the library is being restarted: operations wait for it. */
  restarting: Promise<void> | undefined;
  #generation = 0;
  #state: 'unloaded' | 'loaded' | 'initialised' | 'foreign' = 'unloaded';
  #inFlight = 0;
  #idle: (() => void) | undefined;

  constructor(path: string, libraryParameters?: string) {
    this.path = path;
    this.libraryParameters = libraryParameters;
  }

  /** Zero before the first initialisation. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Initialises the library, or finalises and initialises it if it was. Waits until no operation is in the thread pool:
   * C_Finalize under a running C_Sign is undefined behaviour (PKCS#11 §5.4).
   */
  restart(): Promise<void> {
    this.restarting ??= this.#restart().finally(() => (this.restarting = undefined));
    return this.restarting;
  }

  /** Counts an operation in the thread pool. The result is the same promise, for convenience. */
  track<T>(operation: Promise<T>): Promise<T> {
    this.#inFlight++;
    return operation.finally(() => {
      if (--this.#inFlight === 0) this.#idle?.();
    });
  }

  /** Finalises the library, unless somebody else in this process had initialised it. */
  async close(): Promise<void> {
    await this.restarting?.catch(() => undefined);
    await this.#drained();
    this.#finalise();
  }

  async #restart(): Promise<void> {
    await this.#drained();
    this.#finalise();
    this.#initialise();
    this.#generation++;
  }

  #drained(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#idle = resolve));
  }

  #initialise(): void {
    if (this.#state === 'unloaded') this.#load();
    // Without CKF_OS_LOCKING_OK a module may switch its mutexes off, and operations in the thread pool corrupt it.
    const flags = pkcs11js.CKF_OS_LOCKING_OK;
    // pkcs11js copies one octet too few of libraryParameters: the last one must be expendable.
    const parameters = this.libraryParameters === undefined ? {} : { libraryParameters: `${this.libraryParameters} ` };
    try {
      this.api.C_Initialize({ flags, ...parameters });
      this.#state = 'initialised';
    } catch (error) {
      const fault = TokenFault.from(error);
      if (fault.code !== pkcs11js.CKR_CRYPTOKI_ALREADY_INITIALIZED) throw fault;
      this.#state = 'foreign';
    }
  }

  #load(): void {
    try {
      this.api.load(this.path);
    } catch (error) {
      // The file may be back before the next attempt: an update replaces it.
      throw new TokenFault('lost', TokenFault.from(error).message);
    }
    this.#state = 'loaded';
  }

  #finalise(): void {
    if (this.#state !== 'initialised') return;
    this.#state = 'loaded';
    try {
      this.api.C_Finalize();
    } catch {
      // A library whose token is gone may fail to say goodbye; C_Initialize decides whether that matters.
    }
  }
}
