import { readFileSync } from 'node:fs';

/** A message from `seeds/`; its README says how each was made. */
export function seedFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`seeds/${name}.der`, import.meta.url)));
}
