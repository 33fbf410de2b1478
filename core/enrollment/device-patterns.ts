import { PeerError } from '../errors/muster-error.ts';

/** Bounds of a list of devices: each challenge is held against all of it. */
const MAX_PATTERNS = 1000;
const MAX_CHARACTERS = 255;

/**
 * A list of device names, in which `*` stands for any run of characters.
 * @throws PeerError `malformed-request` for an empty list, or a pattern that names nothing.
 */
export function requirePatterns(patterns: readonly string[]): readonly string[] {
  const fault = `allowed: expected 1 to ${MAX_PATTERNS} device names or patterns`;
  if (patterns.length === 0 || patterns.length > MAX_PATTERNS) throw new PeerError('malformed-request', fault);
  for (const pattern of patterns) {
    if (pattern.length > MAX_CHARACTERS || pattern.replaceAll('*', '').trim() === '')
      throw new PeerError('malformed-request', `${fault}, each with more to it than *`);
  }
  return patterns;
}

/** Whether a list holds a device name. Compared letter by letter, case included. */
export function allowsDevice(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

/** Compares with one step back for each `*`, at most pattern times name steps: a pattern cannot be made to run long. */
function matches(pattern: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let position = 0; position < name.length;) {
    if (pattern[at] === '*') {
      star = at;
      at += 1;
      resume = position;
    } else if (at < pattern.length && pattern[at] === name[position]) {
      at += 1;
      position += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      position = resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
