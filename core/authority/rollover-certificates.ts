import { InternalError, PeerError } from '../errors/muster-error.ts';
import { keyAlgorithmOf, type KeyAlgorithm } from '../keys/key-algorithm.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { parseKeyUri } from '../keys/key-uri.ts';
import { basicConstraints, encodeTbsCertificate, parseCertificate } from '../x509/certificate.ts';
import { EXTENSIONS } from '../x509/extensions.ts';
import { encodeName, type Name } from '../x509/name.ts';
import { nameAttribute } from '../x509/name-attributes.ts';
import { ATTRIBUTE_TYPE } from '../x509/oids.ts';
import { keyIdentifier } from '../x509/public-key.ts';
import { defaultSignatureAlgorithm } from '../x509/signature-algorithm.ts';
import { type AuthoritySpecification, createIssuing, createRoot } from './authority-creation.ts';
import { caKeyOf } from './ca-key.ts';
import { lintCertificate } from './lint.ts';
import { randomSerialNumber } from './prepare.ts';
import type { AuthorityRow } from './tables.ts';

/** What of a successor may differ from its predecessor. */
export interface SuccessorWish {
  /** Default: that of the predecessor. */
  readonly keyAlgorithm?: KeyAlgorithm | undefined;
  /** Of an issuing authority. Default: the predecessor's, with a number in its common name. */
  readonly subject?: Name | undefined;
}

/**
 * Makes key and certificate of the authority that takes over from another, in the same token, as long-lived as that one was.
 * The caller stores the row.
 * @param parent of an issuing authority: who signs it
 * @param taken the names of the tenant's authorities
 * @throws PeerError `malformed-request` where no subject can be derived; UpstreamError when the token is away
 */
export async function makeSuccessor(
  keys: KeyStore,
  predecessor: AuthorityRow,
  parent: AuthorityRow | undefined,
  { wish, taken, now }: { readonly wish: SuccessorWish; readonly taken: ReadonlySet<string>; readonly now: number },
): Promise<AuthorityRow> {
  const old = parseCertificate(predecessor.certificate);
  const { name, number } = nextName(predecessor.name, taken);
  const keyAlgorithm = wish.keyAlgorithm ?? keyAlgorithmOf(old.publicKey.algorithm);
  if (keyAlgorithm === undefined) throw new InternalError(`the key of ${predecessor.name} is of no kind made here`);
  const specification: Omit<AuthoritySpecification, 'subject'> = {
    tenant: predecessor.tenant,
    name,
    token: parseKeyUri(predecessor.key_uri).token,
    keyAlgorithm,
    validitySeconds: Math.ceil((old.notAfter.getTime() - old.notBefore.getTime()) / 1000),
    crlShards: predecessor.crl_shards,
  };
  // RFC 9810 §4.4: the certificates between an old root key and a new one are self-issued, so the name stays.
  const made =
    parent === undefined
      ? await createRoot(keys, { ...specification, subject: old.subject }, now)
      : await createIssuing(
          keys,
          parent,
          { ...specification, subject: wish.subject ?? numberedName(old.subject, number) },
          now,
        );
  return { ...made, state: 'next' };
}

/**
 * Certifies the key of one root with that of another: OldWithNew and NewWithOld of RFC 9810 §4.4.1. Valid from when that key
 * was made until the first of both ends.
 * @throws UpstreamError when the token is away
 */
export async function crossCertify(
  keys: KeyStore,
  issuerRow: AuthorityRow,
  rootRow: AuthorityRow,
): Promise<Uint8Array> {
  const [issuer, root] = [parseCertificate(issuerRow.certificate), parseCertificate(rootRow.certificate)];
  const signatureAlgorithm = defaultSignatureAlgorithm(issuer.publicKey.algorithm);
  const notAfter = new Date(Math.min(issuer.notAfter.getTime(), root.notAfter.getTime()));
  const tbsDer = encodeTbsCertificate({
    serialNumber: randomSerialNumber(),
    signatureAlgorithm,
    issuer: issuer.subject,
    validity: { notBefore: root.notBefore, notAfter },
    subject: root.subject,
    publicKey: root.publicKey,
    extensions: [
      EXTENSIONS.basicConstraints.encode(basicConstraints(root) ?? { cA: true }),
      EXTENSIONS.keyUsage.encode(new Set(['keyCertSign', 'cRLSign'])),
      EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(root.publicKey)),
      EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
    ],
  });
  const signer = await keys.open(parseKeyUri(issuerRow.key_uri).uri);
  const caKey = caKeyOf(signer, issuer.publicKey, signatureAlgorithm);
  return caKey.signCertificate(lintCertificate(tbsDer, issuer, undefined), issuerRow.tenant);
}

/** `issuing` → `issuing-2` → `issuing-3`: the first that is free. */
function nextName(name: string, taken: ReadonlySet<string>): { readonly name: string; readonly number: number } {
  const [, base = name, last = '1'] = /^(.*?)(?:-(\d{1,6}))?$/.exec(name) ?? [];
  let number = Number(last) + 1;
  while (taken.has(`${base}-${number}`)) number += 1;
  return { name: `${base}-${number}`, number };
}

/** The name of an issuing authority with the number of its key: who finds issuers by name alone must not find the old one. */
function numberedName({ rdns }: Name, number: number): Name {
  let numbered = false;
  const changed = rdns.map((rdn) =>
    rdn.map((attribute) => {
      const { type, value } = attribute;
      if (numbered || type !== ATTRIBUTE_TYPE.commonName || value.kind === 'other') return attribute;
      numbered = true;
      return nameAttribute(type, `${value.value.replace(/ G\d{1,6}$/, '').slice(0, 56)} G${number}`);
    }),
  );
  if (numbered) return encodeName(changed);
  throw new PeerError(
    'malformed-request',
    'subject: expected one, because the present name has no common name to number',
  );
}
