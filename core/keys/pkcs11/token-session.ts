import type { Handle, Mechanism } from 'pkcs11js';
import type { CryptokiLibrary } from './cryptoki-library.ts';

/** Octets of the longest signature: ML-DSA-87 has 4,627. */
const OUTPUT_OCTETS = 8192;

/**
 * One PKCS#11 session. Cryptoki allows one operation at a time on it, so whoever holds it holds it alone (SessionPool).
 *
 * Operations in the thread pool work on raw pointers that the native code does not keep alive: input and output live in
 * buffers of the session, which the pool keeps as long as the session is out.
 */
export class TokenSession {
  readonly handle: Handle;
  readonly #library: CryptokiLibrary;
  readonly #output = Buffer.allocUnsafeSlow(OUTPUT_OCTETS);
  #input = Buffer.alloc(0);

  constructor(library: CryptokiLibrary, handle: Handle) {
    this.#library = library;
    this.handle = handle;
  }

  /** Signs in this thread. */
  signNow(mechanism: Mechanism, key: Handle, input: Uint8Array): Uint8Array {
    const { api } = this.#library;
    api.C_SignInit(this.handle, mechanism, key);
    return new Uint8Array(api.C_Sign(this.handle, asBuffer(input), this.#output));
  }

  /** Signs in the thread pool. */
  async signInPool(mechanism: Mechanism, key: Handle, input: Uint8Array): Promise<Uint8Array> {
    const { api } = this.#library;
    api.C_SignInit(this.handle, mechanism, key);
    this.#input = Buffer.from(input);
    return new Uint8Array(await this.#library.track(api.C_SignAsync(this.handle, this.#input, this.#output)));
  }

  /** Decrypts in the thread pool, and leaves no plaintext behind. */
  async decryptInPool(mechanism: Mechanism, key: Handle, input: Uint8Array): Promise<Uint8Array> {
    const { api } = this.#library;
    api.C_DecryptInit(this.handle, mechanism, key);
    this.#input = Buffer.from(input);
    try {
      return new Uint8Array(await this.#library.track(api.C_DecryptAsync(this.handle, this.#input, this.#output)));
    } finally {
      this.#output.fill(0);
    }
  }

  /** Closes it; one that is gone already is closed. */
  close(): void {
    try {
      this.#library.api.C_CloseSession(this.handle);
    } catch {
      // The token forgot it first.
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
