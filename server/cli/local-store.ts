import { UpstreamError } from '../../core/errors/muster-error.ts';
import { openSqlite } from '../../core/store/sqlite-store.ts';
import type { Store } from '../../core/store/store.ts';
import { openStore } from '../composition/storage.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { loadConfiguration } from '../configuration/load.ts';
import { CliError, EXIT } from './exit-code.ts';
import type { Session } from './session.ts';

const noReport = () => undefined;

/** Opens the database of the server on this host, for writing, while no server uses it (SQLite) or beside it (PostgreSQL). */
export function openLocalStore(session: Session, configFile: string | undefined): Promise<Store> {
  const { store } = localConfiguration(session, configFile);
  return opened(openStore(store, noReport));
}

/** Opens the same for reading only; also beside a running server. */
export function openLocalStoreForReading(session: Session, configFile: string | undefined): Promise<Store> {
  const { store } = localConfiguration(session, configFile);
  if (store.engine === 'sqlite') return opened(openSqlite({ file: store.file, readOnly: true }));
  return opened(openStore(store, noReport));
}

function localConfiguration({ options, terminal }: Session, configFile: string | undefined): Configuration {
  const flags = { dataFolder: options.data, portBase: undefined, readyFile: undefined, configFile, help: false };
  return loadConfiguration({ arguments: flags, environment: terminal.environment, folder: terminal.folder });
}

async function opened(opening: Promise<Store>): Promise<Store> {
  try {
    return await opening;
  } catch (cause) {
    if (!(cause instanceof UpstreamError)) throw cause;
    const hint = 'name its folder (--data DIR); while a server uses it, stop the server or work through its API';
    throw new CliError(EXIT.unavailable, `the database cannot be opened: ${cause.message}`, hint, { cause });
  }
}
