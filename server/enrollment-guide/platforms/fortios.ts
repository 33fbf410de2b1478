import { type AuthorityFacts, type Door, type GuideFacts, rsaBits } from '../guide-facts.ts';
import { DEVICE, type Platform, REFERENCE, SECRET, TYPED } from '../platform.ts';

/** FortiOS: SCEP, EST and CMPv2. */
export const fortios: Platform = {
  name: 'fortios',
  title: 'Fortinet FortiOS 7.4.1 and later',
  comment: '#',
  asks: false,
  placeholders: TYPED,
  fingerprints: 'colons',
  sections: {
    est: { basis: 'documents', keys: 'any', lines: estLines },
    scep: { basis: 'documents', keys: 'rsa', lines: scepLines },
    cmp: { basis: 'documents', keys: 'rsa', lines: cmpLines },
  },
};

function caCertificate(name: string, { pem }: AuthorityFacts): string[] {
  return ['config vpn certificate ca', `    edit "${name}"`, `        set ca "${pem}"`, '    next', 'end'];
}

function estLines(facts: GuideFacts, { url, secret }: Door): string[] {
  return [
    "# The EST server is trusted under the root of the server's TLS:",
    ...caCertificate('muster-tls', facts.tlsRoot),
    `# A key pair and a request named "muster", with the subject CN=${DEVICE}: System > Certificates > Generate CSR.`,
    'config vpn certificate local',
    '    edit "muster"',
    '        set enroll-protocol est',
    `        set est-server "${new URL(url).origin}"`,
    `        set est-ca-id "${facts.label}"`,
    ...(secret === undefined
      ? []
      : [`        set est-http-username "${DEVICE}"`, `        set est-http-password "${SECRET}"`]),
    '        set est-regeneration-method create-new-key',
    '        set auto-regenerate-days 30',
    '    next',
    'end',
    'get vpn certificate local details muster',
  ];
}

function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const password = secret === undefined ? '' : ` ${SECRET}`;
  return [
    '# Name, bits, CN, country, state, city, organisation, unit, e-mail, alternative names, SCEP URL, challenge password:',
    `execute vpn certificate local generate rsa muster ${rsaBits(facts)} ${DEVICE} "" "" "" "" "" "" "DNS:${DEVICE}" ${url}${password}`,
    'get vpn certificate local details muster',
    '# Should it wait: diagnose debug application scep -1',
  ];
}

function cmpLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const { origin, pathname } = new URL(url);
  const credential = secret === 'mac' ? `${REFERENCE} ${SECRET}` : '"" ""';
  return [
    ...caCertificate('muster-root', facts.root),
    '# Name, bits, server, path, server certificate, own certificate, reference, secret, subject, alternative names.',
    '# 7.6 and later call it cmp-rsa:',
    `execute vpn certificate local generate cmp muster ${rsaBits(facts)} ${origin} ${pathname} muster-root "" ${credential} "CN=${DEVICE}" "DNS:${DEVICE}"`,
    'get vpn certificate local details muster',
  ];
}
