import { addressOctets, contains, embeddedAddresses, type Network, parseNetwork } from './networks.ts';

/** What of the world a conversation that others ask us to have may reach. */
export interface OutsidePolicy {
  /** Blocks that may be reached although they are private; the longest prefix of both lists counts. */
  readonly allowed: readonly Network[];
  /** Blocks that may not; of equal prefixes this one counts. */
  readonly denied: readonly Network[];
  /** Ports that may be connected to, redirects included. */
  readonly ports: readonly number[];
  /**
   * `never`: loopback, link-local, multicast, reserved and metadata addresses are out of reach whatever is allowed.
   * `as-listed`: they are reached where `allowed` names them; for tests.
   */
  readonly specialAddresses: 'never' | 'as-listed';
}

/**
 * Why an address may not be connected to; undefined for one that may. An IPv6 address that stands for an IPv4 one has to pass
 * as both (V40).
 */
export function addressFault(policy: OutsidePolicy, address: string): string | undefined {
  const octets = addressOctets(address);
  if (octets === undefined) return 'it is no address';
  for (const candidate of [octets, ...embeddedAddresses(octets)]) {
    const fault = faultOf(policy, candidate);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOf({ allowed, denied, specialAddresses }: OutsidePolicy, address: Uint8Array): string | undefined {
  const isSpecial = holds(SPECIAL, address);
  if (isSpecial && specialAddresses === 'never') return 'it is a loopback, link-local, metadata or reserved address';
  const deniedBits = longestPrefix(denied, address);
  const allowedBits = longestPrefix(allowed, address);
  if (deniedBits >= 0 && deniedBits >= allowedBits) return 'it lies in a network that is denied';
  if (allowedBits >= 0) return undefined;
  if (isSpecial || holds(PRIVATE, address)) return 'it lies in a private network that is not allowed';
  return undefined;
}

function longestPrefix(networks: readonly Network[], address: Uint8Array): number {
  return networks.reduce((longest, network) => {
    return contains(network, address) ? Math.max(longest, network.prefix) : longest;
  }, -1);
}

function holds(networks: readonly Network[], address: Uint8Array): boolean {
  return networks.some((network) => contains(network, address));
}

/** No service of somebody else's lives here: this host, this link, and what clouds tell their machines (RFC 6890). */
const SPECIAL = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
  // Metadata services of clouds outside link-local: Alibaba, Oracle, Azure, AWS, Google.
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd20:ce::254',
].map(parseNetwork);

/** Addresses that mean something inside one network only, or nothing at all (RFC 6890, RFC 3879, RFC 8215). */
const PRIVATE = [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '64:ff9b:1::/48',
  '100::/64',
  '2001:db8::/32',
  'fc00::/7',
  'fec0::/10',
].map(parseNetwork);
