import { type Door, type GuideFacts } from '../guide-facts.ts';
import { DEVICE, type Platform, REFERENCE, SECRET, TYPED } from '../platform.ts';

/** Huawei VRP with PKI realms: SCEP and CMPv2. */
export const vrp: Platform = {
  name: 'vrp',
  title: 'Huawei VRP (pki realm)',
  comment: '#',
  asks: true,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: {
    scep: { basis: 'documents', keys: 'rsa', lines: scepLines },
    cmp: { basis: 'documents', keys: 'rsa', lines: cmpLines },
  },
};

const ENTITY = [
  'system-view',
  'pki rsa local-key-pair create MUSTER',
  'pki entity MUSTER',
  ` common-name ${DEVICE}`,
  ' quit',
];

function scepLines({ label, issuing }: GuideFacts, { url, secret }: Door): string[] {
  return [
    ...ENTITY,
    'pki realm MUSTER',
    ` ca id ${label}`,
    ' entity MUSTER',
    ` enrollment-url ${url} ra`,
    ' # SHA-256 of the issuing CA:',
    ` fingerprint sha256 ${issuing.fingerprints.sha256}`,
    ...(secret === undefined ? [] : [` password cipher ${SECRET}`]),
    ' rsa local-key-pair MUSTER',
    ' enrollment-request signature message-digest-method sha-256',
    ' auto-enroll 60 regenerate',
    ' quit',
    '# Where the prompt shows an asterisk: commit',
    'pki get-certificate ca realm MUSTER',
    'pki enroll-certificate realm MUSTER',
    'display pki certificate local realm MUSTER',
    'return',
    'save',
  ];
}

function cmpLines({ issuing }: GuideFacts, { url, secret }: Door): string[] {
  return [
    ...ENTITY,
    'pki cmp session MUSTER',
    ' cmp-request entity MUSTER',
    ' # The CA’s name, its fields in the order of its certificate:',
    ` cmp-request ca-name "${issuing.subject.replaceAll('"', '')}"`,
    ` cmp-request server url ${url}`,
    ' cmp-request rsa local-key-pair MUSTER regenerate',
    ...(secret === 'mac' ? [` cmp-request message-authentication-code ${REFERENCE} ${SECRET}`] : []),
    ' certificate auto-update enable',
    ' quit',
    '# Where the prompt shows an asterisk: commit',
    'pki cmp initial-request session MUSTER',
    'return',
    'save',
  ];
}
