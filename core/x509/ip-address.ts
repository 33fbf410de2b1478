import { X509Error } from './x509-error.ts';

/**
 * Text of an IPv4 (4 octets) or IPv6 (16 octets) address: dotted quad, or the canonical form of RFC 5952 §4 (lower
 * case, no leading zeros, the first longest run of zero groups as `::`). Throws X509Error on any other length.
 */
export function ipAddressToText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  if (octets.length !== 16) throw new X509Error('iPAddress', '4 or 16 octets', `${octets.length} octets`);
  const groups = Array.from({ length: 8 }, (_, i) => (octets[2 * i]! << 8) | octets[2 * i + 1]!);
  const run = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (run.length < 2) return hex.join(':');
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`;
}

/**
 * Octets of an IPv4 dotted quad (no leading zeros) or an IPv6 address in any form of RFC 4291 §2.2, without zone.
 * Throws X509Error on anything else.
 */
export function ipAddressFromText(text: string): Uint8Array {
  const octets = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (octets === undefined) throw new X509Error('iPAddress', 'an IPv4 or IPv6 address', JSON.stringify(text));
  return Uint8Array.from(octets);
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  groups.forEach((group, i) => {
    if (group !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  });
  return best;
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.', 5);
  const valid = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return valid ? parts.map(Number) : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::', 3);
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  // RFC 4291 §2.2: `::` stands for one or more groups of zeros.
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const octets: number[] = [];
  const parts = text.split(':', 9);
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes('.')) {
      const quad = parseIpv4(part);
      return quad === undefined ? undefined : [...octets, ...quad];
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
    const group = Number.parseInt(part, 16);
    octets.push(group >> 8, group & 0xff);
  }
  return octets;
}
