import type { KeyAlgorithm } from '../keys/key-algorithm.ts';
import type { KeyStore, TokenKey } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { newId } from '../store/id.ts';
import { encodeTbsCertificate, parseCertificate } from '../x509/certificate.ts';
import { EXTENSIONS } from '../x509/extensions.ts';
import type { Name } from '../x509/name.ts';
import { keyIdentifier, spkiSha256 } from '../x509/public-key.ts';
import { defaultSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { caKeyOf } from './ca-key.ts';
import { lintCertificate, type IssuerNames } from './lint.ts';
import { randomSerialNumber } from './prepare.ts';
import type { AuthorityRow } from './tables.ts';

/** What a new certification authority shall be. */
export interface AuthoritySpecification {
  readonly tenant: string;
  /** Unique in the tenant; also the label of its key in the token. */
  readonly name: string;
  readonly subject: Name;
  /** Label of the token that shall hold its key. */
  readonly token: string;
  readonly keyAlgorithm: KeyAlgorithm;
  readonly validitySeconds: number;
  /** Number of CRLs its certificates are spread over, fixed for its life. */
  readonly crlShards: number;
}

/** Clocks of devices that verify the chain are slow more often than fast. */
const BACKDATE_MS = 3_600_000;

/** Makes a key in the token and a self-signed certificate over it. The caller stores the row. */
export async function createRoot(
  keys: KeyStore,
  specification: AuthoritySpecification,
  now: number,
): Promise<AuthorityRow> {
  const key = await generateKey(keys, specification);
  const notAfter = new Date(now + specification.validitySeconds * 1000);
  const issuer = { subject: specification.subject, publicKey: key.publicKey, notAfter };
  // RFC 5280 §4.2.1.9: one issuing CA may stand below the root, and nothing below that.
  const certificate = await certify({ specification, key, signer: key, issuer, pathLenConstraint: 1, now });
  return rowOf(specification, { kind: 'root', parent: null, key, certificate, now });
}

/** Makes a key in the token and has its certificate signed by a parent of the same tenant. The caller stores the row. */
export async function createIssuing(
  keys: KeyStore,
  parent: AuthorityRow,
  specification: AuthoritySpecification,
  now: number,
): Promise<AuthorityRow> {
  const issuer = parseCertificate(parent.certificate);
  const signer = await keys.open(parseKeyUri(parent.key_uri).uri);
  const key = await generateKey(keys, specification);
  const certificate = await certify({ specification, key, signer, issuer, pathLenConstraint: 0, now });
  return rowOf(specification, { kind: 'issuing', parent: parent.id, key, certificate, now });
}

function generateKey(keys: KeyStore, { token, keyAlgorithm, tenant, name }: AuthoritySpecification): Promise<TokenKey> {
  return keys.generate({ token, algorithm: keyAlgorithm, label: `${tenant}/${name}`, usage: 'sign' });
}

interface AuthorityCertification {
  readonly specification: AuthoritySpecification;
  readonly key: TokenKey;
  readonly signer: TokenKey;
  readonly issuer: IssuerNames;
  readonly pathLenConstraint: number;
  readonly now: number;
}

async function certify({
  specification,
  key,
  signer,
  issuer,
  pathLenConstraint,
  now,
}: AuthorityCertification): Promise<Uint8Array> {
  const signatureAlgorithm = defaultSignatureAlgorithm(signer.publicKey.algorithm);
  const notAfter = new Date(Math.min(now + specification.validitySeconds * 1000, issuer.notAfter.getTime()));
  const tbsDer = encodeTbsCertificate({
    serialNumber: randomSerialNumber(),
    signatureAlgorithm,
    issuer: issuer.subject,
    validity: { notBefore: new Date(now - BACKDATE_MS), notAfter },
    subject: specification.subject,
    publicKey: key.publicKey,
    extensions: [
      EXTENSIONS.basicConstraints.encode({ cA: true, pathLenConstraint }),
      EXTENSIONS.keyUsage.encode(new Set(['keyCertSign', 'cRLSign'])),
      EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(key.publicKey)),
      EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
    ],
  });
  const caKey = caKeyOf(signer, issuer.publicKey, signatureAlgorithm);
  return caKey.signCertificate(lintCertificate(tbsDer, issuer, undefined), specification.tenant);
}

interface MadeAuthority {
  readonly kind: AuthorityRow['kind'];
  readonly parent: string | null;
  readonly key: TokenKey;
  readonly certificate: Uint8Array;
  readonly now: number;
}

function rowOf(
  specification: AuthoritySpecification,
  { kind, parent, key, certificate, now }: MadeAuthority,
): AuthorityRow {
  return {
    id: newId(now),
    tenant: specification.tenant,
    name: specification.name,
    kind,
    parent,
    key_uri: key.uri,
    certificate,
    spki_sha256: spkiSha256(key.publicKey),
    state: 'active',
    crl_shards: specification.crlShards,
    created_at: now,
  };
}
