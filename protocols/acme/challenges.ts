import { createHash, randomBytes } from 'node:crypto';

import type { AcmeChallengeType, AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import type { Call } from './dependencies.ts';
import { type Identifier, isOfDevice } from './identifier.ts';
import { AcmeUrls } from './path.ts';
import type { AuthorizationRow } from './tables.ts';

const TOKEN_OCTETS = 32;

/** A token of 256 bits (RFC 8555 §8.1 asks for 128). */
export function newToken(): string {
  return randomBytes(TOKEN_OCTETS).toString('base64url');
}

/** RFC 8555 §8.1: what a client answers to a token. */
export function keyAuthorization(token: string, thumbprint: string): string {
  return `${token}.${thumbprint}`;
}

/** What goes into TXT records (RFC 8555 §8.4), base64url, and into certificates (RFC 8737 §3). */
export function keyAuthorizationDigest(authorization: string): Buffer {
  return createHash('sha256').update(authorization).digest();
}

/**
 * Challenges for an identifier: DNS for wildcards alone (RFC 8555 §8.4), and not for addresses (RFC 8738 §7); evidence for what
 * names a device, and for nothing else (draft-ietf-acme-device-attest §5).
 */
export function challengesFor(
  identifier: Identifier,
  wildcard: boolean,
  { challenges }: Pick<AcmeSettings, 'challenges'>,
): readonly AcmeChallengeType[] {
  if (isOfDevice(identifier)) return challenges.filter((challenge) => challenge === DEVICE_ATTEST);
  const others = challenges.filter((challenge) => challenge !== DEVICE_ATTEST);
  return others.filter((challenge) => (isByDns(challenge) ? identifier.type === 'dns' : !wildcard));
}

const DEVICE_ATTEST = 'device-attest-01' satisfies AcmeChallengeType;

/** A challenge of an authorization as its client sees it (RFC 8555 §7.1.5, §8). */
export function challengeView(call: Pick<Call, 'base' | 'endpoint'>, row: AuthorizationRow, type: AcmeChallengeType) {
  const answered = row.challenge === type;
  const validated = answered && row.validated_at !== null;
  return {
    type,
    url: new AcmeUrls(call.base, call.endpoint.label).of('challenge', row.id, type),
    status: answered ? row.challenge_status : ('pending' as const),
    token: row.token,
    ...(validated && { validated: new Date(row.validated_at!).toISOString() }),
    ...(answered && row.error !== null && { error: JSON.parse(row.error) as unknown }),
  };
}

/** The challenges that were offered. */
export function offeredOf({ offered }: AuthorizationRow): readonly AcmeChallengeType[] {
  return JSON.parse(offered) as AcmeChallengeType[];
}

function isByDns(challenge: AcmeChallengeType): boolean {
  return challenge === 'dns-01' || challenge === 'dns-account-01';
}
