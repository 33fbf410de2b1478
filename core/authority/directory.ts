import { InternalError, StateError } from '../errors/muster-error.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import type { Store } from '../store/store.ts';
import { authorityKeyIdentifier, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { namesEqual } from '../x509/name.ts';
import { octetsEqual } from '../x509/octets.ts';
import { keyIdentifier } from '../x509/public-key.ts';
import { defaultSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { authorityById, listAuthorities } from './authorities.ts';
import { caKeyOf, type CaKey } from './ca-key.ts';
import type { IssuerContext } from './prepare.ts';
import type { AuthorityRow } from './tables.ts';

/** An authority ready to issue. */
export interface Issuer extends IssuerContext {
  readonly id: string;
  readonly tenant: string;
  readonly certificate: Certificate;
  /** From its own certificate to the root's. */
  readonly chain: readonly Certificate[];
  /**
   * Opens the key when first needed: a token that is away must not keep the rest from running.
   * @throws StateError `authority-retired`; UpstreamError when the token is away.
   */
  caKey(): Promise<CaKey>;
}

/**
 * The authorities of every tenant. What it keeps never changes once stored (key, certificate, parent), so it reads a
 * tenant's authorities again only when it is asked for one it does not know, or told to forget them because one is retired.
 */
export class AuthorityDirectory {
  readonly #store: Store;
  readonly #keys: KeyStore;
  readonly #publicUrl: string;
  readonly #tenants = new Map<string, ReadonlyMap<string, Issuer>>();

  /** `publicUrl` (no trailing slash) is where devices and relying parties reach the plain listener. */
  constructor(store: Store, keys: KeyStore, publicUrl: string) {
    this.#store = store;
    this.#keys = keys;
    this.#publicUrl = publicUrl;
  }

  /**
   * The authority of an endpoint; that a retired one issues nothing shows when its key is asked for.
   * @throws InternalError when the tenant has no such authority.
   */
  async issuer(tenant: string, id: string): Promise<Issuer> {
    const issuer = (await this.#ofTenant(tenant)).get(id) ?? (await this.#reload(tenant)).get(id);
    if (!issuer) throw new InternalError(`the authority ${id} of an endpoint is gone`);
    return issuer;
  }

  /** The authority of this tenant that issued a certificate, going by names and key identifiers; the path is not verified. */
  async issuerOf(tenant: string, certificate: Certificate): Promise<Issuer | undefined> {
    return findIssuer(await this.#ofTenant(tenant), certificate) ?? findIssuer(await this.#reload(tenant), certificate);
  }

  /** What a device needs to trust an authority: its certificate first, the root's last (RFC 7030 §4.1.3). */
  async caCertificates(tenant: string, id: string): Promise<readonly Uint8Array[]> {
    return (await this.issuer(tenant, id)).chain.map((certificate) => certificate.der);
  }

  /**
   * The certificates of the authority that takes over from one that is retiring: the newest other active issuing authority of
   * the tenant, its own certificate first. None while there is no need, or no such authority.
   */
  async successorCertificates(tenant: string, id: string): Promise<readonly Uint8Array[]> {
    const rows = await listAuthorities(this.#store, tenant);
    if (rows.find((row) => row.id === id)?.state !== 'retiring') return [];
    const successor = rows.findLast((row) => row.kind === 'issuing' && row.state === 'active' && row.id > id);
    return successor === undefined ? [] : this.caCertificates(tenant, successor.id);
  }

  /** An authority of any tenant, for what is public of it: its status services. */
  async byId(id: string): Promise<Issuer | undefined> {
    const row = await authorityById(this.#store, id);
    return row && this.issuer(row.tenant, row.id);
  }

  /** The authority whose certificate another one of the tenant issued under a serial number. */
  async subordinate(parent: Issuer, serialNumber: string): Promise<Issuer | undefined> {
    const { tenant } = parent;
    return (
      findSubordinate(await this.#ofTenant(tenant), parent, serialNumber) ??
      findSubordinate(await this.#reload(tenant), parent, serialNumber)
    );
  }

  /** The certificate of an authority of any tenant, DER: what every certificate it issued points to anyway. */
  async publicCertificate(id: string): Promise<Uint8Array | undefined> {
    const row = await authorityById(this.#store, id);
    return row?.certificate;
  }

  /** Has the authorities of a tenant read again: what is retired since then signs no more here. */
  forget(tenant: string): void {
    this.#tenants.delete(tenant);
  }

  async #ofTenant(tenant: string): Promise<ReadonlyMap<string, Issuer>> {
    return this.#tenants.get(tenant) ?? this.#reload(tenant);
  }

  async #reload(tenant: string): Promise<ReadonlyMap<string, Issuer>> {
    const rows = await listAuthorities(this.#store, tenant);
    const known = this.#tenants.get(tenant);
    const loaded = new Map(rows.map((row) => [row.id, known?.get(row.id) ?? this.#issuerOfRow(row, rows)]));
    this.#tenants.set(tenant, loaded);
    return loaded;
  }

  #issuerOfRow(row: AuthorityRow, rows: readonly AuthorityRow[]): Issuer {
    const certificate = parseCertificate(row.certificate);
    const signatureAlgorithm = defaultSignatureAlgorithm(certificate.publicKey.algorithm);
    let opened: Promise<CaKey> | undefined;
    const open = async (): Promise<CaKey> => {
      if (row.state === 'retired') throw new StateError('authority-retired', `the authority ${row.name} is retired`);
      return caKeyOf(await this.#keys.open(parseKeyUri(row.key_uri).uri), certificate.publicKey, signatureAlgorithm);
    };
    return {
      id: row.id,
      tenant: row.tenant,
      certificate,
      subject: certificate.subject,
      publicKey: certificate.publicKey,
      notAfter: certificate.notAfter,
      signatureAlgorithm,
      crlShards: row.crl_shards,
      urls: {
        ocsp: `${this.#publicUrl}/ocsp/${row.id}`,
        caIssuers: `${this.#publicUrl}/ca/${row.id}.cer`,
        crl:
          row.crl_shards === 1
            ? `${this.#publicUrl}/crl/${row.id}.crl`
            : `${this.#publicUrl}/crl/${row.id}/{shard}.crl`,
      },
      chain: chainOf(row, rows).map((link) => parseCertificate(link.certificate)),
      caKey() {
        // A failed opening is not kept: the next request tries again.
        opened ??= open().catch((error: unknown) => {
          opened = undefined;
          throw error;
        });
        return opened;
      },
    };
  }
}

function findIssuer(issuers: ReadonlyMap<string, Issuer>, certificate: Certificate): Issuer | undefined {
  const identifier = authorityKeyIdentifier(certificate);
  for (const issuer of issuers.values()) {
    if (!namesEqual(issuer.subject, certificate.issuer)) continue;
    if (identifier === undefined || octetsEqual(identifier, keyIdentifier(issuer.publicKey))) return issuer;
  }
  return undefined;
}

function findSubordinate(
  issuers: ReadonlyMap<string, Issuer>,
  parent: Issuer,
  serialNumber: string,
): Issuer | undefined {
  for (const issuer of issuers.values()) {
    const [own, above] = issuer.chain;
    const isCertifier = octetsEqual((above ?? own)!.der, parent.certificate.der);
    if (isCertifier && issuer.certificate.serialNumber === serialNumber) return issuer;
  }
  return undefined;
}

function chainOf(row: AuthorityRow, rows: readonly AuthorityRow[]): AuthorityRow[] {
  const parent = rows.find((candidate) => candidate.id === row.parent);
  return parent ? [row, ...chainOf(parent, rows)] : [row];
}
