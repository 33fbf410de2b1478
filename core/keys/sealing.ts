import { constants, createCipheriv, createDecipheriv, createHmac, publicEncrypt, randomBytes } from 'node:crypto';
import { InternalError } from '../errors/muster-error.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { Secret } from './secret.ts';
import type { TokenKey } from './token-key.ts';

/** Where a sealed value stands: it opens there and nowhere else. */
export interface SealedPlace {
  readonly table: string;
  /** The id of its row. */
  readonly row: string;
}

/** Seals the readable secrets of one tenant (AES-256-GCM); the associated data are table, row and tenant. */
export interface Sealer {
  seal(place: SealedPlace, secret: Secret): Uint8Array;
  /** @throws InternalError for what was sealed elsewhere, changed, or sealed under a key that this sealer does not hold. */
  open(place: SealedPlace, sealed: Uint8Array): Secret;
}

/** A key that seals, by the number under which it is stored. */
export interface DataKey {
  readonly number: number;
  readonly key: Uint8Array;
}

/** The paddings a data key is wrapped with, best first: some tokens that remove it themselves know SHA-1 only. */
const PADDINGS = { 'oaep-sha256': 'sha256', 'oaep-sha1': 'sha1' } as const;
export type WrappingPadding = keyof typeof PADDINGS;

/** A data key as it is stored. */
export interface WrappedDataKey {
  readonly padding: WrappingPadding;
  readonly wrapped: Uint8Array;
  /** Tells the right key from the random octets that a wrong token yields. */
  readonly check: Uint8Array;
}

const KEY_OCTETS = 32;

/**
 * A new AES-256 key, encrypted to a key that cannot leave its token (RSAES-OAEP), by the best padding that the token was seen to
 * open.
 * @throws UpstreamError when the token is away; InternalError when it opens none.
 */
export async function makeDataKey(wrappingKey: TokenKey, tenant: string): Promise<WrappedDataKey> {
  const key = randomBytes(KEY_OCTETS);
  const check = checkValueOf(key);
  try {
    for (const padding of Object.keys(PADDINGS) as WrappingPadding[]) {
      const wrapped = { padding, wrapped: wrap(wrappingKey.publicKey, padding, key), check };
      if ((await tryUnwrap(wrappingKey, wrapped, tenant)) !== undefined) return wrapped;
    }
  } finally {
    key.fill(0);
  }
  throw new InternalError(`the token of ${wrappingKey.uri} opens nothing that is encrypted by OAEP`);
}

/**
 * The data key, by the token that holds the wrapping key.
 * @throws UpstreamError when the token is away; InternalError when its key is another than the one that wrapped.
 */
export async function unwrapDataKey(
  wrappingKey: TokenKey,
  wrapped: WrappedDataKey,
  tenant: string,
): Promise<Uint8Array> {
  const key = await tryUnwrap(wrappingKey, wrapped, tenant);
  if (key === undefined) throw new InternalError(`the key ${wrappingKey.uri} did not wrap this data key`);
  return key;
}

function wrap({ der }: SubjectPublicKeyInfo, padding: WrappingPadding, key: Buffer): Buffer {
  const publicKey = { key: Buffer.from(der), format: 'der', type: 'spki' } as const;
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: PADDINGS[padding] };
  return publicEncrypt({ ...publicKey, ...oaep }, key);
}

async function tryUnwrap(
  wrappingKey: TokenKey,
  { padding, wrapped, check }: WrappedDataKey,
  tenant: string,
): Promise<Uint8Array | undefined> {
  const key = await wrappingKey.decryptRsa(padding, wrapped, { tenant, length: KEY_OCTETS });
  return checkValueOf(key).equals(check) ? key : undefined;
}

const VERSION = 1;
const HEADER_OCTETS = 5;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

/** Seals under `current`, opens what any of `keys` sealed. What is sealed: version, number of the key, nonce, ciphertext, tag. */
export function sealer(tenant: string, current: DataKey, keys: readonly DataKey[]): Sealer {
  return {
    seal(place, secret) {
      const header = Buffer.alloc(HEADER_OCTETS, VERSION);
      header.writeUInt32BE(current.number, 1);
      const nonce = randomBytes(NONCE_OCTETS);
      const cipher = createCipheriv('aes-256-gcm', current.key, nonce).setAAD(associatedData(header, place, tenant));
      const ciphertext = [cipher.update(secret.reveal(), 'utf8'), cipher.final()];
      return Buffer.concat([header, nonce, ...ciphertext, cipher.getAuthTag()]);
    },
    open(place, octets) {
      const sealed = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
      const fault = `the secret in ${place.table} ${place.row} cannot be opened`;
      if (sealed.length < HEADER_OCTETS + NONCE_OCTETS + TAG_OCTETS || sealed[0] !== VERSION)
        throw new InternalError(`${fault}: it was not sealed here`);
      const number = sealed.readUInt32BE(1);
      const held = keys.find((candidate) => candidate.number === number);
      if (!held) throw new InternalError(`${fault}: the tenant has no data key ${number}`);
      const nonce = sealed.subarray(HEADER_OCTETS, HEADER_OCTETS + NONCE_OCTETS);
      const decipher = createDecipheriv('aes-256-gcm', held.key, nonce, { authTagLength: TAG_OCTETS })
        .setAAD(associatedData(sealed.subarray(0, HEADER_OCTETS), place, tenant))
        .setAuthTag(sealed.subarray(-TAG_OCTETS));
      try {
        const text = decipher.update(sealed.subarray(HEADER_OCTETS + NONCE_OCTETS, -TAG_OCTETS));
        return new Secret(Buffer.concat([text, decipher.final()]).toString('utf8'));
      } catch (error) {
        throw new InternalError(`${fault}: it was changed or belongs elsewhere`, { cause: error });
      }
    },
  };
}

/** Ids and table names hold no NUL, so that no two places read alike. */
function associatedData(header: Uint8Array, { table, row }: SealedPlace, tenant: string): Buffer {
  return Buffer.concat([header, Buffer.from(`${table}\0${row}\0${tenant}`, 'utf8')]);
}

function checkValueOf(key: Uint8Array): Buffer {
  return createHmac('sha256', key).update('muster data key').digest();
}
