import type { Answer, OpenEndpoint } from './dependencies.ts';
import { AcmeUrls } from './path.ts';

/** The directory (RFC 8555 §7.1.1) with renewal information (RFC 9773 §4) and profiles (draft-ietf-acme-profiles §3). */
export function directory({ endpoint, settings }: OpenEndpoint, base: string): Answer {
  const urls = new AcmeUrls(base, endpoint.label);
  const { profiles, termsOfService, website, externalAccount, caa, caaIdentities } = settings;
  return {
    status: 200,
    body: {
      newNonce: urls.of('new-nonce'),
      newAccount: urls.of('new-account'),
      newOrder: urls.of('new-order'),
      revokeCert: urls.of('revoke-cert'),
      keyChange: urls.of('key-change'),
      renewalInfo: urls.of('renewal-info'),
      meta: {
        ...(termsOfService !== undefined && { termsOfService }),
        ...(website !== undefined && { website }),
        ...(caa === 'checked' && { caaIdentities }),
        externalAccountRequired: externalAccount === 'required',
        ...(profiles.length > 0 && {
          profiles: Object.fromEntries(profiles.map(({ name, description }) => [name, description])),
        }),
      },
    },
  };
}
