import type { Secret } from '../../core/keys/secret.ts';
import type { Settings } from './settings.ts';

/** The four listeners, each with a value. */
export type PerListener<T> = Readonly<Record<'plain' | 'mtls' | 'tls' | 'admin', T>>;

/** Where a listener binds. */
interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Which database: a file, or PostgreSQL by a URL that may hold a password. */
export type StoreSettings =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: Secret };

/** A token with its PIN at hand. */
export type TokenSettings = Readonly<Omit<Settings['tokens'][number], 'pin'>> & { readonly pin: Secret };

/** Everything `muster serve` is told: parsed, complete, references followed. Nobody re-checks it. */
export interface Configuration {
  /** Absolute path of the data folder. */
  readonly dataFolder: string;
  /** Outside URLs without a trailing slash; undefined where none was written. */
  readonly publicUrls: PerListener<string | undefined>;
  readonly publicNames: readonly string[];
  readonly listeners: PerListener<ListenAddress>;
  readonly store: StoreSettings;
  readonly redis: { readonly url: Secret } | undefined;
  readonly tokens: readonly TokenSettings[];
  readonly limits: Readonly<Settings['limits']>;
  readonly alerts: Readonly<Settings['alerts']>;
  readonly log: Readonly<Settings['log']>;
  /** Oddities to log once at start: variables that look like settings and are none. */
  readonly warnings: readonly string[];
}
