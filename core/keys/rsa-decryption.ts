import { createHmac, hash, randomBytes } from 'node:crypto';
import { rsaModulus, type SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { unpadRsa } from './rsa-unpadding.ts';
import type { RsaPadding } from './token-backend.ts';

/** The private operations of one RSA key, on its way through its token's queue. */
export interface RsaPrivateOperations {
  /** `raw` when the token does the bare operation, `unwrap` when it insists on removing the padding itself. */
  readonly decryption: 'raw' | 'unwrap';
  raw(block: Uint8Array): Promise<Uint8Array>;
  unwrap(padding: RsaPadding, ciphertext: Uint8Array, length: number): Promise<Uint8Array | undefined>;
}

/** Names what the fixed block and the fallbacks are for, so that no other use of the key meets them. */
const DOMAIN = 'muster implicit rejection';

/**
 * RSA decryption that never tells whether the padding was right: a ciphertext that is not as it should be yields octets that
 * look random and are the same each time it comes, derived from the ciphertext under a secret of the key (implicit rejection).
 *
 * The secret is the key's own operation on a fixed block: every node and every start derives the same one, nobody without the
 * key can, and nothing need be stored. A token without bare RSA cannot do that; there it is random for each process.
 */
export class RsaDecryption {
  readonly #modulus: Buffer;
  #secret: Buffer | undefined;

  constructor(publicKey: SubjectPublicKeyInfo) {
    this.#modulus = Buffer.from(rsaModulus(publicKey));
  }

  /** The `length` octets that were encrypted, or as many that look random. Rejects only when the token does not work. */
  async decrypt(
    operations: RsaPrivateOperations,
    padding: RsaPadding,
    ciphertext: Uint8Array,
    length: number,
  ): Promise<Uint8Array> {
    const fallback = expand(await this.#secretOf(operations), padding, ciphertext, length);
    const wellFormed = this.#isBelowModulus(ciphertext);
    // What cannot be a ciphertext of this key is visible to its sender; the token works as long on the fixed block.
    const input = wellFormed ? ciphertext : this.#fixedBlock();
    if (operations.decryption === 'unwrap') {
      const message = await operations.unwrap(padding, input, length);
      return wellFormed && message !== undefined ? message : fallback;
    }
    const block = this.#atModulusLength(await operations.raw(input));
    const message = unpadRsa(padding, block, fallback);
    block.fill(0);
    return wellFormed ? message : fallback;
  }

  async #secretOf(operations: RsaPrivateOperations): Promise<Buffer> {
    if (this.#secret === undefined) {
      const known = operations.decryption === 'raw' ? await operations.raw(this.#fixedBlock()) : randomBytes(32);
      this.#secret = hash('sha256', this.#atModulusLength(known), 'buffer');
    }
    return this.#secret;
  }

  /** RFC 8017 §5.1.2: the representative of a ciphertext is below the modulus. */
  #isBelowModulus(ciphertext: Uint8Array): boolean {
    return ciphertext.length === this.#modulus.length && Buffer.compare(ciphertext, this.#modulus) < 0;
  }

  /** Octets that nobody chose, below the modulus: its first octet is zero. */
  #fixedBlock(): Buffer {
    const block = expand(Buffer.from(DOMAIN), 'pkcs1', this.#modulus, this.#modulus.length);
    block[0] = 0;
    return block;
  }

  /** Some tokens drop leading zeros. */
  #atModulusLength(octets: Uint8Array): Buffer {
    const block = Buffer.alloc(this.#modulus.length);
    block.set(octets, Math.max(0, block.length - octets.length));
    return block;
  }
}

/** As many octets as asked for: HMAC-SHA-256 in counter mode over the padding's name and the ciphertext. */
function expand(secret: Buffer, padding: RsaPadding, ciphertext: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 0; blocks.length * 32 < length; counter++) {
    const mac = createHmac('sha256', secret).update(`${DOMAIN} ${padding} ${counter} ${length}\0`).update(ciphertext);
    blocks.push(mac.digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}
