import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { parse as parseYaml } from 'yaml';
import { CliError, EXIT } from './exit-code.ts';

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800, y: 31_536_000 };

/** `90`, `30m`, `24h`, `7d`, `1y` in seconds. For commander. */
export function parseDuration(text: string): number {
  const [, amount, unit = 's'] = /^(\d{1,9})([smhdwy])?$/.exec(text) ?? [];
  if (amount === undefined) throw new InvalidArgumentError('expected a duration such as 30m, 24h or 7d');
  return Number(amount) * unitSeconds[unit]!;
}

/** A whole number from 1. For commander. */
export function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1');
}

/**
 * `approval=manual protocols.est.wrapping=none` as an object. Values are YAML: `[a, b]`, `true`, `30`, `null`.
 * Throws CliError `usage`.
 */
export function parseAssignments(assignments: readonly string[]): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=');
    const path = assignment.slice(0, Math.max(0, equals)).split('.');
    if (equals < 1 || path.some((key) => !/^[a-z][A-Za-z]*$/.test(key))) {
      throw new CliError(
        EXIT.usage,
        `expected KEY=VALUE, found ${assignment}`,
        'for example approval=manual or protocols.est.wrapping=none',
      );
    }
    put(settings, path, parseValue(assignment.slice(equals + 1)));
  }
  return settings;
}

/** An object from a YAML or JSON file. Throws CliError `usage`. */
export function readSettingsFile(file: string): Record<string, unknown> {
  try {
    const value: unknown = parseYaml(readFileSync(file, 'utf8'), { maxAliasCount: 100 });
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read as YAML or JSON`, undefined, { cause });
  }
  throw new CliError(EXIT.usage, `${file}: expected a mapping of settings`);
}

/** The first line of a file: a secret does not go on a command line, which every process can read. Throws CliError `usage`. */
export function readSecretFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0]!;
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
  }
}

function parseValue(text: string): unknown {
  try {
    return parseYaml(text, { maxAliasCount: 0 });
  } catch {
    return text;
  }
}

function put(settings: Record<string, unknown>, [key, ...rest]: readonly string[], value: unknown): void {
  if (key === undefined) return;
  if (rest.length === 0) {
    settings[key] = value;
    return;
  }
  const inner = settings[key];
  const nested = typeof inner === 'object' && inner !== null ? { ...inner } : {};
  settings[key] = nested;
  put(nested, rest, value);
}

/** A point in time (RFC 3339) in UTC. */
export function parseTime(text: string): string {
  if (Number.isNaN(Date.parse(text))) throw new InvalidArgumentError('expected a time such as 2026-11-22T10:00:00Z');
  return new Date(text).toISOString();
}
