import { InternalError } from '../errors/muster-error.ts';
import { spkiSha256, parseSubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { KeyAlgorithm } from './key-algorithm.ts';
import { type KeyUri, formatKeyUri, parseKeyUri } from './key-uri.ts';
import { isInMemoryModule } from './pkcs11/in-memory-modules.ts';
import { assertProtected } from './pkcs11/key-objects.ts';
import type { KeyObject, KeyProtection, KeyUsage } from './token-backend.ts';
import { type TokenConfig, TokenBackends } from './token-backends.ts';
import { type ConnectionHealth, TokenConnection } from './token-connection.ts';
import { translateFault } from './token-errors.ts';
import { ConnectedKey, type TokenKey } from './token-key.ts';

export type { TokenConfig } from './token-backends.ts';
export type { TokenKey } from './token-key.ts';

/** What a pair is generated with: the label of its token, its kind, its CKA_LABEL and its one usage. */
export interface GenerateKey {
  readonly token: string;
  readonly algorithm: KeyAlgorithm;
  readonly label: string;
  readonly usage: KeyUsage;
}

/** A key as `list` shows it. */
export interface TokenKeyDescription {
  readonly uri: KeyUri;
  readonly label: string;
  /** CKA_ID, lower-case hex. */
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
  readonly spkiSha256: string;
  readonly usages: KeyObject['usages'];
  readonly protection: KeyProtection;
}

/** How a token stands. */
export interface TokenHealth extends ConnectionHealth {
  readonly label: string;
  /** C_Login calls since the store was opened: one a connection, and none after a refused PIN. */
  readonly loginAttempts: number;
}

/** Keys by address, in all tokens of an installation. */
export interface KeyStore extends AsyncDisposable {
  /**
   * Makes a pair that cannot leave its token, with a fresh CKA_ID, and checks that the token agrees. Rejects with PolicyError
   * `key-not-allowed` when the token does not make such keys.
   */
  generate(request: GenerateKey): Promise<TokenKey>;
  /**
   * Finds a key. Rejects with InternalError when the token is not configured, when it holds no such key or several, or when the
   * key could leave it; with UpstreamError when the token does not answer.
   */
  open(uri: KeyUri): Promise<TokenKey>;
  /** Every private key of a token of a kind that Muster uses. */
  list(token: string): Promise<TokenKeyDescription[]>;
  /** How each token stands, from memory: asks nothing of any token. */
  health(): TokenHealth[];
  close(): Promise<void>;
}

/** What a KeyStore is opened with. */
export interface KeyStoreOptions {
  readonly clock?: { now(): number };
  /** Called when a token comes, goes, or refuses its PIN. */
  readonly onChange?: (health: TokenHealth) => void;
}

/** RSA-4096 may take a token this long. */
const GENERATE_TIMEOUT_MS = 120_000;
/** On whose account administrative work runs. */
const ADMINISTRATION = { tenant: '' };

/**
 * Connects the tokens and resolves when each has answered or failed to: one that is away does not keep the others from
 * working, is probed in the background, and shows in `health()`. Throws InternalError on contradictory settings.
 */
export async function openKeyStore(tokens: readonly TokenConfig[], options: KeyStoreOptions = {}): Promise<KeyStore> {
  const store = new TokenKeyStore(tokens, options);
  await store.start();
  return store;
}

interface OpenToken {
  readonly connection: TokenConnection;
  readonly inMemory: boolean;
  loginAttempts: number;
}

class TokenKeyStore implements KeyStore {
  readonly #backends = new TokenBackends();
  readonly #tokens = new Map<string, OpenToken>();

  constructor(tokens: readonly TokenConfig[], { clock = Date, onChange = () => undefined }: KeyStoreOptions) {
    for (const config of tokens) {
      const { label } = config;
      if (this.#tokens.has(label)) throw new InternalError(`two tokens are configured with the label "${label}"`);
      const { backend, limits } = this.#backends.make(config, () => token.loginAttempts++);
      const connection = new TokenConnection(backend, limits, {
        now: () => clock.now(),
        onChange: () => onChange(healthOf(label, token)),
      });
      const token: OpenToken = { connection, inMemory: isInMemoryModule(config.module), loginAttempts: 0 };
      this.#tokens.set(label, token);
    }
  }

  async start(): Promise<void> {
    await Promise.all(this.#connections().map((connection) => connection.start()));
  }

  async generate({ token, ...request }: GenerateKey): Promise<TokenKey> {
    if (request.usage !== 'sign' && !request.algorithm.startsWith('rsa-')) {
      throw new InternalError(`a key of kind ${request.algorithm} cannot decrypt`);
    }
    const { connection, inMemory } = this.#token(token);
    const object = await connection.submit((backend) => backend.generate(request), ADMINISTRATION, GENERATE_TIMEOUT_MS);
    return new ConnectedKey(connection, uriOf(token, object), object, inMemory);
  }

  async open(uri: KeyUri): Promise<TokenKey> {
    const { token, object: label, id } = parseKeyUri(uri);
    const { connection, inMemory } = this.#token(token);
    const [found, another] = await connection.submit((backend) => backend.find({ id, label }), ADMINISTRATION);
    if (found === undefined) throw new InternalError(`the token holds no key ${uri}`);
    if (another !== undefined) throw new InternalError(`the token holds several keys ${uri}`);
    refuseUnprotected(found);
    return new ConnectedKey(connection, uriOf(token, found), found, inMemory);
  }

  async list(token: string): Promise<TokenKeyDescription[]> {
    const { connection } = this.#token(token);
    const keys = await connection.submit(
      (backend) => backend.find({ id: undefined, label: undefined }),
      ADMINISTRATION,
    );
    return keys.map(({ spki, ...key }) => ({
      ...key,
      uri: uriOf(token, key),
      spkiSha256: spkiSha256(parseSubjectPublicKeyInfo(spki)),
    }));
  }

  health(): TokenHealth[] {
    return Array.from(this.#tokens, ([label, token]) => healthOf(label, token));
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections().map((connection) => connection.close()));
    await this.#backends.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #connections(): TokenConnection[] {
    return Array.from(this.#tokens.values(), ({ connection }) => connection);
  }

  #token(label: string): OpenToken {
    const token = this.#tokens.get(label);
    if (token === undefined) throw new InternalError(`no token "${label}" is configured`);
    return token;
  }
}

function healthOf(label: string, { connection, loginAttempts }: OpenToken): TokenHealth {
  return { label, loginAttempts, ...connection.health() };
}

function uriOf(token: string, { id, label }: { readonly id: string; readonly label: string }): KeyUri {
  return formatKeyUri({ token, object: label === '' ? undefined : label, id: id === '' ? undefined : id });
}

function refuseUnprotected(key: KeyObject): void {
  try {
    assertProtected(key);
  } catch (error) {
    throw translateFault(error);
  }
}
