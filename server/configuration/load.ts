import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { parseDocument } from 'yaml';
import type { Configuration } from './configuration.ts';
import { ConfigurationError } from './configuration-error.ts';
import { settingsOfEnvironment } from './environment.ts';
import { resolveSettings } from './resolve.ts';
import { schemaProblems } from './schema-problems.ts';
import type { ServeArguments } from './serve-arguments.ts';
import { type Settings, settingsSchema } from './settings.ts';

/** Where settings come from besides the file. */
export interface ConfigurationSources {
  readonly arguments: ServeArguments;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Working directory, for relative paths. */
  readonly folder: string;
}

/**
 * Reads the configuration: flags over environment over file over defaults. Throws ConfigurationError with everything
 * that is wrong at once: unknown keys (with the nearest known one), values out of range, references that lead nowhere.
 */
export function loadConfiguration(sources: ConfigurationSources): Configuration {
  const { configFile } = sources.arguments;
  const file = configFile === undefined ? undefined : resolve(sources.folder, configFile);
  const environment = settingsOfEnvironment(sources.environment);
  const layers = [
    file === undefined ? {} : readSettings(file),
    environment.settings,
    settingsOfArguments(sources.arguments),
  ];
  const settings = parseSettings(layers.reduce(overlay, {}));
  return resolveSettings(settings, {
    folder: sources.folder,
    referenceFolder: file === undefined ? sources.folder : dirname(file),
    environment: sources.environment,
    warnings: environment.warnings,
  });
}

/** Checks what was written and fills in the defaults. */
export function parseSettings(written: unknown): Settings {
  const complete = Value.Default(settingsSchema, structuredClone(written));
  const validator = Compile(settingsSchema);
  if (validator.Check(complete)) return complete;
  throw new ConfigurationError(
    schemaProblems(validator, complete).map(({ path, message }) => `${keyOf(path)}: ${message}`),
  );
}

function readSettings(file: string): Record<string, unknown> {
  const document = parseDocument(readText(file), { prettyErrors: true });
  const [fault] = document.errors;
  if (fault !== undefined) throw new ConfigurationError([`${file}: ${fault.message}`]);
  // An alias bomb (YAML's "billion laughs") is stopped by the bound.
  const value: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  if (isRecord(value)) return value;
  throw new ConfigurationError([`${file}: expected a mapping of settings at the top`]);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigurationError([`the configuration file ${file} cannot be read`], { cause });
  }
}

function settingsOfArguments({ dataFolder, portBase }: ServeArguments): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  if (dataFolder !== undefined) settings.data = dataFolder;
  if (portBase !== undefined) {
    settings.listeners = {
      plain: { port: portBase },
      mtls: { port: portBase + 1 },
      tls: { port: portBase + 2 },
      admin: { port: portBase + 3 },
    };
  }
  return settings;
}

/** Lays one layer over another; lists are replaced whole. */
function overlay(below: Record<string, unknown>, above: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const old = merged[key];
    merged[key] = isRecord(value) && isRecord(old) ? overlay(old, value) : value;
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `/limits/bodyBytes` → `limits.bodyBytes`. */
function keyOf(path: string): string {
  return path === '' ? 'the configuration' : path.slice(1).replaceAll('/', '.');
}
