import { appendAudit } from '../../core/audit/log.ts';
import { findBySerial } from '../../core/authority/revocation.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createSecret } from '../../core/enrollment/secrets.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import type { ScepListener } from '../../protocols/scep/http.ts';
import type { ChallengeOffice } from '../../protocols/scep/ndes-page.ts';
import { actorOf, type Principal } from '../api/access.ts';
import { authenticateToken } from '../api/tokens.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Kernel } from './kernel.ts';
import { inheritedIdentities } from './rollover-watch.ts';

/** NDES's own figure: tools that scrape the page count on it. */
const CHALLENGE_LIFETIME_SECONDS = 3600;

/** What SCEP stands on, on every listener. */
export function scepDependencies(kernel: Kernel, telemetry: Telemetry): ScepListener {
  const { store, rollovers, sightings } = kernel;
  return {
    ...kernel,
    identities: inheritedIdentities(kernel),
    authorities: {
      caCertificates: (tenant, id) => kernel.authorities.caCertificates(tenant, id),
      successorCertificates: (tenant, id) => rollovers.successorCertificates(tenant, id),
      predecessors: (tenant, id) => rollovers.predecessors(tenant, id),
    },
    nextCaCertificatesFetched: ({ tenant, authority }) =>
      sightings.fetched({ tenant, authority, protocol: 'scep', by: undefined }),
    clock: store.clock,
    certificateBySerial: async (tenant, authority, serialNumber) =>
      (await findBySerial(store, tenant, authority, serialNumber))?.der,
    observer: {
      legacyUsed({ accepted, algorithm, endpoint, requestId, sourceAddress: source }) {
        telemetry.metrics.countScepLegacy(algorithm, accepted);
        telemetry.event(accepted ? 'scep.legacy-used' : 'scep.legacy-refused', {
          endpoint,
          algorithm,
          requestId,
          source,
        });
      },
    },
  };
}

/**
 * Challenges for the NDES page, to whoever shows an API token that may make secrets, as the password of HTTP Basic; the user
 * name is not looked at. Not a device's password: that opens the door to one device, and this page to any.
 */
export function challengeOffice({ store, secretHash }: Kernel, telemetry: Telemetry): ChallengeOffice {
  return {
    async issue(endpoint, { password }, source) {
      const principal = await authenticateToken(store, password.reveal());
      if (principal === undefined || !mayIssue(principal, endpoint)) {
        telemetry.event('api.refused', { reason: 'bad-credential', source, route: 'mscep_admin' });
        throw new PolicyError('bad-credential', 'the credential is not valid here');
      }
      const actor = actorOf(principal);
      const now = store.clock.now();
      const { tenant, id } = endpoint;
      const lifetimeSeconds = CHALLENGE_LIFETIME_SECONDS;
      const issued = await store.unit(async (tx) => {
        const request = { tenant, endpoint: id, usage: 'one-time', lifetimeSeconds, createdBy: actor } as const;
        const made = await createSecret(tx, secretHash, now, request);
        const details = { endpoint: endpoint.label, usage: 'one-time', by: 'mscep_admin', source };
        await appendAudit(tx, {
          tenant,
          at: now,
          actor,
          action: 'secret.created',
          object: `secret:${made.id}`,
          outcome: 'success',
          details,
        });
        return made;
      });
      return { challenge: issued.secret, lifetimeSeconds };
    },
  };
}

/** A token of another tenant is answered like one that nobody knows. */
function mayIssue({ scopes, tenant }: Principal, endpoint: Endpoint): boolean {
  return scopes.has('secrets:write') && (tenant === undefined || tenant === endpoint.tenant);
}
