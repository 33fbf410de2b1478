import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';
import { carriedRequest } from './carried-request.ts';

/** PAN-OS: a SCEP profile in the web interface; no command line for it is known. Otherwise a request by hand. */
export const panos: Platform = {
  name: 'panos',
  title: 'Palo Alto PAN-OS',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'plain',
  sections: { scep: { basis: 'documents', keys: 'rsa', lines: scepLines } },
  byHand: { basis: 'transcripts', lines: byHandLines },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    '# Device > Certificate Management > SCEP > Add, with these values:',
    'Name                     muster',
    `SCEP Challenge           ${secret === undefined ? 'None' : 'Fixed'}`,
    ...(secret === undefined ? [] : [`Password                 ${SECRET}`]),
    `Server URL               ${url}`,
    `CA-IDENT Name            ${facts.label}`,
    `Subject                  CN=${DEVICE}`,
    `Number of Bits           ${rsaBits(facts)}`,
    'Digest for CSR           sha256',
    `CA Certificate Fingerprint   ${facts.issuing.fingerprints.sha1.toUpperCase()}`,
    '# Challenge "Dynamic" needs the endpoint to offer its page of one-time challenges (protocols.scep.ndesPage).',
  ];
}

function byHandLines(facts: GuideFacts): string[] {
  return [
    `request certificate generate signed-by external filename MUSTER certificate-name MUSTER name ${DEVICE} algorithm RSA rsa-nbits ${rsaBits(facts)} digest sha256 hostname [ ${DEVICE} ]`,
    '# Export the request: Device > Certificate Management > Certificates, or by the API:',
    '#   GET /api/?type=export&category=certificate&certificate-name=MUSTER&format=pkcs10&include-key=no',
    ...carriedRequest(facts, '#', `${DEVICE}.csr`),
    '# Import the certificate under the same name: it joins its key.',
  ];
}
