import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { PeerError } from '../../core/errors/muster-error.ts';
import { addressOctets, contains, parseNetwork } from '../../core/outside/networks.ts';
import { addressFault, type OutsidePolicy } from '../../core/outside/policy.ts';
import { ipAddressToText } from '../../core/x509/ip-address.ts';

function policy(allowed: string[] = [], denied: string[] = [], special: OutsidePolicy['specialAddresses'] = 'never') {
  return {
    allowed: allowed.map(parseNetwork),
    denied: denied.map(parseNetwork),
    ports: [80],
    specialAddresses: special,
  };
}

describe('which addresses may be reached (V40)', () => {
  it.each(['1.1.1.1', '9.255.255.255', '172.32.0.1', '2606:4700::1111', '64:ff9b::101:101', '2002:0101:0101::1'])(
    '%s may',
    (address) => expect(addressFault(policy(), address)).toBeUndefined(),
  );

  it.each([
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '198.18.0.1',
    '192.0.2.1',
    'fd00::1',
    'fec0::1',
    '2001:db8::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    '2002:a00:1::1',
    '::10.0.0.1',
  ])('%s may where it is allowed, and not otherwise', (address) => {
    expect(addressFault(policy(), address)).toMatch(/private/);
    const all = ['0.0.0.0/0', '::/0'];
    expect(addressFault(policy(all), address)).toBeUndefined();
  });

  it.each([
    '127.0.0.1',
    '127.255.0.9',
    '0.0.0.0',
    '169.254.169.254',
    '169.254.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '::',
    '::1',
    'fe80::1',
    'ff02::1',
    'fd00:ec2::254',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '::127.0.0.1',
    // Teredo: the client's IPv4 address stands inverted in the last 32 bits.
    '2001::80ff:fffe',
  ])('%s never', (address) => {
    expect(addressFault(policy(['0.0.0.0/0', '::/0', `${address}`]), address)).toMatch(/loopback|link-local|metadata/);
  });

  it('loopback by its own name in tests alone', () => {
    expect(addressFault(policy(['127.0.0.1'], [], 'as-listed'), '127.0.0.1')).toBeUndefined();
    expect(addressFault(policy(['10.0.0.0/8'], [], 'as-listed'), '127.0.0.1')).toMatch(/private/);
  });

  it('the longest prefix counts, and of equal ones the denial', () => {
    const closed = policy(['10.1.0.0/16'], ['0.0.0.0/0', '10.1.2.0/24', '::/0']);
    expect(addressFault(closed, '10.1.1.1')).toBeUndefined();
    for (const address of ['10.1.2.1', '10.2.0.1', '1.1.1.1', '2606:4700::1111', '::ffff:10.1.2.1'])
      expect(addressFault(closed, address)).toMatch(/denied/);
    expect(addressFault(policy(['10.0.0.0/8'], ['10.0.0.0/8']), '10.0.0.1')).toMatch(/denied/);
  });

  it('what is no address never', () => expect(addressFault(policy(), 'router1')).toMatch(/no address/));

  it.each(['', '10.0.0.0/33', '10.0.0/8', '::/129', '10.0.0.0/8/8', '10.0.0.0/-1', 'fe80::1%eth0/64'])(
    '%j is no network',
    (text) => expect(() => parseNetwork(text)).toThrow(PeerError),
  );

  it('a block holds what shares its leading bits', () => {
    const octets = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const property = fc.property(octets, octets, fc.integer({ min: 0, max: 128 }), (one, other, prefix) => {
      const bits = (address: Uint8Array): string => Array.from(address, (o) => o.toString(2).padStart(8, '0')).join('');
      const same = bits(one).slice(0, prefix) === bits(other).slice(0, prefix);
      const network = parseNetwork(`${ipAddressToText(one)}/${prefix}`);
      expect(contains(network, addressOctets(ipAddressToText(other))!)).toBe(same);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
