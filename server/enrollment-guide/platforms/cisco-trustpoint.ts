import { type AuthorityFacts, type Door, type GuideFacts, hasRootOfItsOwn, rsaBits } from '../guide-facts.ts';
import { DEVICE, SECRET, type Section } from '../platform.ts';

/** SCEP of IOS and IOS XE: a trustpoint below one that holds the root, because each holds one CA certificate. */
export const trustpointByScep: Section = { basis: 'transcripts', keys: 'rsa', lines: scepLines };

/** A root by paste, in a trustpoint of its own. */
export function rootTrustpoint(name: string, root: AuthorityFacts): string[] {
  return [
    `crypto pki trustpoint ${name}`,
    ' enrollment terminal pem',
    ' revocation-check none',
    ' exit',
    '! It prints MD5 and SHA-1 of what is pasted: answer yes where they are those of the root above.',
    `crypto pki authenticate ${name}`,
    root.pem,
    'quit',
  ];
}

/** The key pair, made on the device and not exportable. */
export function rsaKeyPair(facts: GuideFacts): string {
  return `crypto key generate rsa general-keys label MUSTER modulus ${rsaBits(facts)}`;
}

/** What the request holds: with these lines the device asks no questions about it. */
export const REQUEST_LINES = [
  ` subject-name CN=${DEVICE}`,
  ' fqdn none',
  ' ip-address none',
  ' serial-number none',
] as const;

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const below = hasRootOfItsOwn(facts);
  return [
    'configure terminal',
    rsaKeyPair(facts),
    ...(below ? rootTrustpoint('MUSTER-ROOT', facts.root) : []),
    'crypto pki trustpoint MUSTER',
    ' enrollment mode ra',
    ` enrollment url ${url}`,
    ' ! SHA-1 of the issuing CA: the device compares it by itself and does not ask.',
    ` fingerprint ${facts.issuing.fingerprints.sha1.toUpperCase()}`,
    ...REQUEST_LINES,
    ...(secret === undefined ? [] : [` password ${SECRET}`]),
    ' revocation-check none',
    ' rsakeypair MUSTER',
    ' hash sha256',
    ...(below ? [' chain-validation continue MUSTER-ROOT'] : []),
    ' auto-enroll 70 regenerate',
    ' exit',
    'crypto pki authenticate MUSTER',
    'crypto pki enroll MUSTER',
    'end',
    'show crypto pki certificates verbose MUSTER',
    '! Key and certificate survive a reload only once they are saved:',
    'write memory',
  ];
}
