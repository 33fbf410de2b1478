import type { GeneralName } from '../x509/general-name.ts';
import type { Name } from '../x509/name.ts';
import type { ProfileSettings } from './profile.ts';

/** A subject or name outside the profile. */
export interface NameFault {
  readonly reason: 'subject-not-allowed' | 'name-not-allowed';
  readonly detail: string;
}

/** The first thing in subject or subjectAltName that the profile does not allow; `undefined` when there is none. */
export function findNameFault(
  profile: ProfileSettings,
  subject: Name,
  names: readonly GeneralName[],
): NameFault | undefined {
  const ofSubject = subjectFault(profile.subject, subject);
  if (ofSubject !== undefined) return { reason: 'subject-not-allowed', detail: ofSubject };
  const ofNames = namesFault(profile.subjectAltName, names);
  return ofNames === undefined ? undefined : { reason: 'name-not-allowed', detail: ofNames };
}

function subjectFault({ attributes, required }: ProfileSettings['subject'], { rdns }: Name): string | undefined {
  if (required && rdns.length === 0) return 'the profile asks for a subject';
  const foreign = attributes === 'any' ? undefined : rdns.flat().find(({ type }) => !attributes.includes(type));
  return foreign && `the profile does not allow the subject attribute ${foreign.type}`;
}

function namesFault(
  { kinds, max, dnsSuffixes }: ProfileSettings['subjectAltName'],
  names: readonly GeneralName[],
): string | undefined {
  if (names.length > max) return `${names.length} names, the profile allows ${max}`;
  const foreign = names.find(({ kind }) => !kinds.includes(kind));
  if (foreign) return `the profile does not allow names of kind ${foreign.kind}`;
  const outside = dnsSuffixes && names.find((name) => name.kind === 'dnsName' && !hasSuffix(name.value, dnsSuffixes));
  return outside && 'a DNS name lies outside the domains of the profile';
}

function hasSuffix(name: string, suffixes: readonly string[]): boolean {
  const lower = name.toLowerCase();
  return suffixes.some((suffix) => lower === suffix.toLowerCase() || lower.endsWith(`.${suffix.toLowerCase()}`));
}
