import { TLSSocket } from 'node:tls';

import type { FastifyInstance } from 'fastify';

import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import type { Rollovers } from '../../core/authority/rollovers.ts';
import type { ServiceIdentities } from '../../core/authority/service-identities.ts';
import { storedIdentities } from '../../core/authority/service-identity-rows.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { CertificateFact } from '../../core/enrollment/facts.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import type { Kernel } from './kernel.ts';

/** What the watch over credentials stands on. */
export interface CredentialWatch {
  readonly authorities: Pick<AuthorityDirectory, 'issuerOf'>;
  readonly rollovers: Pick<Rollovers, 'lately'>;
  readonly sightings: Pick<RolloverSightings, 'used'>;
  readonly report: (error: unknown) => void;
}

/** The verifier, with a note of each device that presents a certificate of an authority that has taken over. */
export function watchedCredentials(credentials: CredentialVerifier, watch: CredentialWatch): CredentialVerifier {
  const noted = <F extends CertificateFact>({ tenant }: Endpoint, fact: F): F => {
    // Nothing to note costs nothing.
    if (fact.deviceId !== undefined && watch.rollovers.lately(tenant).length > 0)
      notePresented(watch, tenant, fact, fact.deviceId).catch(watch.report);
    return fact;
  };
  return {
    ...credentials,
    tlsCertificate: async (endpoint, chain) => noted(endpoint, await credentials.tlsCertificate(endpoint, chain)),
    signer: async (endpoint, chain) => noted(endpoint, await credentials.signer(endpoint, chain)),
  };
}

async function notePresented(
  { authorities, sightings }: CredentialWatch,
  tenant: string,
  { certificate, kind }: CertificateFact,
  device: string,
): Promise<void> {
  const issuer = await authorities.issuerOf(tenant, certificate);
  const protocol = kind === 'tls-certificate' ? 'tls' : 'message';
  if (issuer) sightings.used({ tenant, authority: issuer.id, protocol, device, evidence: 'presented' });
}

/** Notes who fetched the certificates of an endpoint's authority by EST: whom TLS proved, or anybody. */
export function noteEstFetch(kernel: Kernel, endpoint: Endpoint, presented: readonly Uint8Array[]): void {
  const { rollovers, sightings, report } = kernel;
  const { tenant, authority } = endpoint;
  if (rollovers.lately(tenant).length === 0) return;
  deviceOf(kernel, endpoint, presented)
    .then((device) => {
      const by = device === undefined ? undefined : ({ device, evidence: 'mtls-fetch' } as const);
      sightings.fetched({ tenant, authority, protocol: 'est', by });
    })
    .catch(report);
}

async function deviceOf(
  { credentials }: Pick<Kernel, 'credentials'>,
  endpoint: Endpoint,
  presented: readonly Uint8Array[],
): Promise<string | undefined> {
  if (presented.length === 0) return undefined;
  try {
    return (await credentials.tlsCertificate(endpoint, presented)).deviceId;
  } catch (error) {
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}

/**
 * Notes on a listener which devices finished a handshake in which this server presented a certificate of an authority that has
 * taken over. Not while NewWithOld goes with it: who accepts that may know the old root only.
 * @param tenant whose authority certifies the listeners
 */
export function watchHandshakes(app: FastifyInstance, kernel: Kernel, tenant: string): void {
  const noted = new WeakSet<TLSSocket>();
  app.addHook('onRequest', (request, _reply, done) => {
    const { socket } = request.raw;
    if (socket instanceof TLSSocket && !noted.has(socket) && kernel.rollovers.lately(tenant).length > 0) {
      noted.add(socket);
      noteHandshake(kernel, tenant, socket).catch(kernel.report);
    }
    done();
  });
}

async function noteHandshake(kernel: Kernel, tenant: string, socket: TLSSocket): Promise<void> {
  const { authorities, endpoints, rollovers, sightings } = kernel;
  const [ours, theirs] = [socket.getX509Certificate(), socket.getPeerX509Certificate()];
  const [endpoint] = await endpoints.list(tenant);
  if (!ours || !theirs || !endpoint) return;
  const issuer = await authorities.issuerOf(tenant, parseCertificate(ours.raw));
  if (!issuer || (await rollovers.bridges(tenant, issuer.id)).length > 0) return;
  const device = await deviceOf(kernel, endpoint, [theirs.raw]);
  if (device !== undefined)
    sightings.used({ tenant, authority: issuer.id, protocol: 'tls', device, evidence: 'accepted' });
}

/** Where identities are looked for. */
export interface IdentitySources {
  readonly store: Store;
  readonly identities: Pick<ServiceIdentities, 'valid'>;
  readonly rollovers: Pick<Rollovers, 'predecessors'>;
}

/**
 * The identities of an authority, and behind them those of the ones it took over from: a device goes on to encrypt for the
 * certificate that it fetched before the switch.
 */
export function inheritedIdentities({
  store,
  identities,
  rollovers,
}: IdentitySources): Pick<ServiceIdentities, 'valid'> {
  return {
    async valid(tenant, authority, purpose) {
      const own = await identities.valid(tenant, authority, purpose);
      const earlier = [];
      for (const id of await rollovers.predecessors(tenant, authority)) {
        const scope = { tenant, authority: id, purpose };
        // None is made now for an authority that retires.
        const usable = (await storedIdentities(store, scope)).some(
          ({ status, notAfter }) => status === 'active' && (notAfter ?? 0) > store.clock.now(),
        );
        if (usable) earlier.push(...(await identities.valid(tenant, id, purpose)));
      }
      return [...own, ...earlier];
    },
  };
}
