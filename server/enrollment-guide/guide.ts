import type { Authenticator } from '../../core/enrollment/endpoint.ts';
import type { Fingerprints } from '../../core/x509/fingerprints.ts';
import { DIGEST_NAMES, FINGERPRINT_FORMS, type FingerprintForm } from './fingerprints.ts';
import {
  type AuthorityFacts,
  type Door,
  GUIDE_PROTOCOLS,
  type GuideFacts,
  type GuideProtocol,
  hasRootOfItsOwn,
  isSame,
  keyText,
} from './guide-facts.ts';
import type { PlatformName } from './platform-names.ts';
import { BASES, type Basis, type Platform, type Section } from './platform.ts';
import { PLATFORMS } from './platforms.ts';

/** What became of one protocol. */
export type GuideProtocolState =
  /** Its lines are there. */
  | { readonly protocol: GuideProtocol; readonly state: 'described'; readonly basis: Basis; readonly url: string }
  /** The endpoint is not open for it. */
  | { readonly protocol: GuideProtocol; readonly state: 'closed' }
  /** The platform is no client of it that is known, or cannot be one of this endpoint. */
  | { readonly protocol: GuideProtocol; readonly state: 'no-client'; readonly reason: string; readonly url: string };

/** A platform's own configuration to enrol at an endpoint. */
export interface EnrollmentGuide {
  readonly platform: PlatformName;
  readonly title: string;
  readonly protocols: readonly GuideProtocolState[];
  /** Ends in a line feed. */
  readonly text: string;
}

const PROTOCOL_NAMES: Record<GuideProtocol, string> = { est: 'EST', scep: 'SCEP', cmp: 'CMP', acme: 'ACME' };

/** Writes the guide of an endpoint for one kind of device. Pure; never holds a secret. */
export function enrollmentGuide(name: PlatformName, facts: GuideFacts): EnrollmentGuide {
  const platform = PLATFORMS[name];
  const protocols = GUIDE_PROTOCOLS.map((protocol) => stateOf(platform, facts, protocol));
  const sections = protocols.flatMap(({ protocol, state }) =>
    state === 'described' ? [sectionText(platform, facts, protocol)] : [],
  );
  const byHand = sections.length === 0 && platform.byHand !== undefined ? [byHandText(platform, facts)] : [];
  const closing = platform.closing === undefined ? [] : [platform.closing(facts).join('\n')];
  const text = [headerText(platform, facts, protocols), ...sections, ...byHand, ...closing].join('\n\n');
  return { platform: name, title: platform.title, protocols, text: `${text}\n` };
}

function stateOf({ sections }: Platform, facts: GuideFacts, protocol: GuideProtocol): GuideProtocolState {
  const door = facts.doors[protocol];
  if (door === undefined) return { protocol, state: 'closed' };
  const { url } = door;
  const section = sections[protocol];
  if (section === undefined) return { protocol, state: 'no-client', reason: 'no client for it is known', url };
  const reason = lacksRsa(section, facts) ? NO_RSA : section.obstacle?.(facts);
  if (reason !== undefined) return { protocol, state: 'no-client', reason, url };
  return { protocol, state: 'described', basis: section.basis, url };
}

const NO_RSA = 'it makes RSA keys, and the profile certifies none';

function lacksRsa({ keys }: Section, facts: GuideFacts): boolean {
  return keys === 'rsa' && facts.keys.rsa === undefined;
}

function headerText(platform: Platform, facts: GuideFacts, protocols: readonly GuideProtocolState[]): string {
  const described = protocols.flatMap(({ protocol, state }) => (state === 'described' ? [facts.doors[protocol]!] : []));
  const { label, issuing, root, tlsRoot, keys } = facts;
  return commented(platform, [
    `Muster: how ${platform.title} enrols at the endpoint ${label}`,
    ...authorityLines('Issuing CA', issuing, platform.fingerprints),
    ...(hasRootOfItsOwn(facts) ? authorityLines('Root CA', root, platform.fingerprints) : []),
    ...(isSame(root, tlsRoot) ? [] : authorityLines("Root of the server's TLS", tlsRoot, platform.fingerprints)),
    `Keys that are certified: ${keyText(keys)}`,
    `${platform.placeholders.device}: the device's name`,
    ...secretLines(platform, facts.label, described),
    ...(platform.asks ? ['Paste in steps: the device asks questions in between.'] : []),
    ...(described.length > 1 ? ['One of the sections below is enough.'] : []),
    ...protocols.flatMap((state) => omissionLines(state, label)),
  ]);
}

function authorityLines(role: string, { subject, fingerprints }: AuthorityFacts, form: FingerprintForm): string[] {
  const digests = Object.entries(DIGEST_NAMES) as [keyof Fingerprints, string][];
  return [
    `${role}: ${subject}`,
    ...digests.map(([digest, name]) => `  ${name.padEnd(7)} ${FINGERPRINT_FORMS[form](fingerprints[digest])}`),
  ];
}

/** How to come by what the placeholders stand for; only the kinds that the described protocols take. */
function secretLines({ placeholders }: Platform, label: string, described: readonly Door[]): string[] {
  const { device, secret, reference } = placeholders;
  const passwords = described.flatMap((door) => (door.secret === 'password' ? door.authenticators : []));
  const sources = PASSWORD_SOURCES.flatMap(([kind, text]) => (passwords.includes(kind) ? [text(label, device)] : []));
  return [
    ...(sources.length === 0 ? [] : [`${secret}: ${sources.join(', or ')}`]),
    ...(described.some((door) => door.secret === 'mac')
      ? [`${reference} and, with CMP, ${secret}: what this prints: ${createSecret(label)} --kind mac`]
      : []),
    ...(described.some((door) => door.secret === 'eab')
      ? [
          `${reference} and, with ACME, ${secret}: what this prints: ${createSecret(label)} --kind eab --subject ${device}`,
        ]
      : []),
  ];
}

const createSecret = (label: string): string => `muster secret create --endpoint ${label}`;

const PASSWORD_SOURCES: readonly (readonly [Authenticator, (label: string, device: string) => string])[] = [
  ['password', (label) => `a one-time secret: ${createSecret(label)}`],
  [
    'static-password',
    (label, device) => `the secret of a list of devices: ${createSecret(label)} --kind static --allow ${device}`,
  ],
  [
    'derived-password',
    (_label, device) => `the challenge derived for this device: muster secret derive … --subject ${device}`,
  ],
  ['webhook', () => "the challenge that the endpoint's own decider expects"],
];

function omissionLines(state: GuideProtocolState, label: string): string[] {
  const name = PROTOCOL_NAMES[state.protocol];
  switch (state.state) {
    case 'described':
      return [];
    case 'closed':
      return [
        `${name} is left out: the endpoint is closed for it. To open it: muster endpoint set ${label} protocols.${state.protocol}={}`,
      ];
    case 'no-client':
      return [`${name} is left out: ${state.reason}.`];
  }
}

function sectionText(platform: Platform, facts: GuideFacts, protocol: GuideProtocol): string {
  const section = platform.sections[protocol]!;
  const door = facts.doors[protocol]!;
  const title = [
    `--- ${PROTOCOL_NAMES[protocol]}`,
    `Source: ${BASES[section.basis]}.`,
    ...(door.secret === undefined ? [withoutSecret(door)] : []),
  ];
  return [commented(platform, title), ...section.lines(facts, door)].join('\n');
}

function withoutSecret({ authenticators }: Door): string {
  return `No secret is taken here: a device proves itself by ${authenticators.join(' or ') || 'nothing, so none is admitted'}.`;
}

function byHandText(platform: Platform, facts: GuideFacts): string {
  const { basis, lines } = platform.byHand!;
  return [commented(platform, ['--- By hand', `Source: ${BASES[basis]}.`]), ...lines(facts)].join('\n');
}

function commented({ comment }: Platform, lines: readonly string[]): string {
  return lines.map((line) => `${comment} ${line}`).join('\n');
}
