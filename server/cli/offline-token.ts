import type { Role, Scope } from '../api/access.ts';
import { resolveTenant } from '../api/tenants.ts';
import { createToken } from '../api/tokens.ts';
import { CliError, EXIT } from './exit-code.ts';
import { openLocalStore } from './local-store.ts';
import type { Session } from './session.ts';

/** What `muster token create` takes. */
export interface OfflineTokenOptions {
  readonly label: string;
  readonly role: Role;
  readonly scope?: Scope[];
  /** Seconds. */
  readonly lifetime?: number;
  /** Configuration file of the server. */
  readonly config?: string;
}

/** Makes a token through the database of this host's server: the way back in when every token is lost. */
export async function createTokenOffline(session: Session, options: OfflineTokenOptions): Promise<void> {
  const { label, role, scope: scopes, lifetime: lifetimeSeconds } = options;
  await using store = await openLocalStore(session, options.config);
  const { tenant: name } = session.options;
  const tenant = name === undefined ? undefined : await resolveTenant(store, name);
  if (name !== undefined && tenant === undefined) throw new CliError(EXIT.notFound, `no tenant is named ${name}`);
  const request = { label, role, tenant, scopes, lifetimeSeconds, createdBy: 'system:offline' };
  const issued = await store.unit((tx) => createToken(tx, store.clock.now(), request));
  session.printObject({ id: issued.id, token: issued.token.reveal() });
}
