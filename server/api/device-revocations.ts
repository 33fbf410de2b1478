import { Type } from 'typebox';
import { appendAudit } from '../../core/audit/log.ts';
import type { Store } from '../../core/store/store.ts';
import { addRevoked } from '../../devices/attestation/revoked-certificates.ts';
import { actorOf } from './access.ts';
import { principalOf, tenantIdOf } from './authentication.ts';
import { objectQuery } from './paging.ts';
import type { ApiScope } from './type-provider.ts';

const body = Type.Object(
  {
    source: Type.String({ description: 'Names the list they come from.', minLength: 1, maxLength: 255 }),
    issuerKeyId: Type.String({
      description: 'Key identifier of the issuer, lower-case hex; `android` for Google’s list, which names none.',
      pattern: '^([0-9a-f]{2,128}|android)$',
      examples: ['6afd22771f511fecbf1641976710dcdc31a1717e'],
    }),
    serialNumbers: Type.Array(Type.String({ pattern: '^[0-9a-f]{1,64}$', examples: ['4f1c09a2b37d5e6081'] }), {
      description: 'Lower-case hex.',
      minItems: 1,
      maxItems: 2_000,
    }),
  },
  { additionalProperties: false },
);

/** Device certificates that manufacturers revoked: evidence under them is refused. */
export function deviceRevocationRoutes(app: ApiScope, store: Store): void {
  const schema = {
    tags: ['attestation'],
    summary: 'Add device certificates that their manufacturer revoked',
    querystring: objectQuery,
    body,
    response: { 200: Type.Object({ added: Type.Integer({ description: 'Those that were not known.' }) }) },
  };
  app.post('/device-revocations', { config: { access: 'attestation:write' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { source, ...revoked } = request.body;
    const at = store.clock.now();
    const added = await store.unit(async (tx) => {
      const count = await addRevoked(tx, { tenant, source, at }, revoked);
      await appendAudit(tx, {
        tenant,
        at,
        actor: actorOf(principalOf(request)),
        action: 'device-revocations.added',
        object: `issuer:${revoked.issuerKeyId}`,
        outcome: 'success',
        details: { source, added: count },
      });
      return count;
    });
    return { added };
  });
}
