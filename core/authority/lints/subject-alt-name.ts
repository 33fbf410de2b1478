import type { GeneralName } from '../../x509/general-name.ts';
import { EXTENSIONS } from '../../x509/extensions.ts';
import type { LintRule } from './rule.ts';

/** Names are well formed: host names, absolute URIs, mailboxes, addresses of 4 or 16 octets. */
export const subjectAltName: LintRule = {
  id: 'rfc5280-subject-alt-name',
  source: 'RFC 5280 §4.2.1.6, RFC 1034 §3.5',
  check({ tbs }) {
    const names = EXTENSIONS.subjectAltName.find(tbs.extensions);
    if (!names) return undefined;
    for (const name of names) {
      const fault = faultOf(name);
      if (fault !== undefined) return `subjectAltName: ${fault}`;
    }
    return undefined;
  },
};

/** LDH labels of 1 to 63 characters, 253 in all; a wildcard only as the whole first label. */
const HOST_NAME =
  /^(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
const ABSOLUTE_URI = /^[a-z][a-z0-9+.-]*:[^\s\p{Cc}]+$/iu;
const MAILBOX = /^[^\s\p{Cc}@]+@[^\s\p{Cc}@]+$/u;

function faultOf(name: GeneralName): string | undefined {
  switch (name.kind) {
    case 'dnsName':
      return HOST_NAME.test(name.value) ? undefined : 'a dNSName is no host name';
    case 'uri':
      return ABSOLUTE_URI.test(name.value) ? undefined : 'a uniformResourceIdentifier is not absolute';
    case 'rfc822Name':
      return MAILBOX.test(name.value) ? undefined : 'an rfc822Name is no mailbox';
    case 'ipAddress':
      return name.value.length === 4 || name.value.length === 16
        ? undefined
        : 'an iPAddress has neither 4 nor 16 octets';
    case 'x400Address':
    case 'ediPartyName':
      return `${name.kind} is not issued`;
    case 'otherName':
    case 'directoryName':
    case 'registeredId':
      return undefined;
  }
}
