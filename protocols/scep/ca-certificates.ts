import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import { encodeCertsOnly, buildSignedData } from '../../core/cms/signed-data.ts';
import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import { isSelfIssued, parseCertificate } from '../../core/x509/certificate.ts';

/** A body with its media type, which old clients compare literally (S8). */
export interface CertificatesBody {
  readonly mediaType:
    | 'application/x-x509-ca-cert'
    | 'application/x-x509-ca-ra-cert'
    | 'application/x-x509-next-ca-cert';
  readonly body: Uint8Array;
}

/**
 * The answer to GetCACert (RFC 8894 §4.2.1): one certificate bare, several in a degenerate SignedData (S17). The RA's come
 * first; clients tell them by keyUsage (S18).
 *
 * @param chain of the authority: its own certificate to the root's, DER
 */
export function caCertificatesBody(
  raCertificates: readonly Uint8Array[],
  chain: readonly Uint8Array[],
  { caCertificates }: ScepSettings,
): CertificatesBody {
  const certificates = [...raCertificates, ...shown(chain, caCertificates)];
  const [first] = certificates;
  if (first !== undefined && certificates.length === 1) return { mediaType: 'application/x-x509-ca-cert', body: first };
  return { mediaType: 'application/x-x509-ca-ra-cert', body: encodeCertsOnly(certificates) };
}

/** The answer to GetNextCACert (§4.7.1): the successor's certificates, in a SignedData that the RA of today signs. */
export async function nextCaCertificatesBody(
  successor: readonly Uint8Array[],
  signer: ServiceIdentity,
  tenant: string,
): Promise<CertificatesBody> {
  const signatureAlgorithm = 'sha256WithRSAEncryption';
  const body = await buildSignedData({
    content: encodeCertsOnly(successor),
    signer: {
      certificate: signer.certificate.der,
      signatureAlgorithm,
      sign: (data) => signer.key.sign(data, { tenant, algorithm: signatureAlgorithm }),
    },
    certificates: [signer.certificate.der, ...signer.chain],
  });
  return { mediaType: 'application/x-x509-next-ca-cert', body };
}

function shown(chain: readonly Uint8Array[], which: ScepSettings['caCertificates']): readonly Uint8Array[] {
  switch (which) {
    case 'chain':
      return chain;
    case 'without-root':
      // An issuing CA that is its own root stays.
      return chain.filter((der, index) => index === 0 || !isSelfIssued(parseCertificate(der)));
    case 'ra-only':
      return [];
  }
}
