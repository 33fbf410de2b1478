import { Type } from 'typebox';
import { principalOf } from './authentication.ts';
import type { ApiScope } from './type-provider.ts';
import { present } from './views.ts';

const statusView = Type.Object({
  version: Type.String(),
  token: Type.Object({
    id: Type.String(),
    label: Type.String(),
    role: Type.String(),
    scopes: Type.Array(Type.String()),
    tenant: Type.Optional(Type.String({ description: 'Id; absent: a token of the installation.' })),
  }),
});

/** `GET /status`: which server this is and who asks. */
export function statusRoutes(app: ApiScope, version: string): void {
  const schema = {
    tags: ['system'],
    summary: 'Version of the server, and what the token may do',
    response: { 200: statusView },
  };
  app.get('/status', { config: { access: 'any' }, schema }, (request) => {
    const { tokenId, label, role, scopes, tenant } = principalOf(request);
    return { version, token: { id: tokenId, label, role, scopes: [...scopes], ...present('tenant', tenant) } };
  });
}
