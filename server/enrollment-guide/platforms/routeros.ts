import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, SECRET, TYPED } from '../platform.ts';
import { commentedPem } from './commented-pem.ts';

/** RouterOS by SCEP: the one way in which its key never leaves the store. */
export const routeros: Platform = {
  name: 'routeros',
  title: 'MikroTik RouterOS 7',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'lower',
  sections: { scep: { basis: 'transcripts', keys: 'rsa', lines: scepLines } },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const challenge = secret === undefined ? '' : ` challenge-password="${SECRET}"`;
  return [
    ...commentedPem(facts.root, 'muster-root.crt'),
    '/certificate import file-name=muster-root.crt passphrase="" name=muster-root trusted=yes',
    `/certificate add name=muster-template common-name="${DEVICE}" subject-alt-name="DNS:${DEVICE}" key-size=${rsaBits(facts)} key-usage=digital-signature,key-encipherment`,
    `/certificate add-scep template=muster-template scep-url="${url}"${challenge}`,
    '# Its fingerprints are SHA-256; the CA’s must be the one above:',
    '/certificate print detail',
  ];
}
