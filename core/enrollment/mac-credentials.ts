import type { DataKeys } from '../authority/data-keys.ts';
import { InternalError } from '../errors/muster-error.ts';
import type { Store } from '../store/store.ts';
import type { MacCredential } from './credentials.ts';
import { authenticatorsOf, type Endpoint, type Protocol } from './endpoint.ts';
import { asVerified, type MacFact } from './facts.ts';
import { lockedOut, type LockOut } from './lock-out.ts';
import { openSecret } from './sealed-secrets.ts';
import { findMacSecret } from './secrets.ts';
import { attestedBy, serves, usableState } from './stored-passwords.ts';
import type { SharedSecretRow } from './tables.ts';

/** What MAC secrets are found with. */
export interface MacParts {
  readonly store: Store;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  readonly lockOut: LockOut;
}

/** Who names a secret. */
export interface NamedSecret {
  readonly protocol: Protocol;
  /** As the message says it: senderKID, or what stands in its place. */
  readonly reference: Uint8Array;
  readonly sourceAddress: string;
}

/** What a reference of ours looks like: everything else is not even looked for. */
const REFERENCE = /^[0-9a-z]{8,32}$/;

/**
 * The MAC secret that a sender names. Deriving a MAC key costs what the sender says, so all that can be refused is refused
 * before: unknown references, and too many wrong MACs under one reference from one source.
 * @throws PolicyError `locked-out`; UpstreamError when the token that it is sealed with does not answer.
 */
export async function findMacCredential(
  { store, dataKeys, lockOut }: MacParts,
  endpoint: Endpoint,
  { protocol, reference: octets, sourceAddress }: NamedSecret,
): Promise<MacCredential | undefined> {
  if (!authenticatorsOf(endpoint, protocol).includes('mac')) return undefined;
  const reference = Buffer.from(octets).toString('latin1');
  const row = REFERENCE.test(reference) ? await findMacSecret(store, endpoint.id, reference) : undefined;
  // An EAB key is found by its reference, too, and is no MAC secret (V43).
  const isMac = row?.usage === 'one-time' || row?.usage === 'device';
  if (row === undefined || !isMac || row.sealed === null || !serves(row, endpoint, '', store.clock.now())) {
    await lockOut.failed(`mac-failures:${endpoint.id}:${sourceAddress}`, 'references');
    return undefined;
  }
  // By reference and source: neither a neighbour's wrong MACs nor a stranger's lock a device out.
  const counter = `mac-failures:${endpoint.id}:${sourceAddress}:${reference}`;
  if (lockOut.isLocked(counter)) throw lockedOut('MACs');
  const secret = openSecret(await dataKeys.sealer(endpoint.tenant), row);
  const fact = macFact(row, reference);
  return { reference, secret, fact: () => fact, failed: () => lockOut.failed(counter, 'MACs') };
}

function macFact(row: SharedSecretRow, reference: string): MacFact {
  const { usage } = row;
  if (usage !== 'one-time' && usage !== 'device') throw new InternalError(`the secret ${row.id} is no MAC secret`);
  return asVerified<MacFact>({
    kind: 'mac',
    secretId: row.id,
    reference,
    usage,
    state: usableState(row),
    boundKey: row.bound_key ?? undefined,
    subject: row.subject ?? undefined,
    ...attestedBy(row),
  });
}
