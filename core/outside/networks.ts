import { PeerError } from '../errors/muster-error.ts';
import { ipAddressFromText } from '../x509/ip-address.ts';

/** A block of addresses. IPv4 is kept as IPv4-mapped IPv6, so that both spellings of an address are the same. */
export interface Network {
  /** 16 octets. */
  readonly octets: Uint8Array;
  /** Leading bits that count, 0 to 128. */
  readonly prefix: number;
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** The 16 octets of an address in text; undefined for what is none. */
export function addressOctets(text: string): Uint8Array | undefined {
  try {
    return mapped(ipAddressFromText(text));
  } catch {
    return undefined;
  }
}

/**
 * A block in CIDR notation (RFC 4632, RFC 4291 §2.3); a bare address is a block of one.
 * @throws PeerError `malformed-request` for anything else.
 */
export function parseNetwork(text: string): Network {
  const [address = '', bits, ...rest] = text.split('/', 3);
  const octets = addressOctets(address);
  const isIpv4 = !address.includes(':');
  const width = isIpv4 ? 32 : 128;
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (octets === undefined || rest.length > 0 || !(length <= width))
    throw new PeerError('malformed-request', `expected a network like 10.0.0.0/8, found ${JSON.stringify(text)}`);
  return { octets, prefix: isIpv4 ? length + 96 : length };
}

/** Whether an address (16 octets) lies in a block. */
export function contains({ octets, prefix }: Network, address: Uint8Array): boolean {
  const whole = prefix >> 3;
  for (let index = 0; index < whole; index += 1) if (octets[index] !== address[index]) return false;
  const rest = prefix & 7;
  return rest === 0 || ((octets[whole]! ^ address[whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

/**
 * The IPv4 addresses that a packet to this IPv6 address may end at: IPv4-compatible (RFC 4291 §2.5.5.1), NAT64 (RFC 6052 §2.1),
 * 6to4 (RFC 3056 §2) and Teredo (RFC 4380 §4). IPv4-mapped ones are IPv4 here anyway.
 */
export function embeddedAddresses(address: Uint8Array): Uint8Array[] {
  if (contains(NAT64, address) || contains(COMPATIBLE, address)) return [mapped(address.subarray(12))];
  if (contains(SIX_TO_FOUR, address)) return [mapped(address.subarray(2, 6))];
  if (contains(TEREDO, address)) return [mapped(address.subarray(12).map((octet) => octet ^ 0xff))];
  return [];
}

function mapped(octets: Uint8Array): Uint8Array {
  return octets.length === 16 ? octets : Uint8Array.from([...MAPPED, ...octets]);
}

const NAT64 = parseNetwork('64:ff9b::/96');
const COMPATIBLE = parseNetwork('::/96');
const SIX_TO_FOUR = parseNetwork('2002::/16');
const TEREDO = parseNetwork('2001::/32');
