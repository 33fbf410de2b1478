import type { ServiceIdentities, ServiceIdentity } from '../../core/authority/service-identities.ts';
import type { RecipientKey } from '../../core/cms/enveloped-data.ts';
import type { KeyTransportRequest } from '../../core/cms/recipient-key.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import { InternalError } from '../../core/errors/muster-error.ts';

/** The RA of an endpoint's authority: keys in the token that decrypt requests and sign answers (V20: never the CA's own). */
export interface RegistrationAuthority {
  /** Whether one certificate has both uses. */
  readonly isSingle: boolean;
  /** Signs answers. */
  readonly signer: ServiceIdentity;
  /** Newest first: clients go on to encrypt for a certificate that was renewed meanwhile. */
  readonly recipients: readonly ServiceIdentity[];
  /** What GetCACert names first: the certificate to encrypt for, and the one that signs where it is another. */
  readonly certificates: readonly Uint8Array[];
}

/** Where identities come from. */
export type Identities = Pick<ServiceIdentities, 'valid'>;

/**
 * The RA of an endpoint as its settings have it.
 * @throws UpstreamError when the token or the store is away
 */
export async function registrationAuthority(
  identities: Identities,
  { tenant, authority }: Endpoint,
  { raCertificates }: ScepSettings,
): Promise<RegistrationAuthority> {
  if (raCertificates === 'single') {
    const recipients = await identities.valid(tenant, authority, 'scep-ra');
    const signer = newest(recipients);
    return { isSingle: true, signer, recipients, certificates: [signer.certificate.der] };
  }
  const recipients = await identities.valid(tenant, authority, 'scep-ra-encryption');
  const signer = newest(await identities.valid(tenant, authority, 'scep-ra-signing'));
  const certificates = [newest(recipients).certificate.der, signer.certificate.der];
  return { isSingle: false, signer, recipients, certificates };
}

/** A key of the RA as core/cms opens messages with it, and whose it is. */
export type RaKey = RecipientKey & { readonly kind: 'rsa'; readonly identity: ServiceIdentity };

/** The RA's keys that requests may be encrypted for. */
export function recipientKeys({ recipients }: RegistrationAuthority, tenant: string): readonly RaKey[] {
  return recipients.map((identity) => ({
    kind: 'rsa',
    identity,
    certificate: identity.certificate.der,
    decryptKeyTransport: ({ scheme, hash, ciphertext, keyLength }: KeyTransportRequest) => {
      const padding = scheme === 'pkcs1' ? 'pkcs1' : (`oaep-${hash}` as const);
      return identity.key.decryptRsa(padding, ciphertext, { tenant, length: keyLength });
    },
  }));
}

/**
 * Who signs the answer to a message that was encrypted for one of the recipients: that one, as the client knows it, where
 * one certificate has both uses.
 */
export function answeringIdentity(ra: RegistrationAuthority, recipient: ServiceIdentity | undefined): ServiceIdentity {
  return ra.isSingle ? (recipient ?? ra.signer) : ra.signer;
}

function newest([first]: readonly ServiceIdentity[]): ServiceIdentity {
  if (first !== undefined) return first;
  throw new InternalError('there is no identity of the registration authority');
}
