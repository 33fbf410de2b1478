import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Secret } from '../../core/keys/secret.ts';

/** Where references lead: the environment, and the folder that relative paths start from. */
export interface ReferenceScope {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

const pattern = /^(env|file):(.+)$/;

/** True for `env:NAME` and `file:PATH`. */
export function isReference(text: string): boolean {
  return pattern.test(text);
}

/**
 * Follows `env:NAME` or `file:PATH` to the secret, without the line end that editors add. A string is returned when it
 * leads nowhere: what is wrong, for the administrator.
 */
export function followReference(reference: string, scope: ReferenceScope): Secret | string {
  const [, kind, name] = pattern.exec(reference) ?? [];
  if (name === undefined) return 'expected env:NAME or file:PATH';
  const text = kind === 'env' ? scope.environment[name] : readText(resolve(scope.folder, name));
  if (text === undefined) return kind === 'env' ? `the variable ${name} is not set` : `the file ${name} cannot be read`;
  const secret = text.replace(/\r?\n$/, '');
  return secret === '' ? `${reference} is empty` : new Secret(secret);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
