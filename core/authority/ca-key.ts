import { InternalError, UpstreamError } from '../errors/muster-error.ts';
import type { TokenKey } from '../keys/key-store.ts';
import { assembleSigned } from '../x509/certificate.ts';
import { publicKeysEqual, type SubjectPublicKeyInfo } from '../x509/public-key.ts';
import { verifySignatureAsync, type SignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { assembleCertList } from './crl-encoding.ts';
import { LintedCertList } from './lint-crl.ts';
import { Linted } from './lint.ts';

/**
 * The private key of a certification authority. It signs what lint returned and nothing else; there is no way to hand it
 * bytes. It lives in this folder alone: protocols get service keys.
 */
export class CaKey {
  readonly #key: TokenKey;
  readonly #algorithm: SignatureAlgorithm;

  constructor(key: TokenKey, algorithm: SignatureAlgorithm) {
    this.#key = key;
    this.#algorithm = algorithm;
  }

  /** The public half, as the token holds it. */
  get publicKey(): SubjectPublicKeyInfo {
    return this.#key.publicKey;
  }

  /**
   * RSA-CRT signatures made wrongly give the key away, and verifying is cheap; tokens elsewhere have a wire and a firmware
   * of their own. An ECDSA signature that this host's own CPU made a moment ago is not checked by the same CPU.
   */
  get #isDoubted(): boolean {
    return !this.#key.inMemory || this.#key.publicKey.algorithm.kind === 'rsa';
  }

  /**
   * Signs a linted certificate for a tenant's account in the token's queue; returns the certificate, DER.
   * @throws UpstreamError `hsm-unavailable`, `hsm-pin-refused` or `overloaded`; a signature that does not verify is the
   *   token's fault and never leaves (a faulty RSA-CRT signature gives the key away).
   */
  async signCertificate(linted: Linted, tenant: string): Promise<Uint8Array> {
    this.#requireAlgorithm(linted.certificate.signatureAlgorithm);
    // By the class and not by the object: what only looks like a Linted has no state to redeem.
    const tbs = Linted.prototype.redeem.call(linted);
    return assembleSigned(tbs, this.#algorithm, await this.#sign(tbs, tenant));
  }

  /** Signs a linted CRL in the same way; returns the CertificateList, DER. */
  async signCertList(linted: LintedCertList, tenant: string): Promise<Uint8Array> {
    this.#requireAlgorithm(linted.signatureAlgorithm);
    const tbs = LintedCertList.prototype.redeem.call(linted);
    return assembleCertList(tbs, this.#algorithm, await this.#sign(tbs, tenant));
  }

  #requireAlgorithm(named: SignatureAlgorithm): void {
    if (named === this.#algorithm) return;
    throw new InternalError(`what is to be signed names ${named}, the key signs with ${this.#algorithm}`);
  }

  async #sign(tbs: Uint8Array, tenant: string): Promise<Uint8Array> {
    const signature = await this.#key.sign(this.#algorithm, tbs, { tenant });
    if (this.#isDoubted && !(await verifySignatureAsync(this.#key.publicKey, this.#algorithm, tbs, signature))) {
      throw new UpstreamError('hsm-unavailable', 'the token returned a signature that does not verify');
    }
    return signature;
  }
}

/**
 * The CaKey behind a CA certificate.
 * @throws InternalError when the token's key is not the one the certificate names.
 */
export function caKeyOf(key: TokenKey, certified: SubjectPublicKeyInfo, algorithm: SignatureAlgorithm): CaKey {
  if (!publicKeysEqual(key.publicKey, certified)) {
    throw new InternalError('the key in the token is not the key of the CA certificate');
  }
  return new CaKey(key, algorithm);
}
