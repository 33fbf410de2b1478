import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Secret } from '../../core/keys/secret.ts';
import { contextOf } from './contexts.ts';
import { CliError, EXIT } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** Flags by which a server is found. */
export interface ConnectionOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly data?: string;
  readonly context?: string;
}

/** How to reach the admin listener. */
export interface Connection {
  readonly url: URL;
  readonly token: Secret;
  /** PEM of the root that the server's certificate must lead to; undefined: those the system trusts. */
  readonly authority: string | undefined;
  /** The tenant of the context that named the server. */
  readonly tenant?: string | undefined;
}

/**
 * Finds the server: by flags, by MUSTER_SERVER, MUSTER_TOKEN_FILE and MUSTER_CA_FILE, by a context, and on the server's own host
 * by the data folder. Throws CliError `unreachable` that says what is missing.
 */
export function findServer(options: ConnectionOptions, { environment, folder }: Terminal): Connection {
  const asked = options.server ?? environment['MUSTER_SERVER'];
  const isLocal = options.data !== undefined || environment['MUSTER_DATA'] !== undefined;
  const isNamed = options.context !== undefined || environment['MUSTER_CONTEXT'] !== undefined;
  const named = asked === undefined && (isNamed || !isLocal) ? contextOf({ environment }, options.context) : undefined;
  const data = resolve(folder, options.data ?? environment['MUSTER_DATA'] ?? 'data');
  const server = asked ?? named?.server;
  // Another server's credentials are never taken from this host's data folder.
  const local = server === undefined;
  const tokenFile =
    options.tokenFile ??
    environment['MUSTER_TOKEN_FILE'] ??
    named?.tokenFile ??
    (local ? join(data, 'admin-token') : undefined);
  const caFile =
    options.caFile ?? environment['MUSTER_CA_FILE'] ?? named?.caFile ?? (local ? join(data, 'root.pem') : undefined);
  const url = parseUrl(server ?? localServer(data));
  if (tokenFile === undefined) {
    throw new CliError(
      EXIT.unreachable,
      'a server is named but no token',
      'add --token-file FILE or set MUSTER_TOKEN_FILE',
    );
  }
  const token = readText(resolve(folder, tokenFile), 'the token').trim();
  return {
    url,
    token: new Secret(token),
    tenant: named?.tenant,
    authority: caFile === undefined ? undefined : readText(resolve(folder, caFile), 'the CA certificate'),
  };
}

function localServer(data: string): string {
  const hint =
    'start it (npm start), point to its folder (--data DIR), or name it (--server URL --token-file FILE --ca-file FILE)';
  let text: string;
  try {
    text = readFileSync(join(data, 'server.json'), 'utf8');
  } catch (cause) {
    throw new CliError(EXIT.unreachable, `no server of this host has its data in ${data}`, hint, { cause });
  }
  const info = JSON.parse(text) as { readonly admin?: unknown };
  if (typeof info.admin === 'string') return info.admin;
  throw new CliError(EXIT.unreachable, `${join(data, 'server.json')} names no admin listener`, hint);
}

function parseUrl(text: string): URL {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (url.protocol === 'https:') return url;
  }
  throw new CliError(EXIT.usage, `expected an https:// URL as server, found ${text}`);
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CliError(
      EXIT.unreachable,
      `${what} cannot be read from ${file}`,
      'name another file, or run as the user who may read it',
      { cause },
    );
  }
}
