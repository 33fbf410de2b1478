import type { Issuer } from '../../core/authority/directory.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { decodePem } from '../../core/x509/pem.ts';
import type { TlsIdentity } from '../http/tls-settings.ts';
import { needsRenewal, tlsIdentity, type TlsIdentitySource } from '../installation/tls-identity.ts';

/** Where this node's TLS certificates come from. */
export interface OwnTlsSource extends Omit<TlsIdentitySource, 'issuer' | 'bridges'> {
  /** The authority that issues them now, with what its chain needs besides while some trust only the root before. */
  readonly authority: () => Promise<{ readonly issuer: Issuer; readonly bridges: readonly Uint8Array[] }>;
}

/** This node's TLS certificates, in force and on disk. */
export class OwnTls {
  readonly #source: OwnTlsSource;
  #current: TlsIdentitySource;
  #identity: TlsIdentity;

  private constructor(source: OwnTlsSource, current: TlsIdentitySource, identity: TlsIdentity) {
    this.#source = source;
    this.#current = current;
    this.#identity = identity;
  }

  /** Reads the certificates of the data folder, or has new ones issued. */
  static async open(source: OwnTlsSource): Promise<OwnTls> {
    const current = { ...source, ...(await source.authority()) };
    return new OwnTls(source, current, await tlsIdentity(current));
  }

  /** Whose authority issues them. */
  get tenant(): string {
    return this.#current.issuer.tenant;
  }

  /** The root that they lead to, DER. */
  get root(): Uint8Array {
    return this.#current.issuer.chain.at(-1)!.der;
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

  /** Renews what is due, or comes from an authority that another took over from, and hands the new identity on. */
  async renewIfDue(use: (identity: TlsIdentity) => void): Promise<void> {
    const current = { ...this.#source, ...(await this.#source.authority()) };
    if (!needsRenewal(current)) return;
    this.#identity = await tlsIdentity(current);
    this.#current = current;
    use(this.#identity);
  }
}
