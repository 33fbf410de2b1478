import type { CmsSigner } from '../../core/cms/signed-data.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { Kernel } from './kernel.ts';

/** Signs the keys Muster makes for the devices of an endpoint: the key generation authority of its own CA (RFC 9810 §8.11). */
export async function keyPackageSigner(
  { identities }: Pick<Kernel, 'identities'>,
  { tenant, authority }: Endpoint,
): Promise<CmsSigner> {
  const { certificate, key } = await identities.current(tenant, authority, 'key-generation');
  return {
    certificate: certificate.der,
    signatureAlgorithm: key.signatureAlgorithm,
    sign: (data) => key.sign(data, { tenant }),
  };
}
