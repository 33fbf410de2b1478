import pkcs11js, { type Handle } from 'pkcs11js';
import { KEY_ALGORITHMS, type KeyParameters } from '../key-algorithm.ts';
import type {
  GenerateRequest,
  KeyObject,
  KeyReference,
  MaybePromise,
  RsaPadding,
  SignMechanism,
  TokenBackend,
  TokenFacts,
} from '../token-backend.ts';
import type { ObjectReader } from './attributes.ts';
import type { CryptokiLibrary } from './cryptoki-library.ts';
import { isInMemoryModule } from './in-memory-modules.ts';
import { type FoundKey, assertProtected, describePrivateKey, findPrivateKey, findPrivateKeys } from './key-objects.ts';
import { generatePair, mechanismsOf, planGeneration } from './key-generation.ts';
import { RAW_RSA, SIGN_MECHANISMS } from './mechanisms.ts';
import { SessionPool } from './session-pool.ts';
import { type TokenAccess, connectToken, openSession } from './token-login.ts';
import { TokenFault } from './token-fault.ts';
import { TokenSession } from './token-session.ts';
import { unwrapSecret } from './unwrap-secret.ts';

/** How often a pair is begun that the token says no to for no fault of ours. */
const GENERATION_ATTEMPTS = 3;

/** What holds from one login to the next. */
interface Attachment {
  readonly generation: number;
  readonly loginSession: TokenSession;
  readonly mechanisms: ReadonlySet<number>;
  readonly sessions: SessionPool;
  readonly keys: Map<string, FoundKey>;
  readonly facts: TokenFacts;
}

/** A token of a module loaded in this process. Handles are found once a login, and forgotten with it. */
export class Pkcs11Token implements TokenBackend {
  readonly remote = false;
  readonly #library: CryptokiLibrary;
  readonly #access: TokenAccess;
  /** In memory and not RSA: an operation takes less time than handing it to the thread pool. */
  readonly #inMemory: boolean;
  #attachment: Attachment | undefined;
  #seenGeneration = 0;
  /** Pairs that are being made: nobody of this process looks for objects meanwhile. */
  readonly #making = new Set<Promise<unknown>>();

  constructor(library: CryptokiLibrary, access: TokenAccess) {
    this.#library = library;
    this.#access = access;
    this.#inMemory = isInMemoryModule(library.path);
  }

  async connect(): Promise<TokenFacts> {
    // Another token of the library may have restarted it since: then its new state is worth a try.
    if (this.#library.generation === this.#seenGeneration) await this.#library.restart();
    else await this.#library.restarting;
    return this.#attach().facts;
  }

  sign(key: KeyReference, mechanism: SignMechanism, input: Uint8Array): MaybePromise<Uint8Array> {
    return this.#attempt((session) => {
      const { handle, object } = this.#key(session, key);
      const parameters: KeyParameters = KEY_ALGORITHMS[object.algorithm];
      const now = this.#inMemory && (parameters.kind === 'ec' || parameters.kind === 'ed25519');
      return now
        ? session.signNow(SIGN_MECHANISMS[mechanism], handle, input)
        : session.signInPool(SIGN_MECHANISMS[mechanism], handle, input);
    });
  }

  decryptRaw(key: KeyReference, ciphertext: Uint8Array): MaybePromise<Uint8Array> {
    return this.#attempt((session) => session.decryptInPool(RAW_RSA, this.#key(session, key).handle, ciphertext));
  }

  unwrap(
    key: KeyReference,
    padding: RsaPadding,
    ciphertext: Uint8Array,
    length: number,
  ): MaybePromise<Uint8Array | undefined> {
    return this.#attempt((session) => {
      const { handle } = this.#key(session, key);
      return unwrapSecret(this.#reader(session), handle, padding, ciphertext, length);
    });
  }

  generate(request: GenerateRequest): MaybePromise<KeyObject> {
    const { generate } = mechanismsOf(KEY_ALGORITHMS[request.algorithm]);
    // Not repeated on a fresh session: a pair that was made before its answer was lost would stay behind.
    return this.#once(async (session) => {
      if (!this.#attached().mechanisms.has(generate)) {
        throw new TokenFault('unsupported', `token "${this.#access.label}" makes no ${request.algorithm} keys`);
      }
      return this.#acceptPair(session, await this.#makePair(session, request));
    });
  }

  find(key: KeyReference): MaybePromise<readonly KeyObject[]> {
    if (this.#making.size > 0) return Promise.allSettled(this.#making).then(() => this.find(key));
    return this.#attempt((session) => findPrivateKeys(this.#reader(session), key).map(({ object }) => object));
  }

  ping(): MaybePromise<void> {
    return this.#attempt((session) => void this.#library.api.C_GetSessionInfo(session.handle));
  }

  abandon(): void {
    this.#attachment = undefined;
  }

  /** Closes its sessions; the library, which other tokens may use, is finalised by its owner. */
  async close(): Promise<void> {
    this.#attachment?.sessions.close();
    this.#attachment?.loginSession.close();
    this.#attachment = undefined;
  }

  /**
   * SoftHSM before 2.7 finds the template of a pair inconsistent when another thread or process looks for objects while the new
   * one is half written, and removes what it made. Our templates are the same each time, so the answer says nothing of them.
   */
  async #makePair(session: TokenSession, request: GenerateRequest): Promise<{ publicKey: Handle; privateKey: Handle }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#made(
          this.#library.track(generatePair(this.#library.api, session.handle, planGeneration(request))),
        );
      } catch (error) {
        const { code } = TokenFault.from(error);
        if (code !== pkcs11js.CKR_TEMPLATE_INCONSISTENT || attempt === GENERATION_ATTEMPTS) throw error;
      }
    }
  }

  async #made<T>(making: Promise<T>): Promise<T> {
    this.#making.add(making);
    try {
      return await making;
    } finally {
      this.#making.delete(making);
    }
  }

  #acceptPair(session: TokenSession, pair: { publicKey: Handle; privateKey: Handle }): KeyObject {
    try {
      const object = describePrivateKey(this.#reader(session), pair.privateKey);
      if (object === undefined) throw new TokenFault('failed', 'the token does not show the public key it just made');
      assertProtected(object);
      return object;
    } catch (error) {
      for (const half of [pair.privateKey, pair.publicKey]) this.#library.api.C_DestroyObject(session.handle, half);
      throw error;
    }
  }

  #key(session: TokenSession, reference: KeyReference): FoundKey {
    const { keys } = this.#attached();
    const name = `${reference.id ?? ''}/${reference.label ?? ''}`;
    let key = keys.get(name);
    if (key === undefined) {
      key = findPrivateKey(this.#reader(session), reference);
      assertProtected(key.object);
      keys.set(name, key);
    }
    return key;
  }

  /** Runs on a session of its own; a session that failed is dropped, and one fresh one tried with handles found anew. */
  #attempt<T>(run: (session: TokenSession) => MaybePromise<T>): MaybePromise<T> {
    const again = (fault: TokenFault): MaybePromise<T> => {
      if (fault.kind !== 'lost' || this.#attachment === undefined) throw fault;
      this.#attachment.keys.clear();
      return this.#once(run);
    };
    try {
      const outcome = this.#once(run);
      return outcome instanceof Promise ? outcome.catch((error: unknown) => again(TokenFault.from(error))) : outcome;
    } catch (error) {
      return again(TokenFault.from(error));
    }
  }

  #once<T>(run: (session: TokenSession) => MaybePromise<T>): MaybePromise<T> {
    if (this.#library.restarting !== undefined) return this.#library.restarting.then(() => this.#once(run));
    const { sessions } = this.#attached();
    const session = sessions.acquire();
    const failed = (error: unknown): never => {
      sessions.discard(session);
      throw TokenFault.from(error);
    };
    let outcome: MaybePromise<T>;
    try {
      outcome = run(session);
    } catch (error) {
      return failed(error);
    }
    if (outcome instanceof Promise) return outcome.then((value) => (sessions.release(session), value), failed);
    sessions.release(session);
    return outcome;
  }

  #attached(): Attachment {
    return this.#attachment?.generation === this.#library.generation ? this.#attachment : this.#attach();
  }

  #attach(): Attachment {
    this.#seenGeneration = this.#library.generation;
    this.#attachment = undefined;
    const { slot, loginSession, mechanisms, facts } = connectToken(this.#library.api, this.#access);
    const session = (handle: Handle): TokenSession => new TokenSession(this.#library, handle);
    this.#attachment = {
      generation: this.#seenGeneration,
      loginSession: session(loginSession),
      mechanisms,
      sessions: new SessionPool(facts.sessions, () => session(openSession(this.#library.api, slot))),
      keys: new Map(),
      facts,
    };
    return this.#attachment;
  }

  #reader(session: TokenSession): ObjectReader {
    return { api: this.#library.api, session: session.handle };
  }
}
