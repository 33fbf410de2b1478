import pkcs11js from 'pkcs11js';

import { openKeyStore, type TokenConfig } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';

const MODULUS_OCTETS = 256;
/** DigestInfo of SHA-256 (RFC 8017 §9.2): what CKM_RSA_PKCS is given to sign. */
const DIGEST_INFO_OCTETS = 51;

/**
 * What the module itself does at best of what one SCEP message asks of it: one RSA-2048 decryption and one RSA-2048 signature,
 * over asynchronous sessions, without Muster.
 */
export class BareToken implements Disposable {
  readonly #api = new pkcs11js.PKCS11();
  readonly #slot: Buffer;
  readonly #key: Buffer;
  readonly #session: Buffer;

  private constructor(config: TokenConfig, id: string) {
    this.#api.load(config.module);
    // Without CKF_OS_LOCKING_OK asynchronous calls crash the process.
    this.#api.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK });
    this.#slot = this.#api
      .C_GetSlotList(true)
      .find((slot) => this.#api.C_GetTokenInfo(slot).label.trim() === config.label)!;
    this.#session = this.#open();
    this.#api.C_Login(this.#session, pkcs11js.CKU_USER, config.pin.reveal());
    this.#api.C_FindObjectsInit(this.#session, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY },
      { type: pkcs11js.CKA_ID, value: Buffer.from(id, 'hex') },
    ]);
    this.#key = this.#api.C_FindObjects(this.#session, 1)[0]!;
    this.#api.C_FindObjectsFinal(this.#session);
  }

  /** Makes an RSA-2048 key in the token and opens the token without Muster. */
  static async open(config: TokenConfig): Promise<BareToken> {
    const store = await openKeyStore([{ ...config, process: 'shared' }]);
    const key = await store.generate({
      token: config.label,
      algorithm: 'rsa-2048',
      label: 'ra',
      usage: 'sign-and-decrypt',
    });
    await store.close();
    return new BareToken(config, parseKeyUri(key.uri).id!);
  }

  /** Pairs of decryption and signature a second, over `sessions` sessions for `milliseconds`. */
  async pairsPerSecond(sessions: number, milliseconds: number): Promise<number> {
    const start = performance.now();
    let done = 0;
    const loop = async (): Promise<void> => {
      const session = this.#open();
      const output = Buffer.alloc(MODULUS_OCTETS);
      const ciphertext = Buffer.alloc(MODULUS_OCTETS, 0x17);
      ciphertext[0] = 0;
      const digestInfo = Buffer.alloc(DIGEST_INFO_OCTETS, 1);
      while (performance.now() - start < milliseconds) {
        this.#api.C_DecryptInit(session, { mechanism: pkcs11js.CKM_RSA_X_509 }, this.#key);
        await this.#api.C_DecryptAsync(session, ciphertext, output);
        this.#api.C_SignInit(session, { mechanism: pkcs11js.CKM_RSA_PKCS }, this.#key);
        await this.#api.C_SignAsync(session, digestInfo, output);
        done += 1;
      }
      this.#api.C_CloseSession(session);
    };
    await Promise.all(Array.from({ length: sessions }, loop));
    return (done * 1000) / (performance.now() - start);
  }

  [Symbol.dispose](): void {
    this.#api.C_Finalize();
  }

  #open(): Buffer {
    return this.#api.C_OpenSession(this.#slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
  }
}
