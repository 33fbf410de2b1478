import type { DataKeys } from '../authority/data-keys.ts';
import { PolicyError, UpstreamError } from '../errors/muster-error.ts';
import { newId } from '../store/id.ts';
import type { Store } from '../store/store.ts';
import type { ChosenSecrets } from './chosen-secrets.ts';
import type { PresentedChallenge } from './credentials.ts';
import { challengesEqual, dayOf, deriveChallenge, lastDayOf } from './derived-challenge.ts';
import { allowsDevice } from './device-patterns.ts';
import { authenticatorsOf, type Authenticator, type Endpoint } from './endpoint.ts';
import { askDecider, deciderUrl } from './external-decider.ts';
import { asVerified, type ExternalDecisionFact, type PasswordFact } from './facts.ts';
import { lockedOut, type LockOut } from './lock-out.ts';
import { openSecret } from './sealed-secrets.ts';
import { findSecret, usableSecrets, type SecretHash } from './secrets.ts';
import { isPassword, passwordFact, serves, type StoredPassword } from './stored-passwords.ts';
import type { SharedSecretRow } from './tables.ts';

/** What challenges are checked with. */
export interface ChallengeParts {
  readonly store: Store;
  readonly secretHash: SecretHash;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  readonly chosen: ChosenSecrets;
  readonly lockOut: LockOut;
}

/** A challenge at an endpoint, with the kinds of proof that count there. */
interface Asked extends PresentedChallenge {
  readonly endpoint: Endpoint;
  readonly accepts: (authenticator: Authenticator) => boolean;
  /** Under which wrong challenges are counted. */
  readonly counter: string;
}

/**
 * Tries a challenge as each kind that the endpoint accepts, those that cannot be guessed first. Who guesses too often is not
 * compared with what people chose any more, nor asked about; a secret that we made still passes, or anybody behind the
 * same address could lock a site out.
 * @throws PolicyError `bad-credential` with one message for whatever is wrong, or `locked-out`; UpstreamError.
 */
export async function verifyChallenge(
  parts: ChallengeParts,
  endpoint: Endpoint,
  presented: PresentedChallenge,
): Promise<PasswordFact | ExternalDecisionFact> {
  const authenticators = authenticatorsOf(endpoint, presented.protocol);
  const asked: Asked = {
    ...presented,
    endpoint,
    accepts: (authenticator) => authenticators.includes(authenticator),
    counter: `password-failures:${endpoint.id}:${presented.sourceAddress}`,
  };
  const unguessable = (await byStoredSecret(parts, asked)) ?? (await byDerivation(parts, asked));
  if (unguessable) return unguessable;
  if (parts.lockOut.isLocked(asked.counter)) throw lockedOut('challenges');
  const fact = (await byChosenSecret(parts, asked)) ?? (await byDecision(parts, asked));
  if (fact) return fact;
  await parts.lockOut.failed(asked.counter, 'challenges');
  throw new PolicyError('bad-credential', `the challenge is not valid for ${presented.protocol} at this endpoint`);
}

async function byStoredSecret({ store, secretHash }: ChallengeParts, asked: Asked): Promise<PasswordFact | undefined> {
  const { accepts, challenge, deviceName, endpoint } = asked;
  if (!accepts('password') && !accepts('static-password')) return undefined;
  const row = await findSecret(store, secretHash, challenge);
  if (row === undefined || !isPassword(row)) return undefined;
  // A challenge has no user name beside it: the one that belongs to a device's password is the device's.
  if (!serves(row, endpoint, deviceName, store.clock.now())) return undefined;
  if (row.usage === 'static') return accepts('static-password') ? staticFact(row, deviceName) : undefined;
  return accepts('password') ? passwordFact(row, deviceName) : undefined;
}

async function byDerivation({ store, dataKeys }: ChallengeParts, asked: Asked): Promise<PasswordFact | undefined> {
  const { accepts, challenge, deviceName, endpoint } = asked;
  const lastDay = lastDayOf(challenge);
  if (!accepts('derived-password') || lastDay === undefined || deviceName === '') return undefined;
  // Days read as they sort.
  if (lastDay < dayOf(store.clock.now())) return undefined;
  const keys = await usableSecrets(store, endpoint, 'derived');
  if (keys.length === 0) return undefined;
  const sealer = await dataKeys.sealer(endpoint.tenant);
  const derived = { endpoint: endpoint.label, deviceName, lastDay };
  const key = keys.find((row) => challengesEqual(deriveChallenge(openSecret(sealer, row), derived), challenge));
  return key && manyTimes(key.id, 'derived', deviceName);
}

async function byChosenSecret({ store, chosen }: ChallengeParts, asked: Asked): Promise<PasswordFact | undefined> {
  const { accepts, challenge, deviceName, endpoint } = asked;
  if (!accepts('static-password')) return undefined;
  for (const row of await usableSecrets(store, endpoint, 'static')) {
    if (await chosen.matches(row, challenge)) return staticFact(row, deviceName);
  }
  return undefined;
}

async function byDecision(
  { store, dataKeys }: ChallengeParts,
  asked: Asked,
): Promise<ExternalDecisionFact | undefined> {
  const { endpoint, accepts, protocol, challenge, deviceName, request, transactionId, sourceAddress } = asked;
  if (!accepts('webhook')) return undefined;
  const { decider } = endpoint;
  const [keyRow] = await usableSecrets(store, endpoint, 'decider');
  if (!decider || !keyRow)
    throw new UpstreamError('decider-unavailable', 'the endpoint has no external decider, or no key to ask it with');
  const key = openSecret(await dataKeys.sealer(endpoint.tenant), keyRow);
  const now = store.clock.now();
  const question = { id: newId(now), endpoint: endpoint.label, protocol, deviceName, transactionId, sourceAddress };
  const { allow, reference } = await askDecider(decider, key, { ...question, challenge, request }, now);
  if (!allow) return undefined;
  return asVerified<ExternalDecisionFact>({
    kind: 'external-decision',
    decider: deciderUrl(decider).host,
    reference,
    deviceName,
  });
}

/** VU#971035: a secret that many know enrols the devices on its list and nobody else. */
function staticFact(
  row: Pick<SharedSecretRow | StoredPassword, 'id' | 'allowed'>,
  deviceName: string,
): PasswordFact | undefined {
  const allowed = JSON.parse(row.allowed ?? '[]') as string[];
  return allowsDevice(allowed, deviceName) ? manyTimes(row.id, 'static', deviceName) : undefined;
}

function manyTimes(secretId: string, usage: 'static' | 'derived', deviceName: string): PasswordFact {
  return asVerified<PasswordFact>({
    kind: 'password',
    secretId,
    usage,
    state: 'free',
    boundKey: undefined,
    subject: deviceName,
    username: '',
  });
}
