import { type AuthorityFacts, type Door, type GuideFacts, hasRootOfItsOwn, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, REFERENCE, SECRET, TYPED } from '../platform.ts';
import { commentedPem } from './commented-pem.ts';

/** Junos: SCEP and CMPv2. One ca-profile holds one CA certificate. */
export const junos: Platform = {
  name: 'junos',
  title: 'Juniper Junos (SRX, MX, EX)',
  comment: '#',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'lowerColons',
  sections: {
    scep: { basis: 'transcripts', keys: 'rsa', lines: scepLines },
    cmp: { basis: 'transcripts', keys: 'rsa', lines: cmpLines },
  },
};

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const challenge = secret === undefined ? '' : ` challenge-password ${SECRET}`;
  return [
    ...profiles(facts, url),
    '# It prints SHA-1 and MD5: answer yes where they are those of the issuing CA above.',
    'request security pki ca-certificate enroll ca-profile MUSTER',
    ...rootFile(facts),
    keyPair(facts),
    `request security pki local-certificate enroll scep certificate-id MUSTER ca-profile MUSTER${challenge} domain-name ${DEVICE} subject "CN=${DEVICE}" digest sha-256`,
    'show security pki local-certificate certificate-id MUSTER detail',
  ];
}

function cmpLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const credential = secret === 'mac' ? ` ca-secret ${SECRET} ca-reference ${REFERENCE}` : '';
  return [
    ...profiles(facts, url),
    ...load('MUSTER', facts.issuing, '/var/tmp/muster-ca.pem'),
    ...rootFile(facts),
    keyPair(facts),
    `request security pki local-certificate enroll cmpv2 ca-profile MUSTER ca-dn ${quoted(facts.issuing.subject)}${credential} certificate-id MUSTER subject "CN=${DEVICE}" domain-name ${DEVICE}`,
    'show security pki local-certificate certificate-id MUSTER detail',
  ];
}

function profiles(facts: GuideFacts, url: string): string[] {
  return [
    'configure',
    'set security pki ca-profile MUSTER ca-identity MUSTER',
    `set security pki ca-profile MUSTER enrollment url ${url} retry 5 retry-interval 60`,
    'set security pki ca-profile MUSTER revocation-check disable',
    ...(hasRootOfItsOwn(facts)
      ? [
          'set security pki ca-profile MUSTER-ROOT ca-identity MUSTER-ROOT',
          'set security pki ca-profile MUSTER-ROOT revocation-check disable',
          'set security pki trusted-ca-group MUSTER ca-profiles [ MUSTER MUSTER-ROOT ]',
        ]
      : []),
    'commit',
    'exit',
  ];
}

function load(profile: string, authority: AuthorityFacts, file: string): string[] {
  return [
    ...commentedPem(authority, file),
    `request security pki ca-certificate load ca-profile ${profile} filename ${file}`,
  ];
}

function rootFile(facts: GuideFacts): string[] {
  return hasRootOfItsOwn(facts) ? load('MUSTER-ROOT', facts.root, '/var/tmp/muster-root.pem') : [];
}

function keyPair(facts: GuideFacts): string {
  return `request security pki generate-key-pair certificate-id MUSTER size ${rsaBits(facts)} type rsa`;
}

function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
