import { dayOf, deriveChallenge, endOfDay } from '../../core/enrollment/derived-challenge.ts';
import { openSecret } from '../../core/enrollment/sealed-secrets.ts';
import { usableSecrets } from '../../core/enrollment/secrets.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { ApiContext } from './context.ts';

/** Whose challenge, from which key. */
export interface ChallengeOrder {
  readonly tenant: string;
  /** Id of a secret of kind `derived`. */
  readonly id: string;
  readonly subject: string;
  readonly lifetimeSeconds: number;
}

/** A challenge with the time it serves. */
export interface ChallengeOfDevice {
  readonly challenge: Secret;
  readonly lastDay: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/**
 * The challenge of a device from a key of the tenant.
 * @throws PeerError `not-found` when the tenant has no such key, or it ended; UpstreamError when the token is away.
 */
export async function deriveChallengeFor(
  { store, endpoints, dataKeys }: Pick<ApiContext, 'store' | 'endpoints' | 'dataKeys'>,
  { tenant, id, subject, lifetimeSeconds }: ChallengeOrder,
): Promise<ChallengeOfDevice> {
  for (const endpoint of await endpoints.list(tenant)) {
    const key = (await usableSecrets(store, endpoint, 'derived')).find((row) => row.id === id);
    if (!key) continue;
    const lastDay = dayOf(Math.min(store.clock.now() + lifetimeSeconds * 1000, key.expires_at));
    const secret = openSecret(await dataKeys.sealer(tenant), key);
    const challenge = deriveChallenge(secret, { endpoint: endpoint.label, deviceName: subject, lastDay });
    return { challenge, lastDay, expiresAt: Math.min(endOfDay(lastDay) ?? 0, key.expires_at) };
  }
  throw new PeerError('not-found', 'no such key of kind derived, or it ended or is revoked');
}
