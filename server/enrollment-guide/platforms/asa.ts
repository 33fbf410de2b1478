import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';

/** ASA by SCEP. It takes no certificate that is signed by RSASSA-PSS. */
export const asa: Platform = {
  name: 'asa',
  title: 'Cisco ASA 9.16 and later',
  comment: '!',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'lowerWords',
  sections: { scep: { basis: 'transcripts', keys: 'rsa', lines: scepLines } },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    'configure terminal',
    `crypto key generate rsa label MUSTER modulus ${rsaBits(facts)} noconfirm`,
    'crypto ca trustpoint MUSTER',
    '! Before 9.16: enrollment url …',
    ` enrollment protocol scep url ${url}`,
    ` fqdn ${DEVICE}`,
    ` subject-name CN=${DEVICE}`,
    ' keypair MUSTER',
    ' revocation-check none',
    ' exit',
    '! It prints the fingerprint of the issuing CA (MD5): answer yes where it is the one above.',
    'crypto ca authenticate MUSTER',
    ...(secret === undefined ? [] : [`! It asks for the challenge password, twice: ${SECRET}`]),
    'crypto ca enroll MUSTER',
    'end',
    'show crypto ca certificates MUSTER',
    'write memory',
  ];
}
