import { parseCertificate } from '../../core/x509/certificate.ts';
import { decodePem } from '../../core/x509/pem.ts';
import type { TlsIdentity } from '../http/tls-settings.ts';
import { needsRenewal, tlsIdentity, type TlsIdentitySource } from '../installation/tls-identity.ts';

/** This node's TLS certificates, in force and on disk. */
export class OwnTls {
  readonly #source: TlsIdentitySource;
  #identity: TlsIdentity;

  private constructor(source: TlsIdentitySource, identity: TlsIdentity) {
    this.#source = source;
    this.#identity = identity;
  }

  /** Reads the certificates of the data folder, or has new ones issued. */
  static async open(source: TlsIdentitySource): Promise<OwnTls> {
    return new OwnTls(source, await tlsIdentity(source));
  }

  /** What the listeners present. */
  get identity(): TlsIdentity {
    return this.#identity;
  }

  /** Epoch milliseconds at which the first of the certificates ends. */
  get notAfter(): number {
    const ends = this.#identity.certificates.map(({ chain }) =>
      parseCertificate(decodePem(chain)[0]!.der).notAfter.getTime(),
    );
    return Math.min(...ends);
  }

  /** Renews what is due and hands the new identity on. */
  async renewIfDue(use: (identity: TlsIdentity) => void): Promise<void> {
    if (!needsRenewal(this.#source)) return;
    this.#identity = await tlsIdentity(this.#source);
    use(this.#identity);
  }
}
