import type { AcmeChallengeType } from '../../core/enrollment/acme-settings.ts';
import { OutsideError } from '../../core/outside/outside-error.ts';
import type { CaaRecord } from '../../core/outside/resolver.ts';
import { type Identifier, refused } from './identifier.ts';
import type { Subproblem } from './problem.ts';

/** A DNS name that is about to be certified. */
export interface CaaSubject {
  readonly identifier: Identifier;
  /** Without `*.`. */
  readonly name: string;
  readonly wildcard: boolean;
  /** How it was proved; undefined where a key vouches for it. */
  readonly method: AcmeChallengeType | undefined;
  /** URL of the account. */
  readonly accountUrl: string;
}

/** What asks for the CAA records of one name. @throws OutsideError where nobody can say. */
export type CaaLookup = (name: string) => Promise<readonly CaaRecord[]>;

/**
 * Whether CAA lets this server issue (RFC 8659), for this account by this method (RFC 8657).
 * @throws AcmeProblem `caa`, or `dns` where nobody can say, with a subproblem for each name.
 */
export async function requireCaa(
  lookup: CaaLookup,
  identities: readonly string[],
  subjects: readonly CaaSubject[],
): Promise<void> {
  const own = new Set(identities.map((name) => name.toLowerCase()));
  const faults = await Promise.all(subjects.map((subject) => faultOf(lookup, own, subject)));
  const found = faults.filter((fault) => fault !== undefined);
  if (found.length > 0) throw refused(found);
}

async function faultOf(
  lookup: CaaLookup,
  own: ReadonlySet<string>,
  subject: CaaSubject,
): Promise<Subproblem | undefined> {
  const { identifier } = subject;
  try {
    const records = await relevantRecords(lookup, subject.name);
    const detail = objection(records, own, subject);
    return detail === undefined ? undefined : { type: 'caa', detail, identifier };
  } catch (error) {
    if (error instanceof OutsideError) return { type: 'dns', detail: error.message, identifier };
    throw error;
  }
}

/** RFC 8659 §3: the records of the name, or of the nearest name above it that has some. */
async function relevantRecords(lookup: CaaLookup, name: string): Promise<readonly CaaRecord[]> {
  for (let labels = name.split('.'); labels.length > 0; labels = labels.slice(1)) {
    const records = await lookup(labels.join('.'));
    if (records.length > 0) return records;
  }
  return [];
}

const KNOWN_TAGS: ReadonlySet<string> = new Set([
  'issue',
  'issuewild',
  'iodef',
  'issuemail',
  'issuevmc',
  'contactemail',
  'contactphone',
]);

/** Why the records forbid it; undefined where they do not. */
export function objection(
  records: readonly CaaRecord[],
  own: ReadonlySet<string>,
  { wildcard, method, accountUrl }: Pick<CaaSubject, 'wildcard' | 'method' | 'accountUrl'>,
): string | undefined {
  // RFC 8659 §4.1: what is critical and not understood forbids.
  if (records.some(({ critical, tag }) => critical && !KNOWN_TAGS.has(tag.toLowerCase())))
    return 'a critical CAA property is not one that is known here';
  const of = (wanted: string): readonly CaaRecord[] => records.filter(({ tag }) => tag.toLowerCase() === wanted);
  // RFC 8659 §4.3: for a wildcard, issuewild comes before issue.
  const wild = wildcard ? of('issuewild') : [];
  const deciding = wild.length > 0 ? wild : of('issue');
  if (deciding.length === 0 || deciding.some(({ value }) => permits(value, own, method, accountUrl))) return undefined;
  return 'CAA lets other authorities issue, or other accounts or ways of validation';
}

/** RFC 8659 §4.2, RFC 8657 §3 and §4; a value that does not follow the grammar permits nothing. */
function permits(
  value: string,
  own: ReadonlySet<string>,
  method: AcmeChallengeType | undefined,
  accountUrl: string,
): boolean {
  const [issuer = '', ...texts] = value.split(';').map((part) => part.trim());
  if (!own.has(issuer.toLowerCase())) return false;
  for (const text of texts) {
    if (text === '') continue;
    const [, tag, parameter] = /^([A-Za-z0-9]+)[ \t]*=[ \t]*([\u0021-\u003a\u003c-\u007e]*)$/.exec(text) ?? [];
    if (tag === undefined || parameter === undefined) return false;
    const name = tag.toLowerCase();
    if (name === 'accounturi' && parameter !== accountUrl) return false;
    if (name === 'validationmethods' && !parameter.split(',').some((one) => one === method)) return false;
  }
  return true;
}
