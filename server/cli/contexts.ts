import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { CliError, EXIT } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** How to reach one server, by files: a token is never in here. */
export interface NamedServer {
  readonly server: string;
  readonly tokenFile: string;
  readonly caFile?: string;
  readonly tenant?: string;
}

/** The servers that a user has given names. */
export interface Contexts {
  /** Name of the one that is meant when none is said. */
  readonly current?: string;
  readonly servers: Readonly<Record<string, NamedServer>>;
}

type Place = Pick<Terminal, 'environment'>;

/** What is in the user's file; nothing where there is none. Throws CliError `usage` for a file that cannot be read. */
export function readContexts({ environment }: Place): Contexts {
  const file = fileOf(environment);
  if (file === undefined) return { servers: {} };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return { servers: {} };
  }
  const value: unknown = parse(text);
  if (typeof value === 'object' && value !== null && 'servers' in value) return value as Contexts;
  throw new CliError(EXIT.usage, `${file}: expected a mapping with servers`);
}

/** Writes the file whole, closed to others. Throws CliError `usage` where there is no home folder. */
export function writeContexts({ environment }: Place, contexts: Contexts): void {
  const file = fileOf(environment);
  if (file === undefined)
    throw new CliError(EXIT.usage, 'no place for contexts: neither XDG_CONFIG_HOME nor HOME is set');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, stringify(contexts), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The server of a context: that of `--context` or MUSTER_CONTEXT, else the current one. Throws CliError `usage` for an unknown name. */
export function contextOf(place: Place, name: string | undefined): NamedServer | undefined {
  const asked = name ?? place.environment['MUSTER_CONTEXT'];
  const { current, servers } = readContexts(place);
  const chosen = asked ?? current;
  if (chosen === undefined) return undefined;
  const server = servers[chosen];
  if (server !== undefined) return server;
  const known = Object.keys(servers).join(', ') || 'none';
  throw new CliError(EXIT.usage, `there is no context ${chosen}`, `known: ${known}; see muster context --help`);
}

function fileOf(environment: Terminal['environment']): string | undefined {
  const { XDG_CONFIG_HOME: config, HOME: home } = environment;
  const folder = config ?? (home === undefined ? undefined : join(home, '.config'));
  return folder === undefined ? undefined : join(folder, 'muster', 'contexts.yaml');
}
