import { type Door, type GuideFacts } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';

/** AOS-CX by EST. A CA with an EC key wants a certificate with an EC key, so that is what is asked for. */
export const aosCx: Platform = {
  name: 'aos-cx',
  title: 'HPE Aruba AOS-CX 10.06 and later',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: { est: { basis: 'documents', keys: 'any', lines: estLines } },
};

function estLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    'configure terminal',
    "! The EST server is trusted under the root of the server's TLS. After the paste it shows serial number and subject.",
    'crypto pki ta-profile MUSTER-TLS',
    ' ta-certificate import terminal',
    facts.tlsRoot.pem,
    'END_OF_CERTIFICATE',
    ' exit',
    'crypto pki est-profile MUSTER',
    ...(secret === undefined ? [] : [` username ${DEVICE} password plaintext ${SECRET}`]),
    ` arbitrary-label ${facts.label}`,
    ' reenrollment-lead-time 30',
    ' ! Setting the URL fetches the CA certificates: it comes last.',
    ` url ${new URL(url).origin}/.well-known/est`,
    ' exit',
    'crypto pki certificate MUSTER',
    ` subject common-name ${DEVICE}`,
    keyType(facts),
    ' enroll est-profile MUSTER',
    ' exit',
    'end',
    'show crypto pki certificate MUSTER',
    'write memory',
  ];
}

function keyType({ keys: { ec, rsa } }: GuideFacts): string {
  if (ec.includes('P-256')) return ' key-type ecdsa curve-size 256';
  return ec.includes('P-384') ? ' key-type ecdsa curve-size 384' : ` key-type rsa key-size ${rsa?.minBits ?? 2048}`;
}
