import { type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, TYPED } from '../platform.ts';
import { carriedRequest } from './carried-request.ts';

/** NX-OS: cut and paste is the one way it knows. */
export const nxOs: Platform = {
  name: 'nx-os',
  title: 'Cisco NX-OS',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: {},
  byHand: { basis: 'transcripts', lines: byHandLines },
};

function byHandLines(facts: GuideFacts): string[] {
  return [
    '! The subject is always the switch’s own name: hostname and ip domain-name come first.',
    'configure terminal',
    `crypto key generate rsa label MUSTER modulus ${rsaBits(facts)}`,
    'crypto ca trustpoint MUSTER',
    ' enrollment terminal',
    ` rsakeypair MUSTER ${rsaBits(facts)}`,
    ' exit',
    '! Issuing CA first, then the root. It prints a fingerprint (MD5, SHA-1 or SHA-256 by release): compare.',
    '! Some releases end the input with "quit": it says which.',
    'crypto ca authenticate MUSTER',
    facts.issuing.pem,
    ...(facts.root.pem === facts.issuing.pem ? [] : [facts.root.pem]),
    'END OF INPUT',
    '! It asks for a challenge password, which nobody looks at here, and answers with the request:',
    'crypto ca enroll MUSTER',
    ...carriedRequest(facts, '!', `${DEVICE}.csr`),
    '! Then paste the certificate:',
    'crypto ca import MUSTER certificate',
    'end',
    'show crypto ca certificates MUSTER',
    'copy running-config startup-config',
  ];
}
