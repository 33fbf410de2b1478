import type { DataKeys } from '../authority/data-keys.ts';
import { PolicyError } from '../errors/muster-error.ts';
import type { Secret } from '../keys/secret.ts';
import type { Store, Unit } from '../store/store.ts';
import { allowsDevice } from './device-patterns.ts';
import type { Endpoint } from './endpoint.ts';
import { type AcmeOrderFact, asVerified } from './facts.ts';
import { lockedOut, type LockOut } from './lock-out.ts';
import { openSecret } from './sealed-secrets.ts';
import { bindSecret, findMacSecret, secretById } from './secrets.ts';
import type { SharedSecretRow } from './tables.ts';

/** A key for external account binding. */
export interface EabKey {
  readonly id: string;
  /** 256 bits in base64url. */
  readonly secret: Secret;
  /** A binding whose MAC is wrong counts towards the lock-out. */
  failed(): Promise<void>;
  /**
   * Binds the key to an account, inside the unit that makes the account.
   * @throws PolicyError `bad-credential` when another account was faster, or the key ended meanwhile.
   */
  bind(tx: Unit, account: string, now: number): Promise<void>;
}

/** Which names the accounts of a key may order. */
export type NamePolicy =
  /** The key says nothing about names: each needs a challenge. */
  | { readonly kind: 'any' }
  /** These and no other, and they need none. */
  | { readonly kind: 'listed'; allows(name: string): boolean }
  /** The key was revoked: no name. */
  | { readonly kind: 'none' };

/** An order whose names are proved. */
export interface ProvedOrder {
  readonly orderId: string;
  readonly accountId: string;
  /** The key that is to vouch for the names; undefined where challenges were answered. */
  readonly eabKeyId: string | undefined;
  /** Names as texts of GeneralName in lower case (`dns:…`, `ip:…`). */
  readonly names: readonly string[];
  /** Names of the same form that evidence proves: no key has to vouch for them. */
  readonly attestedNames?: readonly string[];
  /** Common names besides the DNS names, lower case: what evidence calls the device. */
  readonly commonNames?: readonly string[];
  readonly replaces: string | undefined;
}

/** What a reference of ours looks like: everything else is not even looked for. */
const REFERENCE = /^[0-9a-z]{8,32}$/;

/** The key that a new account names, if one may be bound to it. */
export async function findEabKey(
  { store, dataKeys, lockOut }: { store: Store; dataKeys: Pick<DataKeys, 'sealer'>; lockOut: LockOut },
  endpoint: Endpoint,
  reference: string,
  sourceAddress: string,
): Promise<EabKey | undefined> {
  const row = REFERENCE.test(reference) ? await findMacSecret(store, endpoint.id, reference) : undefined;
  if (row === undefined || !isUsable(row, endpoint, store.clock.now())) {
    await lockOut.failed(`eab-failures:${endpoint.id}:${sourceAddress}`, 'references');
    return undefined;
  }
  const counter = `eab-failures:${endpoint.id}:${sourceAddress}:${reference}`;
  if (lockOut.isLocked(counter)) throw lockedOut('MACs');
  const { id, tenant, usage } = row;
  return {
    id,
    secret: openSecret(await dataKeys.sealer(tenant), row),
    failed: () => lockOut.failed(counter, 'MACs'),
    async bind(tx, account, now) {
      if (usage === 'eab-once') await bindSecret(tx, { tenant, id, key: account, now });
    },
  };
}

/** What a key says about names. Its end matters to new accounts alone: a device renews under it until it is revoked. */
export async function namePolicyOf(store: Store, endpoint: Endpoint, eabKeyId: string): Promise<NamePolicy> {
  const row = await secretById(store, endpoint.tenant, eabKeyId);
  if (row === undefined || row.endpoint !== endpoint.id || row.state === 'revoked') return { kind: 'none' };
  if (row.subject === null && row.allowed === null) return { kind: 'any' };
  const allowed = row.allowed === null ? [] : (JSON.parse(row.allowed) as string[]).map((name) => name.toLowerCase());
  const subject = row.subject?.toLowerCase();
  // A certificate for a wildcard opens more than one for a name: it has to stand in the list itself.
  const covers = (name: string): boolean =>
    name.startsWith('*.') ? allowed.includes(name) : allowsDevice(allowed, name);
  return { kind: 'listed', allows: (name) => name === subject || covers(name) };
}

/** The fact of an order; for names that no challenge was answered for, the key is asked once more. */
export async function acmeOrderFact(store: Store, endpoint: Endpoint, order: ProvedOrder): Promise<AcmeOrderFact> {
  const { eabKeyId, names, attestedNames = [], commonNames = [], ...rest } = order;
  if (eabKeyId !== undefined) {
    const policy = await namePolicyOf(store, endpoint, eabKeyId);
    const vouches = (name: string): boolean =>
      policy.kind === 'listed' && policy.allows(name.slice(name.indexOf(':') + 1));
    if (!names.every(vouches))
      throw new PolicyError('not-authorized', 'the key of the account does not vouch for the names of the order');
  }
  const dnsNames = names.filter((name) => name.startsWith('dns:')).map((name) => name.slice(4));
  return asVerified<AcmeOrderFact>({
    kind: 'acme-order',
    ...rest,
    eabKeyId,
    names: new Set([...names, ...attestedNames]),
    commonNames: new Set([...dnsNames, ...commonNames]),
  });
}

function isUsable(row: SharedSecretRow, endpoint: Endpoint, now: number): boolean {
  const isEab = row.usage === 'eab-once' || row.usage === 'eab-many';
  // A bound one answers the account it is bound to when that repeats its request; `bind` refuses every other.
  const isOpen = row.state === 'free' || row.state === 'bound';
  return isEab && isOpen && row.sealed !== null && row.expires_at > now && row.tenant === endpoint.tenant;
}
