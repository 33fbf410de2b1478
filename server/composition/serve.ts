import { hostname } from 'node:os';

import { InternalError } from '../../core/errors/muster-error.ts';
import { heirOf } from '../../core/authority/rollover-records.ts';
import type { AuthorityRow } from '../../core/authority/tables.ts';
import type { CrlDatabase } from '../../core/authority/crl-worker.ts';
import type { FaultPoint } from '../../core/enrollment/issuance.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import type { SqliteOptions } from '../../core/store/sqlite-store.ts';
import type { Store } from '../../core/store/store.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { listTokens } from '../api/tokens.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { Pressure } from '../http/pressure.ts';
import { announce, type Announcement, type ListenerUrls } from '../installation/announcement.ts';
import { auditSigning } from '../installation/audit-signing.ts';
import { openDataFolder, readIfPresent, writeWhole, type DataFolder } from '../installation/data-folder.ts';
import { createFirstToken, DEFAULT_ALGORITHMS, ensureDefaultTenant } from '../installation/first-start.ts';
import { createLog, flushLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { startBackground } from './background.ts';
import { openDoors } from './doors.ts';
import { composeKernel, type Kernel } from './kernel.ts';
import { OwnTls } from './own-tls.ts';
import { openShortLived, openStore } from './storage.ts';
import { cloneAlarm, enrollmentObserver, logTokenChange } from './observers.ts';
import { openTokens } from './tokens.ts';
import { VERSION } from './version.ts';

/** What tests and the bench change about a server; `npm start` changes nothing. */
export interface ServeOverrides {
  readonly algorithms?: { readonly rootAlgorithm: KeyAlgorithm; readonly issuingAlgorithm: KeyAlgorithm };
  readonly sqlite?: Partial<SqliteOptions>;
  readonly faultPoint?: (point: FaultPoint) => Promise<void>;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  readonly urls: ListenerUrls;
  readonly kernel: Kernel;
  readonly keys: KeyStore;
  /** Makes fresh one-time secrets and says how to use them. */
  announce(): Promise<Announcement>;
  /** Stops accepting, finishes what is in flight, gives leases back, closes everything. */
  close(): Promise<void>;
}

/**
 * Starts a server: opens store and tokens, makes the first tenant where there is none, and listens. What was opened is
 * closed again when a later step fails.
 */
export async function serve(configuration: Configuration, overrides: ServeOverrides = {}): Promise<RunningServer> {
  await using opened = new AsyncDisposableStack();
  const log = createLog(configuration.log.level);
  opened.defer(() => flushLog(log));
  for (const warning of configuration.warnings) log.warn(warning);
  const report = (error: unknown): void => log.warn({ error }, 'something failed in the background');
  const folder = openDataFolder(configuration.dataFolder);
  const store = opened.use(await openStore(configuration.store, report, overrides.sqlite));
  const { keys, defaultToken, ownToken } = await openTokens(configuration.tokens, folder, (health) =>
    logTokenChange(log, health),
  );
  opened.use(keys);
  const shortLived = opened.use(await openShortLived(configuration.redis, store, report));
  const pressure = opened.use(new Pressure(configuration.limits.eventLoopDelayMs));
  const metrics = new Metrics({
    version: VERSION,
    tokens: () => keys.health(),
    store: () => store.statistics,
    eventLoopDelayMilliseconds: () => pressure.delayMilliseconds,
  });
  const telemetry = new Telemetry(log, metrics);

  const { issuing } = await ensureDefaultTenant(store, keys, {
    token: defaultToken,
    ...(overrides.algorithms ?? DEFAULT_ALGORITHMS),
  });
  await ensureAdminToken(store, folder);
  const kernel = await composeKernel({
    store,
    keys,
    shortLived,
    publicUrl: configuration.publicUrls.plain ?? `http://${hostname()}:${configuration.listeners.plain.port}`,
    database: crlDatabase(configuration.store),
    observer: enrollmentObserver(telemetry),
    report,
    approvals: { waiting: () => undefined },
    onClone: cloneAlarm(telemetry),
    onRolloverSighting: (evidence) => metrics.countRolloverSighting(evidence),
    ...(overrides.faultPoint && { faultPoint: overrides.faultPoint }),
  });
  metrics.watchRevocations(kernel.revocations);
  await kernel.revocations.start();
  opened.defer(() => kernel.revocations.stop());
  if (store.engine === 'sqlite') await kernel.hall.resumeInterrupted(true).catch(report);
  const signing = await auditSigning(store, keys, defaultToken, folder.checkpoints);
  const authority = (): ReturnType<typeof currentAuthority> => currentAuthority(kernel, issuing);
  const tls = await OwnTls.open({ store, authority, folder, names: configuration.publicNames });
  const writeRoot = (): void => writeWhole(folder.rootCertificate, encodePem('CERTIFICATE', tls.root), 0o644);
  writeRoot();
  const doors = await openDoors({
    configuration,
    kernel,
    keys,
    telemetry,
    pressure,
    tls,
    auditPublicKey: signing.signer.publicKey,
    ownToken,
    defaultToken,
  });
  opened.defer(() => doors.close());
  const background = startBackground({
    kernel,
    acme: doors.acme,
    telemetry,
    auditSigning: signing,
    alerts: configuration.alerts,
    node: `${hostname()}:${configuration.listeners.admin.port}`,
    renewTls: () =>
      tls.renewIfDue((identity) => {
        doors.renew(identity);
        writeRoot();
      }),
  });
  opened.defer(() => background.stop());
  writeWhole(
    folder.serverInfo,
    `${JSON.stringify({ admin: doors.urls.admin, rootCertificate: folder.rootCertificate })}\n`,
    0o644,
  );
  telemetry.event('server.started', { ...doors.urls });

  const owned = opened.move();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    telemetry.event('server.stopping');
    closing ??= owned.disposeAsync();
    return closing;
  };
  return {
    urls: doors.urls,
    kernel,
    keys,
    async announce() {
      const endpoint = await kernel.endpoints.resolve(undefined);
      if (!endpoint) throw new InternalError('there is no default endpoint');
      return announce({
        store,
        secretHash: kernel.secretHash,
        dataKeys: kernel.dataKeys,
        folder,
        endpoint,
        urls: doors.urls,
        root: tls.root,
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The authority that issues what the first one of the tenant did. */
async function currentAuthority({ store, authorities, rollovers }: Kernel, { tenant, id }: AuthorityRow) {
  const heir = await heirOf(store, tenant, id);
  return { issuer: await authorities.issuer(tenant, heir), bridges: await rollovers.bridges(tenant, heir) };
}

function crlDatabase(settings: Configuration['store']): CrlDatabase {
  return settings.engine === 'sqlite' ? settings : { engine: 'postgres', url: settings.url.reveal() };
}

/** The first administrator's token stands in a file; once one exists, nothing makes another behind anybody's back. */
async function ensureAdminToken(store: Store, folder: DataFolder): Promise<void> {
  if (readIfPresent(folder.adminToken) !== undefined) return;
  const existing = await listTokens(store, undefined, { after: undefined, limit: 1 });
  if (existing.length > 0) return;
  const { token } = await createFirstToken(store);
  writeWhole(folder.adminToken, `${token.reveal()}\n`, 0o600);
}
