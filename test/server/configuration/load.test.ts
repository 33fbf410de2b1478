import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ConfigurationError } from '../../../server/configuration/configuration-error.ts';
import { environmentVariable } from '../../../server/configuration/environment.ts';
import { loadConfiguration, parseSettings } from '../../../server/configuration/load.ts';
import { parseServeArguments } from '../../../server/configuration/serve-arguments.ts';
import { visitSettings } from '../../../server/configuration/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'muster-configuration-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(options: { file?: string; flags?: string[]; environment?: Record<string, string> }) {
  const flags = [...(options.flags ?? [])];
  if (options.file !== undefined) {
    writeFileSync(join(folder, 'muster.yaml'), options.file);
    flags.push('--config', 'muster.yaml');
  }
  return loadConfiguration({ arguments: parseServeArguments(flags), environment: options.environment ?? {}, folder });
}

function problemsOf(action: () => unknown): readonly string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('configuration', () => {
  it('needs nothing', () => {
    const { dataFolder, store, listeners, redis } = load({});
    expect(dataFolder).toBe(join(folder, 'data'));
    expect(store).toEqual({ engine: 'sqlite', file: join(folder, 'data', 'muster.db') });
    expect(listeners.admin).toEqual({ host: '127.0.0.1', port: 9443 });
    expect(redis).toBeUndefined();
  });

  it('flags go before environment, environment before file, file before default', () => {
    const file = 'listeners: {plain: {port: 1001}, mtls: {port: 1002}}\nlimits: {bodyBytes: 5000}\nlog: {level: warn}';
    const environment = {
      MUSTER_LISTENERS_PLAIN_PORT: '2001',
      MUSTER_LIMITS_BODY_BYTES: '6000',
      MUSTER_PUBLIC_NAMES: 'a.example, b.example',
    };
    const mixed = load({ file, environment });
    expect(mixed.listeners.plain.port).toBe(2001);
    expect(mixed.listeners.mtls.port).toBe(1002);
    expect(mixed.listeners.tls.port).toBe(8444);
    expect(mixed.limits.bodyBytes).toBe(6000);
    expect(mixed.log.level).toBe('warn');
    expect(mixed.publicNames).toEqual(['a.example', 'b.example']);
    const flagged = load({ file, environment, flags: ['--port-base', '9000', '--data', 'elsewhere'] });
    expect(Object.values(flagged.listeners).map(({ port }) => port)).toEqual([9000, 9001, 9002, 9003]);
    expect(flagged.dataFolder).toBe(join(folder, 'elsewhere'));
  });

  it('tells every problem at once, with the nearest key', () => {
    const problems = problemsOf(() =>
      load({ file: 'listners: {}\nlimits: {bodyByte: 5, connections: -1}\nlog: {level: loud}\ntokens: [{label: a}]' }),
    );
    expect(problems).toContain('listners: unknown key; did you mean "listeners"?');
    expect(problems).toContain('limits.bodyByte: unknown key; did you mean "bodyBytes"?');
    expect(problems).toContain('limits.connections: must be >= 0');
    expect(problems.find((line) => line.startsWith('log.level'))).toContain('"silent"');
    expect(problems).toContain('tokens.0.pin: is required');
  });

  it('takes secrets by reference only, and shows none', () => {
    writeFileSync(join(folder, 'pin'), '1234\n');
    const file = 'tokens: [{label: t, module: /m.so, pin: "file:pin"}]\nstore: {url: "env:DATABASE"}';
    const configuration = load({ file, environment: { DATABASE: 'postgres://u:hidden@h/db' } });
    expect(configuration.tokens[0]!.pin.reveal()).toBe('1234');
    expect(configuration.tokens[0]).toMatchObject({ process: 'auto', operationTimeoutMs: 3_000 });
    expect(inspect(configuration, { depth: 9 })).not.toMatch(/1234|hidden/);
    const problems = problemsOf(() =>
      load({
        file: 'store: {url: "postgres://u:hidden@h/db"}\nredis: {url: "file:none"}\ntokens: [{label: t, module: m, pin: "1234"}]',
      }),
    );
    expect(problems.join()).not.toMatch(/hidden|1234/);
    expect(problems.join()).toContain('tokens.0.pin');
    const urls = problemsOf(() =>
      load({ file: 'store: {url: "postgres://u:hidden@h/db"}\nredis: {url: "file:none"}' }),
    );
    expect(urls).toEqual([
      'store.url: a URL with a password is a secret: put it in a file and write file:PATH',
      'redis.url: the file none cannot be read',
    ]);
  });

  it('refuses what is no YAML mapping, a file that is not there, and an alias bomb', () => {
    expect(problemsOf(() => load({ file: '- a\n- b' })).join()).toContain('mapping');
    expect(problemsOf(() => load({ file: 'a: [' }))).toHaveLength(1);
    expect(problemsOf(() => load({ flags: ['--config', 'none.yaml'] })).join()).toContain('cannot be read');
    const bomb = [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...'bcdefgh'
        .split('')
        .map(
          (key, index) => `${key}: &${key} [${Array.from({ length: 10 }, () => `*${'abcdefg'[index]}`).join(', ')}]`,
        ),
    ];
    expect(() => load({ file: bomb.join('\n') })).toThrow();
  });

  it('warns of variables that name no setting and refuses none', () => {
    const { warnings } = load({
      environment: { MUSTER_LOG_LEVL: 'info', MUSTER_PORT_8080_TCP: 'x', MUSTER_TOKEN_FILE: 'for the client' },
    });
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).toContain('did you mean "MUSTER_LOG_LEVEL"?');
  });

  it('refuses two tokens of one label', () => {
    writeFileSync(join(folder, 'pin'), '1234');
    const token = '{label: t, module: m, pin: "file:pin"}';
    expect(problemsOf(() => load({ file: `tokens: [${token}, ${token}]` }))).toEqual([
      'tokens: two have the label "t"',
    ]);
  });
});

describe('the flags of the server', () => {
  it('refuses unknown ones with the nearest, missing values and odd ports', () => {
    expect(problemsOf(() => parseServeArguments(['--redy-file', 'x'])).join()).toContain(
      'did you mean "--ready-file"?',
    );
    expect(problemsOf(() => parseServeArguments(['--data']))).toEqual(['--data: expected a value']);
    expect(problemsOf(() => parseServeArguments(['--port-base', '65533']))).toHaveLength(1);
    expect(problemsOf(() => parseServeArguments(['serve']))).toEqual(['unexpected argument "serve"']);
    expect(parseServeArguments(['--help']).help).toBe(true);
  });
});

describe('config/', () => {
  const full = readFileSync('config/muster.full.yaml', 'utf8');

  it('muster.full.yaml is exactly the defaults', () => {
    expect(parseSettings(parse(full))).toEqual(parseSettings({}));
  });

  it('muster.full.yaml names every key, commented out where there is no default', () => {
    const keys: string[] = [];
    visitSettings((path) => keys.push(path.at(-1)!));
    for (const key of [
      ...keys,
      'label',
      'module',
      'pin',
      'libraryParameters',
      'process',
      'operationTimeoutMs',
      'maxSessions',
      'queueLimit',
    ]) {
      expect(full, key).toMatch(new RegExp(`^[# -]*${key}:`, 'm'));
    }
  });

  it('muster.example.yaml loads', () => {
    expect(load({ file: readFileSync('config/muster.example.yaml', 'utf8') }).publicUrls.plain).toBe(
      'http://pki.example.net:8080',
    );
  });

  it('variables are named after their keys', () => {
    expect(environmentVariable(['publicUrls', 'plain'])).toBe('MUSTER_PUBLIC_URLS_PLAIN');
  });
});
