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
import { revokedAuthorities } from './authority-revocation.ts';
import { caKeyOf, type CaKey } from './ca-key.ts';
import type { IssuerContext } from './prepare.ts';
import { type CrossCertificate, crossCertificatesOf } from './rollover-records.ts';
import type { AuthorityRow } from './tables.ts';

/** An authority ready to issue. */
export interface Issuer extends IssuerContext {
  readonly id: string;
  readonly tenant: string;
  readonly kind: AuthorityRow['kind'];
  readonly certificate: Certificate;
  /** From its own certificate to the root's. */
  readonly chain: readonly Certificate[];
  /** Whether its certificate, or one above it, is revoked: it issues nothing, and what it issued is not relied on. */
  readonly isRevoked: boolean;
  /**
   * Opens the key when first needed: a token that is away must not keep the rest from running.
   * @throws StateError `authority-retired` where it is retired or revoked; UpstreamError when the token is away.
   */
  caKey(): Promise<CaKey>;
  /**
   * The key for CRLs alone, which go on until the last certificate has ended, whatever becomes of the authority.
   * @throws UpstreamError when the token is away.
   */
  crlKey(): Promise<Pick<CaKey, 'signCertList'>>;
}

/** How long a number that nobody knows is taken as unknown, milliseconds. */
const FRESH_MS = 1_000;

/** The authorities of a tenant, as they were read. */
interface Loaded {
  readonly issuers: ReadonlyMap<string, Issuer>;
  /** Serial numbers of certificates of authorities, by the id of who certified them. */
  readonly certified: ReadonlyMap<string, ReadonlySet<string>>;
  /** `performance.now()` */
  readonly readAt: number;
}

/**
 * The authorities of every tenant. What it keeps never changes once stored (key, certificate, parent), so it reads a
 * tenant's authorities again only when it is asked for one it does not know, or told to forget them because one is retired or
 * revoked.
 */
export class AuthorityDirectory {
  readonly #store: Store;
  readonly #keys: KeyStore;
  readonly #publicUrl: string;
  readonly #tenants = new Map<string, Loaded>();

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

  /** The authorities of this tenant whose key has an identifier (RFC 7093 §2, RFC 9773 §4.1). */
  async issuersByKeyIdentifier(tenant: string, identifier: Uint8Array): Promise<readonly Issuer[]> {
    const of = (issuers: ReadonlyMap<string, Issuer>): readonly Issuer[] =>
      [...issuers.values()].filter(({ publicKey }) => octetsEqual(keyIdentifier(publicKey), identifier));
    const known = of(await this.#ofTenant(tenant));
    return known.length > 0 ? known : of(await this.#reload(tenant));
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

  /** Every authority of a tenant as the store has them now, oldest first. */
  async allOf(tenant: string): Promise<readonly Issuer[]> {
    return Array.from((await this.#reload(tenant)).values());
  }

  /**
   * Whether an authority certified another one of its tenant under a serial number, a root it crosses with (RFC 9810 §4.4)
   * included; as of a second ago, because anybody may ask for any number.
   */
  async certified({ tenant, id }: Issuer, serialNumber: string): Promise<boolean> {
    const known = this.#tenants.get(tenant);
    if (known?.certified.get(id)?.has(serialNumber)) return true;
    if (known !== undefined && performance.now() - known.readAt < FRESH_MS) return false;
    await this.#reload(tenant);
    return this.#tenants.get(tenant)?.certified.get(id)?.has(serialNumber) ?? false;
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

  /** Listens to revocations: has those tenants read again of whose authorities one was revoked. `undefined`: any may have been. */
  noteRevocations(changes: readonly { readonly tenant: string; readonly certificate: string }[] | undefined): void {
    if (changes === undefined) this.#tenants.clear();
    for (const { tenant, certificate } of changes ?? [])
      if (this.#tenants.get(tenant)?.issuers.has(certificate)) this.forget(tenant);
  }

  async #ofTenant(tenant: string): Promise<ReadonlyMap<string, Issuer>> {
    return this.#tenants.get(tenant)?.issuers ?? this.#reload(tenant);
  }

  async #reload(tenant: string): Promise<ReadonlyMap<string, Issuer>> {
    const readAt = performance.now();
    const rows = await listAuthorities(this.#store, tenant);
    const revoked = await revokedAuthorities(this.#store, rows);
    const known = this.#tenants.get(tenant)?.issuers;
    const issuerOf = (row: AuthorityRow): Issuer => {
      const isRevoked = revoked.has(row.id);
      const before = known?.get(row.id);
      return before?.isRevoked === isRevoked ? before : this.#issuerOfRow(row, rows, isRevoked);
    };
    const issuers = new Map(rows.map((row) => [row.id, issuerOf(row)]));
    const crosses = await crossCertificatesOf(this.#store, tenant);
    this.#tenants.set(tenant, { issuers, certified: certifiedBy(issuers, crosses), readAt });
    return issuers;
  }

  #issuerOfRow(row: AuthorityRow, rows: readonly AuthorityRow[], isRevoked: boolean): Issuer {
    const certificate = parseCertificate(row.certificate);
    const signatureAlgorithm = defaultSignatureAlgorithm(certificate.publicKey.algorithm);
    const crlKey = keptOnSuccess(async () =>
      caKeyOf(await this.#keys.open(parseKeyUri(row.key_uri).uri), certificate.publicKey, signatureAlgorithm),
    );
    return {
      id: row.id,
      tenant: row.tenant,
      kind: row.kind,
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
      isRevoked,
      crlKey,
      async caKey() {
        if (row.state === 'retired') throw new StateError('authority-retired', `the authority ${row.name} is retired`);
        if (isRevoked) throw new StateError('authority-retired', `the authority ${row.name} is revoked`);
        return crlKey();
      },
    };
  }
}

/** A failed opening is not kept: the next request tries again. */
function keptOnSuccess<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

function findIssuer(issuers: ReadonlyMap<string, Issuer>, certificate: Certificate): Issuer | undefined {
  const identifier = authorityKeyIdentifier(certificate);
  for (const issuer of issuers.values()) {
    if (!namesEqual(issuer.subject, certificate.issuer)) continue;
    if (identifier === undefined || octetsEqual(identifier, keyIdentifier(issuer.publicKey))) return issuer;
  }
  return undefined;
}

/** The serial numbers that each authority certified others under. */
function certifiedBy(
  issuers: ReadonlyMap<string, Issuer>,
  crosses: readonly CrossCertificate[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const certified = new Map<string, Set<string>>();
  const note = (certifier: string, serialNumber: string): void => {
    certified.set(certifier, (certified.get(certifier) ?? new Set()).add(serialNumber));
  };
  for (const { chain, certificate } of issuers.values()) {
    const [own, above] = chain;
    for (const { id, certificate: theirs } of issuers.values())
      if (octetsEqual((above ?? own)!.der, theirs.der)) note(id, certificate.serialNumber);
  }
  for (const { certifier, der } of crosses) note(certifier, parseCertificate(der).serialNumber);
  return certified;
}

function chainOf(row: AuthorityRow, rows: readonly AuthorityRow[]): AuthorityRow[] {
  const parent = rows.find((candidate) => candidate.id === row.parent);
  return parent ? [row, ...chainOf(parent, rows)] : [row];
}
