import { Type } from 'typebox';
import { enrollmentGuide } from '../enrollment-guide/guide.ts';
import { GUIDE_PROTOCOLS, guideFacts } from '../enrollment-guide/guide-facts.ts';
import { PLATFORM_NAMES } from '../enrollment-guide/platform-names.ts';
import { BASES, type Basis } from '../enrollment-guide/platform.ts';
import { tenantIdOf } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { endpointOf } from './endpoints.ts';
import { tenantParameter } from './paging.ts';
import type { ApiScope } from './type-provider.ts';

type ConfigurationContext = Pick<ApiContext, 'endpoints' | 'authorities' | 'deviceUrls' | 'tlsRoot'>;

const platform = Type.Enum(PLATFORM_NAMES, {
  description: 'The kind of device; `any` has the values alone.',
  default: 'any',
});

const configurationView = Type.Object({
  platform: Type.Enum(PLATFORM_NAMES),
  title: Type.String({ description: 'The platform, with the releases the lines are for.' }),
  protocols: Type.Array(
    Type.Object({
      protocol: Type.Enum(GUIDE_PROTOCOLS),
      state: Type.Enum(['described', 'closed', 'no-client'], {
        description:
          '`closed`: the endpoint is not open for it. `no-client`: the platform is no known client of it, or cannot be one here.',
      }),
      basis: Type.Optional(
        Type.Enum(Object.keys(BASES) as Basis[], { description: 'What the lines of this protocol rest on.' }),
      ),
      reason: Type.Optional(Type.String({ description: 'Why it is left out although the endpoint is open for it.' })),
      url: Type.Optional(Type.String({ description: 'Of this endpoint.' })),
    }),
  ),
  text: Type.String({ description: 'The configuration, with placeholders for the device and its secret.' }),
});

/** `GET /endpoints/{label}/configuration`: what a device is configured with to enrol here. Never holds a secret. */
export function endpointConfigurationRoutes(app: ApiScope, context: ConfigurationContext): void {
  const schema = {
    tags: ['endpoints'],
    summary: 'Configuration of a device that is to enrol at an endpoint',
    params: Type.Object({ label: Type.String({ pattern: '^[a-z0-9-]{1,63}$' }) }),
    querystring: Type.Object({ ...tenantParameter, platform }, { additionalProperties: false }),
    response: { 200: configurationView },
  };
  app.get('/endpoints/:label/configuration', { config: { access: 'endpoints:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const endpoint = await endpointOf(context.endpoints, tenant, request.params.label);
    const chain = await context.authorities.caCertificates(tenant, endpoint.authority);
    const server = { urls: context.deviceUrls(), tlsRoot: context.tlsRoot };
    const { protocols, ...guide } = enrollmentGuide(request.query.platform, guideFacts(endpoint, chain, server));
    return { ...guide, protocols: [...protocols] };
  });
}
