import { createChosenSecret, hashChosenSecret } from '../../core/enrollment/chosen-secrets.ts';
import { createEabKey, createEndpointKey, createMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { createSecret, type NewSecret } from '../../core/enrollment/secrets.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import type { Unit } from '../../core/store/store.ts';
import type { ApiContext } from './context.ts';
import type { SecretDraft } from './secret-schema.ts';

/** A secret as made; without its text where that was chosen. */
export interface MadeSecret {
  readonly id: string;
  readonly secret?: Secret;
  readonly reference?: string;
  readonly expiresAt: number;
}

/** What the tenant's administrator asked for; `endpoint` is the id. */
export type SecretOrder = SecretDraft & Omit<NewSecret, 'lifetimeSeconds'>;

type Making = (tx: Unit, now: number) => Promise<MadeSecret>;

const DAY = 86_400;
const YEAR = 365 * DAY;

/** Which members go with which kind. */
const MEMBERS: Readonly<Record<SecretDraft['kind'], readonly string[]>> = {
  'one-time': ['username', 'subject'],
  device: ['username', 'subject'],
  static: ['allowed', 'secret'],
  derived: [],
  mac: ['usage', 'subject'],
  decider: [],
  eab: ['usage', 'subject', 'allowed'],
};

/**
 * Prepares what may take time (the token, scrypt) and returns what a unit is to do.
 * @throws PeerError `malformed-request` for a member that the kind has not, or lacks; UpstreamError when the token is away.
 */
export async function makeSecret(
  { secretHash, dataKeys }: Pick<ApiContext, 'secretHash' | 'dataKeys'>,
  order: SecretOrder,
): Promise<Making> {
  requireMembers(order);
  const { kind, tenant, endpoint, createdBy } = order;
  const usage = order.usage ?? 'one-time';
  const once = kind === 'one-time' || ((kind === 'mac' || kind === 'eab') && usage === 'one-time');
  const common = { tenant, endpoint, createdBy, lifetimeSeconds: order.lifetimeSeconds ?? (once ? DAY : YEAR) };
  const subject = order.subject === undefined ? {} : { subject: order.subject };
  switch (kind) {
    case 'one-time':
    case 'device': {
      const username = order.username === undefined ? {} : { username: order.username };
      return (tx, now) => createSecret(tx, secretHash, now, { ...common, ...subject, ...username, usage: kind });
    }
    case 'static': {
      const allowed = order.allowed ?? [];
      if (order.secret === undefined)
        return (tx, now) => createSecret(tx, secretHash, now, { ...common, usage: kind, allowed });
      const hashed = await hashChosenSecret(new Secret(order.secret));
      return (tx, now) => createChosenSecret(tx, now, { ...common, allowed }, hashed);
    }
    case 'derived':
    case 'decider': {
      const sealer = await dataKeys.sealer(tenant);
      return (tx, now) => createEndpointKey(tx, sealer, now, { ...common, usage: kind });
    }
    case 'mac': {
      const sealer = await dataKeys.sealer(tenant);
      return (tx, now) => createMacSecret(tx, sealer, now, { ...common, ...subject, usage });
    }
    case 'eab': {
      const sealer = await dataKeys.sealer(tenant);
      const allowed = order.allowed === undefined ? {} : { allowed: order.allowed };
      return (tx, now) => createEabKey(tx, sealer, now, { ...common, ...subject, ...allowed, usage });
    }
  }
}

/** What is not understood must not be ignored: a subject on a key would look like a limit and be none. */
function requireMembers(order: SecretOrder): void {
  const { kind, usage, username, subject, allowed, secret } = order;
  for (const [name, value] of Object.entries({ usage, username, subject, allowed, secret })) {
    if (value !== undefined && !MEMBERS[kind].includes(name))
      throw new PeerError('malformed-request', `${name}: a secret of kind ${kind} has none`);
  }
}
