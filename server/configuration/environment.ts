import { type TSchema, Type } from 'typebox';
import { suggestion } from './nearest-name.ts';
import { visitSettings } from './settings.ts';

/** Variables of the command line client, which are not settings of the server. */
const clientVariables = ['MUSTER_SERVER', 'MUSTER_TOKEN_FILE', 'MUSTER_CA_FILE'];

/** What the environment says. */
export interface EnvironmentSettings {
  /** As deep as the file: only what is set. */
  readonly settings: Record<string, unknown>;
  /** A line for each MUSTER_ variable that names no setting: Kubernetes makes such ones by itself, so none is refused. */
  readonly warnings: readonly string[];
}

/** `['limits', 'bodyBytes']` → `MUSTER_LIMITS_BODY_BYTES`. */
export function environmentVariable(path: readonly string[]): string {
  return ['muster', ...path].map((key) => key.replace(/[A-Z]/g, (upper) => `_${upper}`).toUpperCase()).join('_');
}

/** Reads the settings that the environment holds. Lists of text are separated by commas; `tokens` stands in the file only. */
export function settingsOfEnvironment(environment: Readonly<Record<string, string | undefined>>): EnvironmentSettings {
  const settings: Record<string, unknown> = {};
  const known = new Set(clientVariables);
  visitSettings((path, schema) => {
    const parse = parserOf(schema);
    if (parse === undefined) return;
    const name = environmentVariable(path);
    known.add(name);
    const text = environment[name];
    if (text !== undefined) put(settings, path, parse(text));
  });
  const unknown = Object.keys(environment).filter((name) => name.startsWith('MUSTER_') && !known.has(name));
  const warnings = unknown.sort().map((name) => `the variable ${name} names no setting${suggestion(name, [...known])}`);
  return { settings, warnings };
}

/** How the text of a variable becomes a value; what does not fit is left as text for the schema to refuse. */
function parserOf(schema: TSchema): ((text: string) => unknown) | undefined {
  if (Type.IsInteger(schema)) return (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text);
  if (Type.IsArray(schema)) {
    if (!Type.IsString(schema.items)) return undefined;
    return (text) =>
      text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '');
  }
  return (text) => text;
}

function put(settings: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  if (rest.length === 0) settings[key] = value;
  else put((settings[key] ??= {}) as Record<string, unknown>, rest, value);
}
