import { encodeCertsOnly } from '../../core/cms/signed-data.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { namesEqual } from '../../core/x509/name.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import type { SerialNumber } from '../../core/x509/serial-number.ts';
import type { CertificateReference } from './certificate-reference.ts';
import type { Exchange } from './exchange.ts';

/** What GetCert and GetCRL stand on. */
export interface QueryDependencies {
  readonly credentials: Pick<CredentialVerifier, 'signer'>;
  readonly authorities: {
    caCertificates(tenant: string, authorityId: string): Promise<readonly Uint8Array[]>;
    /** The authorities that this one took over from and that still answer for what they issued. */
    predecessors?(tenant: string, authorityId: string): Promise<readonly string[]>;
  };
  /** A certificate that an authority of a tenant issued, DER. */
  readonly certificateBySerial: (
    tenant: string,
    authority: string,
    serialNumber: SerialNumber,
  ) => Promise<Uint8Array | undefined>;
  /** The current full CRL of an authority, DER. */
  readonly crls: { current(tenant: string, authority: string): Promise<Uint8Array> };
}

/**
 * GetCert (RFC 8894 §3.3.4, §4.5): a certificate of this endpoint's authority or of one before it, for whoever holds its key or a valid
 * certificate of this tenant. Undefined alike where there is none and where it may not be seen.
 */
export async function getCertificate(
  dependencies: QueryDependencies,
  exchange: Exchange,
  reference: CertificateReference,
): Promise<Uint8Array | undefined> {
  const { endpoint, message } = exchange;
  const isKnown = await isKnownSigner(dependencies, exchange);
  const named = await namedAuthority(dependencies, exchange, reference);
  const { tenant, authority } = endpoint;
  const found = await dependencies.certificateBySerial(tenant, named ?? authority, reference.serialNumber);
  if (found === undefined || named === undefined) return undefined;
  if (!isKnown && !publicKeysEqual(parseCertificate(found).publicKey, message.signerPublicKey)) return undefined;
  return encodeCertsOnly([found]);
}

/** GetCRL (§4.6): the CRL of the authority that the reference names, this endpoint's or one before it. It is public anyway. */
export async function getCrl(
  dependencies: QueryDependencies,
  exchange: Exchange,
  reference: CertificateReference,
): Promise<Uint8Array | undefined> {
  const named = await namedAuthority(dependencies, exchange, reference);
  if (named === undefined) return undefined;
  return encodeCertsOnly([], [await dependencies.crls.current(exchange.endpoint.tenant, named)]);
}

async function namedAuthority(
  { authorities }: QueryDependencies,
  { endpoint: { tenant, authority } }: Exchange,
  { issuer }: CertificateReference,
): Promise<string | undefined> {
  const earlier = (await authorities.predecessors?.(tenant, authority)) ?? [];
  for (const id of [authority, ...earlier]) {
    const [own] = await authorities.caCertificates(tenant, id);
    if (own !== undefined && namesEqual(parseCertificate(own).subject, issuer)) return id;
  }
  return undefined;
}

async function isKnownSigner({ credentials }: QueryDependencies, { endpoint, message }: Exchange): Promise<boolean> {
  if (message.isSelfMade) return false;
  try {
    return (await credentials.signer(endpoint, message.certificateChain)).origin === 'own';
  } catch (error) {
    if (error instanceof PolicyError) return false;
    throw error;
  }
}
