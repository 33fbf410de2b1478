import { AuthorityOffice } from '../../core/authority/authority-office.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import type { RequestTemplate } from '../../protocols/est/csr-attributes.ts';
import { acmePlugin } from '../../protocols/acme/http.ts';
import { attestationPlugin } from '../../protocols/attestation/http.ts';
import { AcmeService } from '../../protocols/acme/service.ts';
import { estPlugin } from '../../protocols/est/http.ts';
import { cmpPlugin } from '../../protocols/cmp/http.ts';
import { scepPlugin } from '../../protocols/scep/http.ts';
import { OCSP_PREFIX, statusServices } from '../../protocols/status/http.ts';
import { registerApi } from '../api/api.ts';
import { installationDoctor } from '../api/doctor-checks.ts';
import type { Configuration } from '../configuration/configuration.ts';
import {
  createAdminListener,
  createMutualTlsListener,
  createPlainListener,
  createTlsListener,
  type Listener,
  type ListenerContext,
  type ListenerName,
} from '../http/listener.ts';
import { listen, portOf, stopListeners } from '../http/listening.ts';
import type { Pressure } from '../http/pressure.ts';
import type { TlsIdentity } from '../http/tls-settings.ts';
import type { ListenerUrls } from '../installation/announcement.ts';
import { tenantPreparation } from '../installation/tenant-preparation.ts';
import { registerHealth, type HealthSources } from '../telemetry/health.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { deviceUrls } from './device-urls.ts';
import { keyPackageSigner } from './key-package-signer.ts';
import type { Kernel } from './kernel.ts';
import { acmeDependencies } from './acme-door.ts';
import { attestationDependencies } from './attestation-door.ts';
import { noteEstFetch, watchHandshakes } from './rollover-watch.ts';
import { statusObserver } from './observers.ts';
import type { OwnTls } from './own-tls.ts';
import { challengeOffice, scepDependencies } from './scep-door.ts';
import { VERSION } from './version.ts';

/** The four listeners, open. */
export interface Doors {
  readonly urls: ListenerUrls;
  /** Its background work goes on with what other processes left. */
  readonly acme: Pick<AcmeService, 'resume'>;
  renew(identity: TlsIdentity): void;
  close(): Promise<void>;
}

/** What the doors lead to. */
export interface DoorParts {
  readonly configuration: Configuration;
  readonly kernel: Kernel;
  readonly keys: KeyStore;
  readonly telemetry: Telemetry;
  readonly pressure: Pressure;
  readonly tls: OwnTls;
  readonly auditPublicKey: Uint8Array;
  readonly ownToken: string | undefined;
  /** Label of the token that new authorities are made in. */
  readonly defaultToken: string;
}

/** Registers every route on its listener and listens. */
export async function openDoors(parts: DoorParts): Promise<Doors> {
  const { configuration, kernel, keys, telemetry, pressure, tls } = parts;
  const context: ListenerContext = {
    logger: telemetry.log,
    limits: configuration.limits,
    pressure,
    observe: (request) => telemetry.metrics.countRequest(request),
  };
  const listeners = {
    plain: createPlainListener(context),
    mtls: createMutualTlsListener(context, tls.identity),
    tls: createTlsListener(context, tls.identity),
    admin: createAdminListener(context, tls.identity),
  };
  const health: HealthSources = { store: () => kernel.store.databaseTime(), tokens: () => keys.health() };
  registerHealth(listeners.plain.app, health);
  const status = statusServices({ ...kernel, observe: statusObserver(telemetry) });
  listeners.plain.shortcut({ prefix: OCSP_PREFIX, handler: status.ocsp });
  await listeners.plain.app.register(status.downloads);
  watchHandshakes(listeners.mtls.app, kernel, tls.tenant);
  await listeners.mtls.app.register(
    estPlugin({
      ...kernel,
      authorities: { caCertificates: (tenant, id) => kernel.rollovers.trustCertificates(tenant, id) },
      observer: { caCertificatesFetched: (endpoint, presented) => noteEstFetch(kernel, endpoint, presented) },
      templates: { templateFor: (endpoint) => templateFor(kernel, endpoint) },
      keyPackageSigner: (endpoint) => keyPackageSigner(kernel, endpoint),
    }),
  );
  const cmp = cmpPlugin(kernel);
  await listeners.plain.app.register(cmp);
  await listeners.mtls.app.register(cmp);
  const scep = scepDependencies(kernel, telemetry);
  await listeners.plain.app.register(scepPlugin(scep));
  await listeners.tls.app.register(scepPlugin({ ...scep, challengeOffice: challengeOffice(kernel, telemetry) }));
  const acme = new AcmeService(
    acmeDependencies({ kernel, telemetry, configuration, tls, port: () => portOf(listeners.tls) }),
  );
  await listeners.tls.app.register(acmePlugin(acme));
  await listeners.tls.app.register(attestationPlugin(attestationDependencies(kernel)));
  registerHealth(listeners.admin.app, health);
  await registerAdministration(listeners, parts);

  const all = Object.values(listeners);
  const close = (): Promise<void> => stopListeners(all, configuration.limits.shutdownGraceSeconds);
  try {
    const urls = await listenOnAll(listeners, configuration);
    return { urls, acme, renew: (identity) => all.forEach((listener) => listener.renew(identity)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function registerAdministration(listeners: Readonly<Record<ListenerName, Listener>>, parts: DoorParts): Promise<void> {
  const { configuration, kernel, keys, telemetry, tls, auditPublicKey, ownToken, defaultToken } = parts;
  const office = new AuthorityOffice(keys, defaultToken);
  return registerApi(listeners.admin.app, {
    version: VERSION,
    ...kernel,
    office,
    prepareTenant: tenantPreparation(keys, office),
    auditPublicKey,
    deviceUrls: () => deviceUrls(configuration, (name) => portOf(listeners[name])),
    get tlsRoot() {
      return tls.root;
    },
    doctor: installationDoctor({
      configuration,
      store: kernel.store,
      revocations: kernel.revocations,
      tokens: () => keys.health(),
      softwareToken: ownToken,
      tlsNotAfter: () => tls.notAfter,
    }),
    telemetry,
    metrics: telemetry.metrics,
    requestsPerMinute: configuration.limits.adminRequestsPerMinute,
  });
}

async function listenOnAll(
  listeners: Readonly<Record<ListenerName, Listener>>,
  { listeners: addresses }: Configuration,
): Promise<ListenerUrls> {
  const port = async (name: ListenerName): Promise<number> => listen(listeners[name], addresses[name]);
  const url = async (name: ListenerName): Promise<string> =>
    `${name === 'plain' ? 'http' : 'https'}://${hostOf(addresses[name].host)}:${await port(name)}`;
  return { plain: await url('plain'), mtls: await url('mtls'), tls: await url('tls'), admin: await url('admin') };
}

/** How this host itself reaches an address it listens on. */
function hostOf(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '127.0.0.1' || host === '::1') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

/** What a device's request should look like, from the profile: the purposes every certificate gets anyway. */
async function templateFor({ profiles }: Kernel, endpoint: Endpoint): Promise<RequestTemplate> {
  const { extendedKeyUsage } = await profiles.get(endpoint.tenant, endpoint.profile);
  return {
    subjectAttributes: [ATTRIBUTE_TYPE.commonName],
    extensions: extendedKeyUsage.length > 0 ? [EXTENSIONS.extendedKeyUsage.encode(extendedKeyUsage)] : [],
  };
}
