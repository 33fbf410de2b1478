import type { GeneralName } from './general-name.ts';
import { nameIsWithin } from './name.ts';

/** Whether a name lies in a subtree; `undecidable` where either side has no defined meaning, and must be refused. */
export type ConstraintMatch = 'match' | 'mismatch' | 'undecidable';

/** A host name of LDH labels and underscores, or one below a wildcard label. */
const HOST = /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** RFC 3986 §3.2: the authority of a URI, without user information and port. */
const URI_HOST = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::\d*)?(?:[/?#]|$)/i;

/** Compares a name with a constraint of the same kind (RFC 5280 §4.2.1.10); `role` matters for wildcards only. */
export function matchConstraint(name: GeneralName, base: GeneralName, role: 'permitted' | 'excluded'): ConstraintMatch {
  switch (name.kind) {
    case 'directoryName':
      return base.kind === name.kind ? decided(nameIsWithin(name.value, base.value)) : 'mismatch';
    case 'dnsName':
      return base.kind === name.kind ? matchDns(name.value.toLowerCase(), base.value.toLowerCase(), role) : 'mismatch';
    case 'rfc822Name':
      return base.kind === name.kind ? matchMailbox(name.value, base.value) : 'mismatch';
    case 'uri':
      return base.kind === name.kind ? matchUri(name.value, base.value.toLowerCase()) : 'mismatch';
    case 'ipAddress':
      return base.kind === name.kind ? matchAddress(name.value, base.value) : 'mismatch';
    // RFC 5280 §4.2.1.10 defines no comparison for these, and has the certificate refused.
    case 'otherName':
    case 'x400Address':
    case 'ediPartyName':
    case 'registeredId':
      return 'undecidable';
  }
}

function matchDns(name: string, base: string, role: 'permitted' | 'excluded'): ConstraintMatch {
  if (!HOST.test(name) || !isConstraintHost(base)) return 'undecidable';
  if (isWithinDomain(name, base)) return 'match';
  // A wildcard stands for every label in its place, so excluding one of them excludes the wildcard.
  const parent = base.slice(base.indexOf('.', 1) + 1);
  return decided(role === 'excluded' && name.startsWith('*.') && parent === name.slice(2));
}

/** The name itself or any below it; a constraint that begins with a dot (not in the RFC, but in use): below it only. */
function isWithinDomain(name: string, base: string): boolean {
  if (base === '') return true;
  return base.startsWith('.') ? name.endsWith(base) : name === base || name.endsWith(`.${base}`);
}

// "a@b" one mailbox, "b" all mailboxes of host b, ".b" all mailboxes of hosts below b.
function matchMailbox(name: string, base: string): ConstraintMatch {
  const at = name.lastIndexOf('@');
  const host = name.slice(at + 1).toLowerCase();
  if (at < 1 || !HOST.test(host)) return 'undecidable';
  const baseAt = base.lastIndexOf('@');
  const baseHost = base.slice(baseAt + 1).toLowerCase();
  if (!isConstraintHost(baseHost)) return 'undecidable';
  if (baseAt >= 0) return decided(name.slice(0, at) === base.slice(0, baseAt) && host === baseHost);
  return decided(isHostOrBelow(host, baseHost));
}

// RFC 5280 §4.2.1.10: the constraint applies to the host; a URI without one, or with an address, MUST be refused.
function matchUri(name: string, base: string): ConstraintMatch {
  const host = URI_HOST.exec(name)?.[1]?.toLowerCase();
  const isAddress = host !== undefined && /^[\d.]+$/.test(host);
  if (host === undefined || isAddress || !HOST.test(host) || !isConstraintHost(base)) return 'undecidable';
  return decided(isHostOrBelow(host, base));
}

function isHostOrBelow(host: string, base: string): boolean {
  if (base === '') return true;
  return base.startsWith('.') ? host.endsWith(base) : host === base;
}

function isConstraintHost(base: string): boolean {
  return base === '' || HOST.test(base.startsWith('.') ? base.slice(1) : base);
}

function matchAddress(address: Uint8Array, base: Uint8Array): ConstraintMatch {
  const isAddress = address.length === 4 || address.length === 16;
  if (!isAddress || (base.length !== 8 && base.length !== 32)) return 'undecidable';
  const half = base.length / 2;
  const mask = base.subarray(half);
  if (!isPrefixMask(mask)) return 'undecidable';
  if (address.length !== half) return 'mismatch';
  return decided(address.every((octet, i) => (octet & mask[i]!) === (base[i]! & mask[i]!)));
}

/** RFC 4632 §3.1: ones, then zeros. */
function isPrefixMask(mask: Uint8Array): boolean {
  const bits = Array.from(mask, (octet) => octet.toString(2).padStart(8, '0')).join('');
  return !bits.includes('01');
}

function decided(isMatch: boolean): ConstraintMatch {
  return isMatch ? 'match' : 'mismatch';
}
