import { join, resolve } from 'node:path';
import { Secret } from '../../core/keys/secret.ts';
import type { Configuration, StoreSettings, TokenSettings } from './configuration.ts';
import { ConfigurationError } from './configuration-error.ts';
import { followReference, isReference, type ReferenceScope } from './reference.ts';
import type { Settings } from './settings.ts';

/** What settings are resolved against. */
export interface ResolveScope {
  /** Folder that the paths of `data` and `store` start from. */
  readonly folder: string;
  /** Folder that `file:` references start from: the configuration file's own. */
  readonly referenceFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warnings: readonly string[];
}

/** Makes the readonly Configuration: paths absolute, references followed. Throws ConfigurationError. */
export function resolveSettings(settings: Settings, scope: ResolveScope): Configuration {
  const problems: string[] = [];
  const secrets = new SecretReader({ environment: scope.environment, folder: scope.referenceFolder }, problems);
  const dataFolder = resolve(scope.folder, settings.data);
  const urls = settings.publicUrls;
  const configuration: Configuration = {
    dataFolder,
    publicUrls: {
      plain: bareUrl(urls.plain),
      mtls: bareUrl(urls.mtls),
      tls: bareUrl(urls.tls),
      admin: bareUrl(urls.admin),
    },
    publicNames: settings.publicNames,
    listeners: settings.listeners,
    store: storeSettings(settings.store.url, scope.folder, dataFolder, secrets),
    redis:
      settings.redis.url === undefined
        ? undefined
        : { url: secrets.url('redis.url', settings.redis.url, /^rediss?:\/\//) },
    tokens: settings.tokens.map((token, index) => tokenSettings(token, index, secrets)),
    limits: settings.limits,
    alerts: settings.alerts,
    log: settings.log,
    warnings: scope.warnings,
  };
  problems.push(
    ...duplicates(settings.tokens.map((token) => token.label)).map((label) => `tokens: two have the label "${label}"`),
  );
  if (problems.length > 0) throw new ConfigurationError(problems);
  return configuration;
}

function storeSettings(url: string, folder: string, dataFolder: string, secrets: SecretReader): StoreSettings {
  if (!url.startsWith('sqlite:')) {
    return { engine: 'postgres', url: secrets.url('store.url', url, /^postgres(ql)?:\/\//) };
  }
  const path = url.slice('sqlite:'.length);
  return { engine: 'sqlite', file: path === '' ? join(dataFolder, 'muster.db') : resolve(folder, path) };
}

function tokenSettings(token: Settings['tokens'][number], index: number, secrets: SecretReader): TokenSettings {
  return { ...token, pin: secrets.follow(`tokens.${index}.pin`, token.pin) };
}

/** Follows references and collects what is wrong, so that one start tells all of it. */
class SecretReader {
  readonly #scope: ReferenceScope;
  readonly #problems: string[];

  constructor(scope: ReferenceScope, problems: string[]) {
    this.#scope = scope;
    this.#problems = problems;
  }

  follow(key: string, reference: string): Secret {
    const found = followReference(reference, this.#scope);
    if (typeof found !== 'string') return found;
    return this.#refuse(key, found);
  }

  /** A URL by reference, or written out if it holds no password. */
  url(key: string, written: string, scheme: RegExp): Secret {
    const secret = isReference(written) ? this.follow(key, written) : new Secret(written);
    if (secret.reveal() === '') return secret;
    if (!scheme.test(secret.reveal())) return this.#refuse(key, `expected a URL of the form ${scheme.source}`);
    if (!isReference(written) && holdsPassword(written)) {
      return this.#refuse(key, 'a URL with a password is a secret: put it in a file and write file:PATH');
    }
    return secret;
  }

  #refuse(key: string, problem: string): Secret {
    this.#problems.push(`${key}: ${problem}`);
    return new Secret('');
  }
}

function holdsPassword(url: string): boolean {
  return !URL.canParse(url) || new URL(url).password !== '' || /[?&]password=/i.test(url);
}

function bareUrl(url: string | undefined): string | undefined {
  return url?.replace(/\/+$/, '');
}

function duplicates(labels: readonly string[]): string[] {
  return labels.filter((label, index) => labels.indexOf(label) !== index);
}
