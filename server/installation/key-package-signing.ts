import { isAuthorityKey } from '../../core/authority/authorities.ts';
import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import { DEVICE_PROFILE, type ProfileSettings } from '../../core/authority/profile.ts';
import { issueServiceCertificate } from '../../core/authority/service-certificates.ts';
import type { CmsSigner } from '../../core/cms/signed-data.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { openServiceKey } from '../../core/keys/service-key.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { sharedValue } from './installation-values.ts';

const YEAR = 365 * 86_400;
/** RFC 9810 §8.11: id-kp-cmKGA marks the key generation authority. */
const PROFILE: ProfileSettings = {
  ...DEVICE_PROFILE,
  validitySeconds: 5 * YEAR,
  extendedKeyUsage: [KEY_PURPOSE.cmKGA],
};

interface StoredIdentity {
  readonly uri: string;
  /** DER, base64. */
  readonly certificate: string;
}

/** What the signers stand on. */
export interface KeyPackageSigningParts {
  readonly store: Store;
  readonly keys: KeyStore;
  readonly token: string;
  readonly authorities: AuthorityDirectory;
}

/**
 * Signs the keys Muster makes for devices, with a key in the token and a certificate of the endpoint's own authority: made
 * when first needed, once for all nodes.
 */
export function keyPackageSigners(parts: KeyPackageSigningParts): (endpoint: Endpoint) => Promise<CmsSigner> {
  return async (endpoint) => {
    const { store, keys } = parts;
    const stored = await sharedValue(store, `key-package-signer:${endpoint.authority}`, () =>
      makeIdentity(parts, endpoint),
    );
    const { uri, certificate } = JSON.parse(new TextDecoder().decode(stored)) as StoredIdentity;
    const der = Buffer.from(certificate, 'base64');
    const key = await openServiceKey(keys, parseKeyUri(uri).uri, parseCertificate(der), {
      isAuthorityKey: (spkiSha256) => isAuthorityKey(store, spkiSha256),
    });
    return {
      certificate: der,
      signatureAlgorithm: key.signatureAlgorithm,
      sign: (data) => key.sign(data, { tenant: endpoint.tenant }),
    };
  };
}

async function makeIdentity(
  { store, keys, token, authorities }: KeyPackageSigningParts,
  endpoint: Endpoint,
): Promise<Uint8Array> {
  const issuer = await authorities.issuer(endpoint.tenant, endpoint.authority);
  const key = await keys.generate({ token, algorithm: 'ec-p256', label: 'muster/key-generation', usage: 'sign' });
  const { der } = await issueServiceCertificate(store, issuer, {
    purpose: 'key-generation',
    profile: PROFILE,
    subject: nameFromText('CN=Key generation,O=Muster'),
    subjectAltName: [],
    publicKey: key.publicKey,
  });
  const identity: StoredIdentity = { uri: key.uri, certificate: Buffer.from(der).toString('base64') };
  return new TextEncoder().encode(JSON.stringify(identity));
}
