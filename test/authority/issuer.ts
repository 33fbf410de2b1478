import { createRoot } from '../../core/authority/authority-creation.ts';
import { caKeyOf, type CaKey } from '../../core/authority/ca-key.ts';
import type { IssuerContext } from '../../core/authority/prepare.ts';
import type { AuthorityRow } from '../../core/authority/tables.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import { parseKeyUri } from '../../core/keys/key-uri.ts';
import { parseCertificate, type Certificate } from '../../core/x509/certificate.ts';
import { nameFromText } from '../../core/x509/name.ts';
import { defaultSignatureAlgorithm } from '../../core/x509/signature-algorithm.ts';
import { FakeKeyStore } from '../fakes/fake-key-store.ts';

/** An authority whose key is in a fake token, as the directory would hand it out. */
export interface TestIssuer extends IssuerContext {
  readonly certificate: Certificate;
  readonly row: AuthorityRow;
  readonly keys: FakeKeyStore;
  readonly caKey: CaKey;
}

/** Makes a self-signed authority. */
export async function testIssuer(
  keyAlgorithm: KeyAlgorithm = 'ec-p256',
  { validitySeconds = 10 * 365 * 86_400, crlShards = 4, now = Date.now() } = {},
): Promise<TestIssuer> {
  const keys = new FakeKeyStore();
  const subject = nameFromText('CN=Test CA,O=Muster Test');
  const row = await createRoot(
    keys,
    { tenant: 't', name: 'root', subject, token: 'fake', keyAlgorithm, validitySeconds, crlShards },
    now,
  );
  const certificate = parseCertificate(row.certificate);
  const signatureAlgorithm = defaultSignatureAlgorithm(certificate.publicKey.algorithm);
  const key = await keys.open(parseKeyUri(row.key_uri).uri);
  const urls = {
    ocsp: 'http://muster.example/ocsp/1',
    caIssuers: 'http://muster.example/ca/1.cer',
    crl: 'http://muster.example/crl/1/{shard}.crl',
  };
  const { publicKey, notAfter } = certificate;
  const caKey = caKeyOf(key, publicKey, signatureAlgorithm);
  return { row, keys, certificate, subject, publicKey, notAfter, signatureAlgorithm, urls, crlShards, caKey };
}
