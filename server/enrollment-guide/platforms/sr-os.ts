import { type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, REFERENCE, SECRET, TYPED } from '../platform.ts';
import { commentedPem } from './commented-pem.ts';

/** SR OS by CMPv2, in the MD-CLI; lines with // are of the classic one. Of EST only the data model is known. */
export const srOs: Platform = {
  name: 'sr-os',
  title: 'Nokia SR OS',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: { cmp: { basis: 'transcripts', keys: 'rsa', lines: cmpLines } },
};

function cmpLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const protection = secret === 'mac' ? ` protection-alg password ${SECRET} reference ${REFERENCE}` : '';
  return [
    ...commentedPem(facts.issuing, 'cf3:/muster-ca.pem'),
    '//admin certificate import type cert input cf3:/muster-ca.pem output muster-ca format pem',
    'edit-config exclusive',
    '/configure system security pki ca-profile MUSTER cert-file muster-ca',
    '/configure system security pki ca-profile MUSTER revocation-check crl-optional',
    `/configure system security pki ca-profile MUSTER cmpv2 url url-string ${url}`,
    '/configure system security pki ca-profile MUSTER admin-state enable',
    'commit',
    `//admin certificate gen-keypair cf3:/muster-key size ${rsaBits(facts)} type rsa`,
    '//admin certificate import type key input cf3:/muster-key output muster-key format der',
    '# The key pair was written as a plain file, which nothing needs any more:',
    '//file remove cf3:/muster-key force',
    `//admin certificate cmpv2 initial-registration ca MUSTER key-to-certify muster-key${protection} subject-dn CN=${DEVICE} save-as cf3:/muster.der`,
    '//admin certificate cmpv2 show-request ca MUSTER',
    '//admin certificate import type cert input cf3:/muster.der output muster format der',
    'admin save',
  ];
}
