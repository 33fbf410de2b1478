import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';

/** IOS XR by SCEP. Its EST client (25.1.1 on) wants credential lines that no source at hand shows. */
export const iosXr: Platform = {
  name: 'ios-xr',
  title: 'Cisco IOS XR',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'plain',
  sections: { scep: { basis: 'documents', keys: 'rsa', lines: scepLines } },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    `! It asks "How many bits in the modulus": ${rsaBits(facts)}`,
    'crypto key generate rsa MUSTER',
    'configure',
    'crypto ca trustpoint MUSTER',
    ` enrollment url ${url}`,
    ' rsakeypair MUSTER',
    ` subject-name CN=${DEVICE}`,
    ' crl optional',
    ' commit',
    ' end',
    '! Answer yes where the fingerprint is that of the issuing CA above:',
    'crypto ca authenticate MUSTER',
    ...(secret === undefined ? [] : [`! It asks for the challenge password, twice: ${SECRET}`]),
    'crypto ca enroll MUSTER',
    'show crypto ca certificates',
  ];
}
