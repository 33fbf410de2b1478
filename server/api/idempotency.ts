import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { principalOf } from './authentication.ts';
import { isDryRun } from './changes.ts';
import type { IdempotencyTables } from './idempotency-table.ts';
import type { ApiScope } from './type-provider.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The Idempotency-Key under which the answer is kept; null without one, and for a repeat. */
    idempotency: IdempotencyTicket | null;
  }
}

/** A request under a key, being worked on. */
interface IdempotencyTicket {
  readonly token: string;
  readonly keySha256: string;
  /** Seals the answer. */
  readonly sealingKey: Uint8Array;
}

/** How long a repeat gets the stored answer. */
const KEPT_MILLISECONDS = 24 * 3_600_000;
/** Work that takes longer than this has lost its process. */
const ABANDONED_MILLISECONDS = 10 * 60_000;
const KEY = /^[\u0021-\u007e]{1,128}$/;
const REPLAYED_HEADERS = ['content-type', 'location', 'etag'] as const;

/**
 * The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header): a repeat of the same request under the same key and token
 * gets the stored answer, marked `idempotent-replayed: true`; another request under it is a conflict. Answers of 500 and more are not
 * kept. An answer may hold a secret that is shown once, so it is stored under a key derived from the bearer token and the
 * Idempotency-Key, neither of which is stored.
 */
export function keepIdempotency(api: ApiScope, store: Store): void {
  api.decorateRequest('idempotency', null);
  api.addHook('preHandler', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    if (key === undefined || request.method === 'GET' || isDryRun(request)) return;
    if (typeof key !== 'string' || !KEY.test(key))
      throw new PeerError('malformed-request', 'Idempotency-Key: expected 1 to 128 printable characters');
    const stored = await begin(store, request, key);
    if (stored !== undefined) await replay(reply, stored);
  });
  api.addHook('onSend', async (request, reply, payload) => {
    const ticket = request.idempotency;
    if (ticket !== null) await settle(store, ticket, reply, payload);
    return payload;
  });
}

/** Drops answers that are kept long enough. */
export async function forgetAnswers(store: Store): Promise<void> {
  const until = store.clock.now() - KEPT_MILLISECONDS;
  await store.unit((tx) =>
    tx.db<IdempotencyTables>().deleteFrom('idempotency_keys').where('created_at', '<', until).execute(),
  );
}

interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Takes the key for this request, or finds the answer that it had. */
async function begin(store: Store, request: FastifyRequest, key: string): Promise<StoredAnswer | undefined> {
  const { tokenId: token } = principalOf(request);
  const keySha256 = sha256(key);
  const sealingKey = sealingKeyOf(request.headers.authorization ?? '', key);
  const requestSha256 = sha256(`${request.method} ${request.url}\n${JSON.stringify(request.body ?? null)}`);
  const now = store.clock.now();
  const row = { token, key_sha256: keySha256, request_sha256: requestSha256 };
  const known = await store.unit(async (tx) => {
    const keys = tx.db<IdempotencyTables>();
    await keys
      .deleteFrom('idempotency_keys')
      .where('token', '=', token)
      .where('key_sha256', '=', keySha256)
      .where('created_at', '<', now - KEPT_MILLISECONDS)
      .execute();
    const { numInsertedOrUpdatedRows } = await keys
      .insertInto('idempotency_keys')
      .values({ ...row, status: null, sealed: null, created_at: now })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow();
    if (numInsertedOrUpdatedRows === 1n) return undefined;
    return keys
      .selectFrom('idempotency_keys')
      .select(['request_sha256', 'status', 'sealed', 'created_at'])
      .where('token', '=', token)
      .where('key_sha256', '=', keySha256)
      .executeTakeFirstOrThrow();
  });
  if (known === undefined) {
    request.idempotency = { token, keySha256, sealingKey };
    return undefined;
  }
  if (known.request_sha256 !== requestSha256)
    throw new StateError('conflict', 'the Idempotency-Key belongs to another request');
  if (known.status === null || known.sealed === null) throw unfinished(now - known.created_at);
  return { status: known.status, ...opened(sealingKey, known.sealed) };
}

function unfinished(age: number): StateError {
  if (age < ABANDONED_MILLISECONDS)
    return new StateError('conflict', 'the first request with this Idempotency-Key is still worked on', {
      retryAfterSeconds: 1,
    });
  const detail =
    'the first request with this Idempotency-Key was interrupted: look at what stands, then use another key';
  return new StateError('conflict', detail);
}

async function replay(reply: FastifyReply, { status, headers, body }: StoredAnswer): Promise<void> {
  reply.code(status).headers(headers).header('idempotent-replayed', 'true');
  await reply.serializer((text: string) => text).send(body);
}

/** Keeps the answer; gives the key back where the request may succeed later. */
async function settle(store: Store, ticket: IdempotencyTicket, reply: FastifyReply, payload: unknown): Promise<void> {
  const body = payload === null || payload === undefined ? '' : payload;
  const keep = reply.statusCode < 500 && reply.statusCode !== 429 && typeof body === 'string';
  const sent = REPLAYED_HEADERS.map((name) => [name, reply.getHeader(name)] as const);
  const headers = Object.fromEntries(sent.filter(([, value]) => value !== undefined).map(([n, v]) => [n, String(v)]));
  const sealed = sealedWith(ticket.sealingKey, { headers, body: keep ? body : '' });
  await store.unit(async (tx) => {
    const keys = tx.db<IdempotencyTables>();
    const { token, keySha256 } = ticket;
    if (keep) {
      const change = keys.updateTable('idempotency_keys').set({ status: reply.statusCode, sealed });
      await change.where('token', '=', token).where('key_sha256', '=', keySha256).execute();
    } else {
      const removal = keys.deleteFrom('idempotency_keys').where('token', '=', token);
      await removal.where('key_sha256', '=', keySha256).execute();
    }
  });
}

function sealingKeyOf(authorization: string, key: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', authorization, key, 'muster idempotent answer', 32));
}

const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

function sealedWith(key: Uint8Array, answer: object): Uint8Array {
  const nonce = randomBytes(NONCE_OCTETS);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const text = Buffer.concat([cipher.update(JSON.stringify(answer), 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

function opened(key: Uint8Array, sealed: Uint8Array): Pick<StoredAnswer, 'headers' | 'body'> {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_OCTETS));
  decipher.setAuthTag(sealed.subarray(NONCE_OCTETS, NONCE_OCTETS + TAG_OCTETS));
  const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_OCTETS + TAG_OCTETS)), decipher.final()]);
  return JSON.parse(text.toString('utf8')) as Pick<StoredAnswer, 'headers' | 'body'>;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
