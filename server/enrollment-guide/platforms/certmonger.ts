import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import type { Placeholders, Platform } from '../platform.ts';

const SECRET_FILE = '/etc/pki/muster/enrollment-secret';
const IN_CERTMONGER: Placeholders = { device: '$name', secret: SECRET_FILE, reference: '$reference' };

/** certmonger by SCEP: it also renews by itself. */
export const certmonger: Platform = {
  name: 'certmonger',
  title: 'certmonger',
  comment: '#',
  asks: false,
  placeholders: IN_CERTMONGER,
  fingerprints: 'words',
  sections: { scep: { basis: 'manual', keys: 'rsa', lines: scepLines } },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const challenge = secret === undefined ? '' : ` -l ${SECRET_FILE}`;
  return [
    'name="${name:-$(hostname -f)}"',
    `getcert add-scep-ca -c muster -u ${url}`,
    '# It prints MD5 and SHA-1 of the CA certificate: compare with those above.',
    'getcert list-cas -c muster',
    `getcert request -c muster -k /etc/pki/muster/device.key -f /etc/pki/muster/device.pem -g ${rsaBits(facts)} -N "CN=$name" -D "$name"${challenge}`,
    'getcert list -c muster',
  ];
}
