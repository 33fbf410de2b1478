import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Every file below a folder. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** Whether octets hold a private key in the clear: PEM, or DER of PKCS #8, PKCS #1 or SEC 1 at any offset. */
export function holdsPrivateKey(octets: Buffer): boolean {
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(octets.toString('latin1'))) return true;
  for (let at = octets.indexOf(SEQUENCE); at !== -1; at = octets.indexOf(SEQUENCE, at + 1)) {
    if (startsLikePrivateKey(octets, at) && isPrivateKey(octets.subarray(at))) return true;
  }
  return false;
}

/** The files below a folder that hold a private key in the clear. */
export function filesWithPrivateKeys(folder: string): string[] {
  return filesBelow(folder).filter((path) => holdsPrivateKey(readFileSync(path)));
}

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** SEQUENCE { INTEGER version (0 or 1) …: each of the three begins so. */
function startsLikePrivateKey(octets: Buffer, at: number): boolean {
  const length = octets[at + 1] ?? 0;
  const content = at + 2 + (length > 0x80 ? length - 0x80 : 0);
  const [tag, size, version = 255] = octets.subarray(content, content + 3);
  return tag === INTEGER && size === 1 && version <= 1;
}

function isPrivateKey(octets: Buffer): boolean {
  const whole = octets.subarray(0, lengthOf(octets));
  return (['pkcs8', 'pkcs1', 'sec1'] as const).some((type) => {
    try {
      createPrivateKey({ key: whole, format: 'der', type });
      return true;
    } catch {
      return false;
    }
  });
}

/** Octets of the element that octets begin with. */
function lengthOf(octets: Buffer): number {
  const first = octets[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const size = first - 0x80;
  return size >= 1 && size <= 4 && octets.length >= 2 + size ? 2 + size + octets.readUIntBE(2, size) : octets.length;
}
