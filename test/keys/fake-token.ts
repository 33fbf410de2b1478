import { setTimeout as delay } from 'node:timers/promises';
import { TokenFault } from '../../core/keys/pkcs11/token-fault.ts';
import type { KeyObject, MaybePromise, TokenBackend, TokenFacts } from '../../core/keys/token-backend.ts';

/** A token that does as it is told: it takes time, goes away, hangs, and refuses its PIN. `sign` answers with its input. */
export class FakeToken implements TokenBackend {
  readonly remote: boolean;
  serviceMs = 1;
  /** Computes in the caller's thread, blocking it for `serviceMs`. */
  inThread = false;
  state: 'present' | 'gone' | 'hung' | 'wrong-pin' = 'present';
  connections = 0;
  abandoned = 0;
  /** Operations inside at the moment, and the most there ever were. */
  inside = 0;
  mostInside = 0;
  #hung: ((fault: TokenFault) => void)[] = [];
  #sessionLost = false;

  constructor({ remote = true }: { remote?: boolean } = {}) {
    this.remote = remote;
  }

  /** The next operation finds its session lost; connecting helps. */
  loseSession(): void {
    this.#sessionLost = true;
  }

  async connect(): Promise<TokenFacts> {
    this.connections++;
    if (this.state === 'gone') throw new TokenFault('lost', 'CKR_TOKEN_NOT_PRESENT');
    if (this.state === 'wrong-pin') throw new TokenFault('pin-refused', 'CKR_PIN_INCORRECT');
    if (this.state === 'hung') await this.#never();
    this.#sessionLost = false;
    return { label: 'fake', manufacturer: '', model: '', serialNumber: '', rsaDecryption: 'raw', sessions: 8 };
  }

  sign(_key: unknown, _mechanism: unknown, input: Uint8Array): MaybePromise<Uint8Array> {
    if (!this.inThread) return this.#signLater(input);
    this.#check();
    const end = performance.now() + this.serviceMs;
    while (performance.now() < end);
    return input;
  }

  ping(): MaybePromise<void> {
    return this.sign(undefined, undefined, new Uint8Array()) instanceof Promise ? Promise.resolve() : undefined;
  }

  abandon(): void {
    this.abandoned++;
    for (const reject of this.#hung.splice(0)) reject(new TokenFault('lost', 'abandoned'));
  }

  async close(): Promise<void> {
    this.abandon();
  }

  decryptRaw(): never {
    throw new TokenFault('unsupported', 'the fake only signs');
  }

  unwrap(): never {
    throw new TokenFault('unsupported', 'the fake only signs');
  }

  generate(): never {
    throw new TokenFault('unsupported', 'the fake only signs');
  }

  find(): readonly KeyObject[] {
    return [];
  }

  async #signLater(input: Uint8Array): Promise<Uint8Array> {
    this.mostInside = Math.max(this.mostInside, ++this.inside);
    try {
      this.#check();
      if (this.state === 'hung') await this.#never();
      await delay(this.serviceMs);
      return input;
    } finally {
      this.inside--;
    }
  }

  #check(): void {
    if (this.state === 'gone' || this.#sessionLost) throw new TokenFault('lost', 'CKR_SESSION_HANDLE_INVALID');
  }

  #never(): Promise<never> {
    return new Promise((_resolve, reject) => this.#hung.push(reject));
  }
}
