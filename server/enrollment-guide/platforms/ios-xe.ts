import { type Door, type GuideFacts } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';
import { REQUEST_LINES, rootTrustpoint, rsaKeyPair, trustpointByScep } from './cisco-trustpoint.ts';

/** IOS XE. */
export const iosXe: Platform = {
  name: 'ios-xe',
  title: 'Cisco IOS XE 16 and 17',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'words',
  sections: {
    est: { basis: 'documents', keys: 'rsa', obstacle: labelObstacle, lines: estLines },
    scep: trustpointByScep,
  },
};

// Its enrollment profile takes host and port.
function labelObstacle({ isDefault }: GuideFacts): string | undefined {
  return isDefault ? undefined : 'it is not known to take a label, and without one it reaches the default endpoint';
}

function estLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    'configure terminal',
    rsaKeyPair(facts),
    "! The EST server is trusted under the root of the server's TLS:",
    ...rootTrustpoint('MUSTER-TLS', facts.tlsRoot),
    'crypto pki profile enrollment MUSTER-EST',
    ' method-est',
    ` enrollment url ${new URL(url).origin}`,
    ...(secret === undefined ? [] : [` enrollment http username ${DEVICE} password 0 ${SECRET}`]),
    ' exit',
    'crypto pki trustpoint MUSTER',
    ' enrollment profile MUSTER-EST',
    ...REQUEST_LINES,
    ' revocation-check none',
    ' rsakeypair MUSTER',
    ' hash sha256',
    ' exit',
    'crypto pki authenticate MUSTER',
    'crypto pki enroll MUSTER',
    'end',
    'show crypto pki certificates verbose MUSTER',
    'write memory',
  ];
}
