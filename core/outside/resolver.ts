import { promises as dns } from 'node:dns';

import { PeerError } from '../errors/muster-error.ts';
import { OutsideError } from './outside-error.ts';

/** DNS as the policy of an endpoint wants it asked. */
export interface OutsideResolver {
  /** IPv6 and IPv4 addresses of a name, in that order. @throws OutsideError `name` when there is none. */
  addresses(name: string, signal: AbortSignal): Promise<readonly string[]>;
  /** TXT records of a name, the strings of each joined; aliases are followed. @throws OutsideError `name`. */
  texts(name: string, signal: AbortSignal): Promise<readonly string[]>;
  /** CAA records of this very name (RFC 8659 §4). @throws OutsideError `name`. */
  caa(name: string, signal: AbortSignal): Promise<readonly CaaRecord[]>;
}

/** One property of a CAA record (RFC 8659 §4.1). */
export interface CaaRecord {
  readonly critical: boolean;
  /** `issue`, `issuewild`, `iodef`, or one that nobody knows. */
  readonly tag: string;
  readonly value: string;
}

const QUERY_TIMEOUT_MS = 3_000;
const TRIES = 2;
/** More addresses or records than any honest name has are not looked at (V37). */
const MAX_RECORDS = 64;
/** Answers that say that there is nothing of this kind. */
const NOTHING: readonly unknown[] = ['ENODATA', 'ENOTFOUND'];

/**
 * @throws PeerError `malformed-request` for a text that names no resolver (`address`, `address:port`, `[address]:port`).
 */
export function requireResolver(text: string): void {
  try {
    new dns.Resolver().setServers([text]);
  } catch (error) {
    throw new PeerError('malformed-request', `expected the address of a name server, found ${JSON.stringify(text)}`, {
      cause: error,
    });
  }
}

/** Asks the resolvers given (`address`, `address:port`, `[address]:port`), those of this host without any. */
export function outsideResolver(servers: readonly string[]): OutsideResolver {
  return {
    async addresses(name, signal) {
      const [six, four] = await asked(servers, signal, (resolver) =>
        Promise.all([found(name, () => resolver.resolve6(name)), found(name, () => resolver.resolve4(name))]),
      );
      const all = [...six, ...four].slice(0, MAX_RECORDS);
      if (all.length === 0) throw new OutsideError('name', `${name} has no address`);
      return all;
    },
    async texts(name, signal) {
      const records = await asked(servers, signal, (resolver) => found(name, () => resolver.resolveTxt(name)));
      return records.slice(0, MAX_RECORDS).map((strings) => strings.join(''));
    },
    async caa(name, signal) {
      const records = await asked(servers, signal, (resolver) => found(name, () => resolver.resolveCaa(name)));
      if (records.length > MAX_RECORDS)
        throw new OutsideError('name', `${name} has more CAA records than any name needs`);
      return records.flatMap((record) => propertiesOf(record));
    },
  };
}

/** Node has each property as a member. */
function propertiesOf(record: object): readonly CaaRecord[] {
  const { critical = 0, type: _type, ...properties } = record as Readonly<Record<string, unknown>>;
  return Object.entries(properties).map(([tag, value]) => ({ critical: critical !== 0, tag, value: String(value) }));
}

async function asked<T>(
  servers: readonly string[],
  signal: AbortSignal,
  question: (resolver: dns.Resolver) => Promise<T>,
): Promise<T> {
  const resolver = new dns.Resolver({ timeout: QUERY_TIMEOUT_MS, tries: TRIES });
  if (servers.length > 0) resolver.setServers([...servers]);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await question(resolver);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

async function found<T>(name: string, ask: () => Promise<T[]>): Promise<T[]> {
  try {
    return await ask();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (NOTHING.includes(code)) return [];
    throw new OutsideError('name', `the name server gave no answer about ${name} (${String(code)})`, error);
  }
}
