import { createHmac, timingSafeEqual } from 'node:crypto';

import { PeerError } from '../errors/muster-error.ts';
import { Secret } from '../keys/secret.ts';
import { typeable } from './secrets.ts';

/** What a derived challenge is bound to. */
export interface DerivedChallenge {
  /** Label of the endpoint: a key that two endpoints were given makes no challenge that serves at both. */
  readonly endpoint: string;
  readonly deviceName: string;
  /** The last day, in UTC, on which it serves: `20261231`. */
  readonly lastDay: string;
}

const DAY = /^(\d{4})(\d{2})(\d{2})$/;
const DAY_MS = 86_400_000;

/**
 * The challenge of one device until the end of a day: `20261231-` and 32 letters. Whoever has the key can compute it: the
 * letters are HMAC-SHA-256 over `muster derived challenge`, endpoint, day and device name, joined by NUL, one letter of
 * Crockford's alphabet for the low five bits of each octet (160 bits of it).
 * @throws PeerError `malformed-request` for a day that is none, or an empty device name.
 */
export function deriveChallenge(key: Secret, { endpoint, deviceName, lastDay }: DerivedChallenge): Secret {
  if (endOfDay(lastDay) === undefined) throw new PeerError('malformed-request', 'expected a day such as 20261231');
  if (deviceName === '' || deviceName.includes('\0'))
    throw new PeerError('malformed-request', 'expected the name of a device');
  const mac = createHmac('sha256', key.reveal())
    .update(`muster derived challenge\0${endpoint}\0${lastDay}\0${deviceName}`)
    .digest();
  return new Secret(`${lastDay}-${typeable(mac)}`);
}

/** The last day that a text names, if it looks like a derived challenge at all. */
export function lastDayOf(challenge: Secret): string | undefined {
  const [, lastDay] = /^(\d{8})-[0-9a-hjkmnp-tv-z]{32}$/.exec(challenge.reveal()) ?? [];
  return lastDay;
}

/** When a day ends, in epoch milliseconds; `undefined` for a day that is none. */
export function endOfDay(day: string): number | undefined {
  const [, year, month, date] = DAY.exec(day) ?? [];
  if (year === undefined) return undefined;
  const start = Date.UTC(Number(year), Number(month) - 1, Number(date));
  return dayOf(start) === day ? start + DAY_MS : undefined;
}

/** The day of a point in time (epoch milliseconds), in UTC: `20261231`. */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10).replaceAll('-', '');
}

/** Compares two challenges without telling where they differ. */
export function challengesEqual(left: Secret, right: Secret): boolean {
  const [a, b] = [Buffer.from(left.reveal(), 'utf8'), Buffer.from(right.reveal(), 'utf8')];
  return a.length === b.length && timingSafeEqual(a, b);
}
