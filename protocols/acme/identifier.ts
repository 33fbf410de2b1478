import { isIP } from 'node:net';

import type { AcmeIdentifierType, AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import { type GeneralName, generalNameToText } from '../../core/x509/general-name.ts';
import { ipAddressFromText, ipAddressToText } from '../../core/x509/ip-address.ts';
import { deviceGeneralName, readDeviceIdentifier } from './device-identifier.ts';
import { asObject, requiredString } from './json.ts';
import { AcmeProblem, type Subproblem } from './problem.ts';

/** An identifier as orders hold it (RFC 8555 §9.7.7, RFC 8738 §3): normalised, `*.` still before a wildcard. */
export interface Identifier {
  readonly type: AcmeIdentifierType;
  readonly value: string;
}

const MAX_IDENTIFIERS = 100;
const MAX_DNS_NAME = 253;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The identifiers of a new order, normalised, each once, in the order they came.
 * @throws AcmeProblem `malformed` for none, `unsupportedIdentifier` or `rejectedIdentifier` with a subproblem for each.
 */
export function parseIdentifiers(list: readonly unknown[], settings: AcmeSettings): readonly Identifier[] {
  if (list.length === 0 || list.length > MAX_IDENTIFIERS)
    throw new AcmeProblem('malformed', `identifiers: expected 1 to ${MAX_IDENTIFIERS}, found ${list.length}`);
  const found = new Map<string, Identifier>();
  const faults: Subproblem[] = [];
  for (const entry of list) {
    const object = asObject(entry, 'identifiers');
    const type = requiredString(object, 'type');
    const value = requiredString(object, 'value');
    const read = readIdentifier(type, value, settings);
    if ('detail' in read)
      faults.push({ ...read, identifier: { type, value: value.slice(0, MAX_DNS_NAME) } as Identifier });
    else found.set(identifierName(read), read);
  }
  if (faults.length > 0) throw refused(faults);
  return [...found.values()];
}

/** The refusal of one or more identifiers, all of them named (RFC 8555 §6.7.1). */
export function refused(faults: readonly Subproblem[]): AcmeProblem {
  const [first] = faults;
  const types = new Set(faults.map(({ type }) => type));
  const type = types.size === 1 ? first!.type : 'compound';
  return new AcmeProblem(type, faults.length === 1 ? first!.detail : `${faults.length} identifiers are refused`, {
    subproblems: faults,
  });
}

/** An identifier as the text of its GeneralName, lower case: equal texts are equal names. */
export function identifierName(identifier: Identifier): string {
  const { type, value } = identifier;
  return isOfDevice(identifier) ? generalNameToText(generalNameOf(identifier)).toLowerCase() : `${type}:${value}`;
}

/** Whether it names the device itself: evidence alone proves it (draft-ietf-acme-device-attest). */
export function isOfDevice({ type }: Pick<Identifier, 'type'>): boolean {
  return type === 'permanent-identifier' || type === 'hardware-module';
}

/** The subjectAltName an identifier stands for (RFC 8555 §7.4, RFC 8738 §4, draft-ietf-acme-device-attest §3 and §4). */
export function generalNameOf({ type, value }: Identifier): GeneralName {
  switch (type) {
    case 'dns':
      return { kind: 'dnsName', value };
    case 'ip':
      return { kind: 'ipAddress', value: ipAddressFromText(value) };
    case 'permanent-identifier':
    case 'hardware-module':
      return deviceGeneralName(type, value);
  }
}

/** Whether it is a wildcard (RFC 8555 §7.1.3). */
export function isWildcard({ type, value }: Identifier): boolean {
  return type === 'dns' && value.startsWith('*.');
}

/** What an authorization names: the name below a wildcard (RFC 8555 §7.1.4). */
export function baseOf(identifier: Identifier): Identifier {
  return isWildcard(identifier) ? { type: 'dns', value: identifier.value.slice(2) } : identifier;
}

type Fault = Pick<Subproblem, 'type' | 'detail'>;

function readIdentifier(text: string, value: string, settings: AcmeSettings): Identifier | Fault {
  const { identifiers, wildcards } = settings;
  const type = identifiers.find((one) => one === text);
  switch (type) {
    case undefined:
      return { type: 'unsupportedIdentifier', detail: `expected an identifier of ${identifiers.join(' or ')}` };
    case 'dns': {
      const read = readDnsName(value);
      if ('value' in read && isWildcard(read) && !wildcards)
        return { type: 'rejectedIdentifier', detail: 'wildcards are not issued here' };
      return read;
    }
    case 'ip':
      return readAddress(value);
    case 'permanent-identifier':
    case 'hardware-module':
      return readDeviceIdentifier(type, value);
  }
}

/** RFC 1123 host names in ASCII; a name that reads as an address is none (V40). */
function readDnsName(text: string): Identifier | Fault {
  const value = text.toLowerCase();
  const labels = (value.startsWith('*.') ? value.slice(2) : value).split('.');
  const isName = value.length <= MAX_DNS_NAME && labels.every((label) => LABEL.test(label));
  // A last label of digits, or 0x…, is a number to resolvers and URLs: 2130706433 is 127.0.0.1.
  const isNumber = /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!) || isIP(value) !== 0;
  if (isName && !isNumber) return { type: 'dns', value };
  return { type: 'rejectedIdentifier', detail: 'expected a host name of letters, digits and hyphens' };
}

function readAddress(text: string): Identifier | Fault {
  // RFC 8738 §3: the textual form of RFC 1123 §2.1 or RFC 5952 §4, and no other spelling of the same address.
  if (isIP(text) !== 0 && !text.includes('%') && ipAddressToText(ipAddressFromText(text)) === text.toLowerCase())
    return { type: 'ip', value: text.toLowerCase() };
  return { type: 'rejectedIdentifier', detail: 'expected an address in its canonical text (RFC 5952)' };
}
