import { InternalError, PeerError, StateError } from '../errors/muster-error.ts';
import type { KeyAlgorithm } from '../keys/key-algorithm.ts';
import type { KeyStore, TokenKey } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { newId } from '../store/id.ts';
import { assembleSigned, basicConstraints, type Certificate, parseCertificate } from '../x509/certificate.ts';
import {
  encodeCertificationRequestInfo,
  extensionRequestAttribute,
  parseCertificationRequest,
  verifyCertificationRequest,
} from '../x509/certification-request.ts';
import { EXTENSIONS } from '../x509/extensions.ts';
import type { Name } from '../x509/name.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import { defaultSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { createIssuing, createRoot } from './authority-creation.ts';
import { type AuthorityPath, checkAuthorityPath } from './authority-path.ts';
import type { AuthorityRequestRow, AuthorityRow } from './tables.ts';

/** What a new authority with a key of its own shall be. */
export interface AuthorityWish {
  readonly tenant: string;
  readonly name: string;
  readonly subject: Name;
  /** Label of the token; undefined: the installation's first. */
  readonly token: string | undefined;
  readonly keyAlgorithm: KeyAlgorithm;
  readonly validitySeconds: number;
  readonly crlShards: number;
}

/** An authority whose certificate somebody else signed, with the certificates above it that are new here; the caller stores them. */
export interface ExternalAuthority {
  readonly authority: AuthorityRow;
  /** Of kind `external`, root first. */
  readonly above: readonly AuthorityRow[];
}

/**
 * The ceremonies that make authorities: under our root, under an external one, or from a key that a token already holds. Nothing is
 * stored here, because no unit waits for a token: what is not stored afterwards is an unused key.
 */
export class AuthorityOffice {
  readonly #keys: KeyStore;
  readonly #defaultToken: string;

  constructor(keys: KeyStore, defaultToken: string) {
    this.#keys = keys;
    this.#defaultToken = defaultToken;
  }

  /** The label of a configured token. @throws PeerError `malformed-request` for another. */
  tokenOf(label: string | undefined): string {
    if (label === undefined || label === this.#defaultToken) return this.#defaultToken;
    const known = this.#keys.health().map((token) => token.label);
    if (known.includes(label)) return label;
    throw new PeerError('malformed-request', `token: expected one of ${known.join(', ')}, found ${label}`);
  }

  /** A self-signed root. @throws UpstreamError when the token is away */
  root(wish: AuthorityWish, now: number): Promise<AuthorityRow> {
    return createRoot(this.#keys, { ...wish, token: this.tokenOf(wish.token) }, now);
  }

  /**
   * An issuing authority that one of ours certifies.
   * @throws StateError `conflict` when that one may not; UpstreamError when a token is away
   */
  issuing(parent: AuthorityRow, wish: AuthorityWish, now: number): Promise<AuthorityRow> {
    requireCertifier(parent);
    return createIssuing(this.#keys, parent, { ...wish, token: this.tokenOf(wish.token) }, now);
  }

  /** A key with a PKCS #10 request over it, for an external authority to certify. */
  async request(wish: AuthorityWish, actor: string, now: number): Promise<AuthorityRequestRow> {
    const { tenant, name, keyAlgorithm: algorithm } = wish;
    const label = `${tenant}/${name}`;
    const key = await this.#keys.generate({ token: this.tokenOf(wish.token), algorithm, label, usage: 'sign' });
    return {
      id: newId(now),
      tenant,
      name,
      key_uri: key.uri,
      spki_sha256: spkiSha256(key.publicKey),
      csr: await requestOver(key, wish.subject, tenant),
      crl_shards: wish.crlShards,
      created_by: actor,
      created_at: now,
    };
  }

  /**
   * The authority that a request asked for. `certificates` are its own and those above it, in any order; `known` are the tenant's.
   * @throws PeerError `malformed-request` that says what does not fit
   */
  install(
    request: AuthorityRequestRow,
    certificates: readonly Uint8Array[],
    known: readonly AuthorityRow[],
    now: number,
  ): ExternalAuthority {
    const path = checkAuthorityPath(certificates, request.spki_sha256, new Date(now));
    return rowsOf({ ...request, id: newId(now) }, path, known, now);
  }

  /**
   * An authority over a key that a configured token holds already; that it is there and signs is tried.
   * @throws PeerError `malformed-request` for a key that is not there, may leave its token, or is not the certificate's
   */
  async adopt(
    wish: Pick<AuthorityWish, 'tenant' | 'name' | 'crlShards'> & { readonly keyUri: string },
    certificates: readonly Uint8Array[],
    known: readonly AuthorityRow[],
    now: number,
  ): Promise<ExternalAuthority> {
    const key = await this.#existingKey(wish.keyUri);
    const path = checkAuthorityPath(certificates, spkiSha256(key.publicKey), new Date(now));
    await requestOver(key, path.chain[0]!.subject, wish.tenant);
    const row = { id: newId(now), tenant: wish.tenant, name: wish.name, key_uri: key.uri, crl_shards: wish.crlShards };
    return rowsOf(row, path, known, now);
  }

  async #existingKey(text: string): Promise<TokenKey> {
    const { uri, token } = parseKeyUri(text);
    this.tokenOf(token);
    try {
      return await this.#keys.open(uri);
    } catch (error) {
      // What the key store says of a key that is missing, ambiguous or can leave its token is the asker's business here.
      if (error instanceof InternalError) throw new PeerError('malformed-request', `key: ${error.message}`);
      throw error;
    }
  }
}

function requireCertifier({ name, state, kind, certificate }: AuthorityRow): void {
  if (kind === 'external' || state !== 'active')
    throw new StateError('conflict', `the authority ${name} does not certify: expected an active one of ours`);
  const { pathLenConstraint } = basicConstraints(parseCertificate(certificate)) ?? {};
  if (pathLenConstraint === 0)
    throw new StateError('conflict', `the authority ${name} may certify no authority: its pathLenConstraint is 0`);
}

/** Signed, and the signature verified: proves that the token has the private key. */
async function requestOver(key: TokenKey, subject: Name, tenant: string): Promise<Uint8Array> {
  const algorithm = defaultSignatureAlgorithm(key.publicKey.algorithm);
  const extensions = [
    EXTENSIONS.basicConstraints.encode({ cA: true, pathLenConstraint: 0 }),
    EXTENSIONS.keyUsage.encode(new Set(['keyCertSign', 'cRLSign'])),
  ];
  const attributes = [extensionRequestAttribute(extensions)];
  const info = encodeCertificationRequestInfo({ subject, publicKey: key.publicKey, attributes });
  const csr = assembleSigned(info, algorithm, await key.sign(algorithm, info, { tenant }));
  if (verifyCertificationRequest(parseCertificationRequest(csr))) return csr;
  throw new PeerError('malformed-request', 'key: what it signed does not verify with its public key');
}

function rowsOf(
  own: Pick<AuthorityRow, 'id' | 'tenant' | 'name' | 'key_uri' | 'crl_shards'>,
  { chain }: AuthorityPath,
  known: readonly AuthorityRow[],
  now: number,
): ExternalAuthority {
  const [leaf, ...issuers] = chain;
  const above: AuthorityRow[] = [];
  let parent: string | null = null;
  for (const certificate of issuers.toReversed()) {
    const there = known.find((row) => Buffer.compare(row.certificate, certificate.der) === 0);
    const row: AuthorityRow = there ?? externalRow(own.tenant, certificate, parent, now);
    if (there === undefined) above.push(row);
    parent = row.id;
  }
  const { id, tenant, name, key_uri, crl_shards } = own;
  const authority: AuthorityRow = {
    id,
    tenant,
    name,
    key_uri,
    crl_shards,
    parent,
    kind: issuers.length === 0 ? 'root' : 'issuing',
    certificate: leaf!.der,
    spki_sha256: spkiSha256(leaf!.publicKey),
    state: 'active',
    created_at: now,
  };
  return { authority, above };
}

function externalRow(tenant: string, certificate: Certificate, parent: string | null, now: number): AuthorityRow {
  const key = spkiSha256(certificate.publicKey);
  return {
    id: newId(now),
    tenant,
    name: `external-${key.slice(0, 16)}-${certificate.serialNumber.slice(-8)}`,
    kind: 'external',
    parent,
    key_uri: '',
    certificate: certificate.der,
    spki_sha256: key,
    state: 'retired',
    crl_shards: 1,
    created_at: now,
  };
}
