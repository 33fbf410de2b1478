import { appendAudit } from '../../core/audit/log.ts';
import { newId } from '../../core/store/id.ts';
import type { Unit } from '../../core/store/store.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import { type AccountKey, parseAccountKey } from './account-key.ts';
import { type BoundKey, verifyBinding } from './account-binding.ts';
import type { AcmeDependencies, Answer, Call } from './dependencies.ts';
import { asObject, flag, type JsonObject, optionalList, optionalString, parseObject, requiredString } from './json.ts';
import { carriedKey, parseJws, requireAlgorithm, verifyJws } from './jws.ts';
import { AcmeUrls } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { type AccountRequest, payloadOf, type SignedRequest } from './request-authentication.ts';
import { accountByThumbprint, changeAccountKey, insertAccount } from './statements.ts';
import type { AccountRow, AcmeTables } from './tables.ts';

type AccountDependencies = Pick<AcmeDependencies, 'store' | 'shortLived' | 'credentials'>;

const MAX_CONTACTS = 10;
const HOUR = 3600;

/** newAccount (RFC 8555 §7.3). */
export async function newAccount(parts: AccountDependencies, call: Call, request: SignedRequest): Promise<Answer> {
  const payload = payloadOf(request);
  const [existing] = await parts.store.query(accountByThumbprint, {
    endpoint: call.endpoint.id,
    thumbprint: request.key.thumbprint,
  });
  if (existing) return existingAccount(call, existing);
  if (flag(payload, 'onlyReturnExisting')) throw new AcmeProblem('accountDoesNotExist', 'no account has this key');
  const contact = contactsOf(payload) ?? [];
  const terms = agreedTerms(call, payload);
  const bound = await verifyBinding(parts.credentials, call, payload, request.key);
  await limitNewAccounts(parts, call);
  const account = { ...newRow(call, request.key, parts.store.clock.now()), contact: JSON.stringify(contact), terms };
  return createAccount(
    parts,
    call,
    { ...account, eab_key: bound?.key.id ?? null, binding: bound?.binding ?? null },
    bound,
  );
}

/** Reads, updates or deactivates an account (RFC 8555 §7.3.2, §7.3.6); an empty payload is POST-as-GET. */
export async function updateAccount(
  { store }: AccountDependencies,
  call: Call,
  request: AccountRequest,
  id: string,
): Promise<Answer> {
  const { account, jws } = request;
  if (account.id !== id) throw new AcmeProblem('unauthorized', 'the account is another');
  if (jws.payload.length === 0) return accountAnswer(call, account, 200);
  const payload = payloadOf(request);
  const status = optionalString(payload, 'status');
  if (status !== undefined && status !== 'valid' && status !== 'deactivated')
    throw new AcmeProblem('malformed', 'status: expected deactivated');
  const contact = contactsOf(payload);
  const changed: AccountRow = {
    ...account,
    status: status ?? account.status,
    contact: contact === undefined ? account.contact : JSON.stringify(contact),
    terms: flag(payload, 'termsOfServiceAgreed') ? (call.settings.termsOfService ?? null) : account.terms,
  };
  await store.unit((tx) => storeChange(tx, call, account, changed, store.clock.now()));
  return accountAnswer(call, changed, 200);
}

/** keyChange (RFC 8555 §7.3.5): signed with the old key around, with the new one inside. */
export async function changeKey({ store }: AccountDependencies, call: Call, request: AccountRequest): Promise<Answer> {
  const { account, key: oldKey, jws } = request;
  const inner = parseJws(parseObject(jws.payload, 'payload'));
  requireAlgorithm(inner);
  const newKey = carriedKey(inner);
  await verifyJws(inner, newKey);
  if (inner.nonce !== undefined) throw new AcmeProblem('malformed', 'inner JWS: expected no nonce');
  if (inner.url !== jws.url) throw new AcmeProblem('malformed', 'inner JWS: expected the url of the outer one');
  const change = parseObject(inner.payload, 'inner payload');
  if (requiredString(change, 'account') !== accountUrl(call, account.id))
    throw new AcmeProblem('malformed', 'account: expected the URL of the account that signs');
  if (parseAccountKey(asObject(change['oldKey'], 'oldKey')).thumbprint !== oldKey.thumbprint)
    throw new AcmeProblem('malformed', 'oldKey: expected the key of the account');
  const { id, tenant } = account;
  const { endpoint } = call;
  const { jwk, thumbprint } = newKey;
  const spki = spkiSha256(newKey.publicKey);
  const [holder] = await store.query(accountByThumbprint, { endpoint: endpoint.id, thumbprint });
  if (holder !== undefined) throw keyInUse(call, holder.id);
  const changed = await store.unit(async (tx) => {
    if ((await tx.affected(changeAccountKey, { tenant, id, from: oldKey.thumbprint, thumbprint, spki, jwk })) !== 1)
      return false;
    await audit(tx, call, id, 'acme-account.key-changed', store.clock.now());
    return true;
  });
  if (!changed) throw new AcmeProblem('unauthorized', 'the account was changed meanwhile');
  return accountAnswer(call, { ...account, jwk, thumbprint }, 200);
}

/** @throws AcmeProblem `userActionRequired` while the terms of service in force are not agreed to (RFC 8555 §7.3.3). */
export function requireTerms({ settings: { termsOfService } }: Call, agreed: string | null): void {
  if (termsOfService === undefined || agreed === termsOfService) return;
  throw new AcmeProblem('userActionRequired', 'expected agreement to the terms of service', {
    headers: { link: `<${termsOfService}>;rel="terms-of-service"` },
    members: { instance: termsOfService },
  });
}

/** The URL of an account. */
export function accountUrl({ base, endpoint }: Pick<Call, 'base' | 'endpoint'>, id: string): string {
  return new AcmeUrls(base, endpoint.label).of('account', id);
}

async function createAccount(
  { store }: AccountDependencies,
  call: Call,
  account: AccountRow,
  bound: BoundKey | undefined,
): Promise<Answer> {
  const inserted = await store.unit(async (tx) => {
    if ((await tx.affected(insertAccount, { ...account })) !== 1) return false;
    await bound?.key.bind(tx, account.id, account.created_at);
    await audit(tx, call, account.id, 'acme-account.created', account.created_at, { eabKey: account.eab_key });
    return true;
  });
  if (inserted) return accountAnswer(call, account, 201);
  // The same request on another connection was faster.
  const { endpoint, thumbprint } = account;
  const [other] = await store.query(accountByThumbprint, { endpoint, thumbprint });
  return existingAccount(call, other!);
}

function existingAccount(call: Call, account: AccountRow): Answer {
  if (account.status !== 'valid')
    throw new AcmeProblem('unauthorized', `the account is ${account.status}`, { status: 401 });
  return accountAnswer(call, account, 200);
}

function newRow({ endpoint, sourceAddress }: Call, { jwk, thumbprint, publicKey }: AccountKey, now: number) {
  return {
    id: newId(now),
    tenant: endpoint.tenant,
    endpoint: endpoint.id,
    thumbprint,
    spki_sha256: spkiSha256(publicKey),
    jwk,
    status: 'valid' as const,
    source_address: sourceAddress,
    created_at: now,
  };
}

async function limitNewAccounts({ shortLived }: AccountDependencies, { endpoint, settings, sourceAddress }: Call) {
  const count = await shortLived.increment(`acme-accounts:${endpoint.id}:${sourceAddress}`, HOUR);
  if (count > settings.accountsPerHour)
    throw new AcmeProblem('rateLimited', 'too many new accounts from this address', { retryAfterSeconds: HOUR });
}

async function storeChange(tx: Unit, call: Call, before: AccountRow, after: AccountRow, now: number): Promise<void> {
  const { id, tenant, status, contact, terms } = after;
  const rows = tx.forTenant<AcmeTables>(tenant);
  await rows.updateTable('acme_accounts', { status, contact, terms }).where('id', '=', id).execute();
  if (status === before.status) return;
  await cancelWaiting(tx, tenant, id, now);
  await audit(tx, call, id, 'acme-account.deactivated', now);
}

/** RFC 8555 §7.3.6: whatever waits for the client of an account ends with it. */
export async function cancelWaiting(tx: Unit, tenant: string, account: string, now: number): Promise<void> {
  const rows = tx.forTenant<AcmeTables>(tenant);
  await rows
    .updateTable('acme_authorizations', { status: 'deactivated', challenge_status: 'invalid', lease_until: null })
    .where('account', '=', account)
    .where('status', '=', 'pending')
    .execute();
  await rows
    .updateTable('acme_orders', { status: 'invalid', updated_at: now })
    .where('account', '=', account)
    .where('status', 'in', ['pending', 'ready'])
    .execute();
}

function accountAnswer(call: Call, account: AccountRow, status: number): Answer {
  const urls = new AcmeUrls(call.base, call.endpoint.label);
  const { contact, terms, binding } = account;
  const { termsOfService } = call.settings;
  return {
    status,
    location: urls.of('account', account.id),
    ...(termsOfService !== undefined && { links: [`<${termsOfService}>;rel="terms-of-service"`] }),
    body: {
      status: account.status,
      contact: JSON.parse(contact) as unknown,
      ...(terms !== null && { termsOfServiceAgreed: true }),
      ...(binding !== null && { externalAccountBinding: JSON.parse(binding) as unknown }),
      orders: urls.of('orders', account.id),
    },
  };
}

function agreedTerms(call: Call, payload: JsonObject): string | null {
  const { termsOfService = null } = call.settings;
  const agreed = flag(payload, 'termsOfServiceAgreed') ? termsOfService : null;
  requireTerms(call, agreed);
  return agreed;
}

/** RFC 8555 §7.3: mailto only, one address each, without header fields. */
function contactsOf(payload: JsonObject): readonly string[] | undefined {
  return optionalList(payload, 'contact', MAX_CONTACTS)?.map((contact) => {
    if (typeof contact !== 'string' || contact.length > 320)
      throw new AcmeProblem('invalidContact', 'contact: expected URLs of at most 320 characters');
    if (!/^mailto:/i.test(contact)) throw new AcmeProblem('unsupportedContact', 'contact: expected mailto URLs');
    if (!/^mailto:[^\s,?#@]+@[^\s,?#@]+$/i.test(contact))
      throw new AcmeProblem('invalidContact', 'contact: expected one address and no header fields');
    return contact;
  });
}

function keyInUse(call: Call, holder: string): AcmeProblem {
  // RFC 8555 §7.3.5: 409, and where the account with this key is.
  return new AcmeProblem('malformed', 'the new key is that of an account', {
    status: 409,
    headers: { location: accountUrl(call, holder) },
  });
}

function audit(
  tx: Unit,
  { endpoint, sourceAddress: source }: Call,
  id: string,
  action: string,
  at: number,
  details: Readonly<Record<string, string | null>> = {},
): Promise<void> {
  return appendAudit(tx, {
    tenant: endpoint.tenant,
    at,
    actor: `device:acme-account ${id}`,
    action,
    object: `acme-account:${id}`,
    outcome: 'success',
    details: { endpoint: endpoint.id, source, ...details },
  });
}
