import { certificateFingerprint } from '../../core/x509/certificate.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { createEabKey, createMacSecret, type IssuedMacSecret } from '../../core/enrollment/sealed-secrets.ts';
import { createSecret, type SecretHash } from '../../core/enrollment/secrets.ts';
import type { DataKeys } from '../../core/authority/data-keys.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { Store } from '../../core/store/store.ts';
import { writeWhole, type DataFolder } from './data-folder.ts';
import { acmeCommand, ANNOUNCED_NAME } from './acme-command.ts';
import { cmpCommand } from './cmp-command.ts';
import { estCommand } from './est-command.ts';
import { scepCommand } from './scep-command.ts';

/** The base URLs of the listeners, as reached on this host. */
export interface ListenerUrls {
  readonly plain: string;
  readonly mtls: string;
  readonly tls: string;
  readonly admin: string;
}

/** What a first user, or a script, needs to enrol a device. Holds secrets: it goes to a terminal or a closed file only. */
export interface Announcement extends ListenerUrls {
  /** Path of the root certificate, PEM. */
  readonly rootCertificate: string;
  /** Lower-case hex SHA-256 of the root certificate. */
  readonly rootSha256: string;
  /** Path of the file that holds the administrator's token. */
  readonly adminTokenFile: string;
  /** Label of the default endpoint. */
  readonly endpoint: string;
  /** A one-time password for it, with any user name. */
  readonly enrollmentPassword: string;
  /** For each protocol one shell line that enrols a device by itself, with a one-time secret of its own. */
  readonly commands: Readonly<Record<string, string>>;
}

/** What an announcement is made from. */
export interface AnnouncementSource {
  readonly store: Store;
  readonly secretHash: SecretHash;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  readonly folder: DataFolder;
  readonly endpoint: Endpoint;
  readonly urls: ListenerUrls;
  /** The root certificate, DER. */
  readonly root: Uint8Array;
}

const SECRET_LIFETIME_SECONDS = 86_400;

/** Makes the one-time secrets and everything around them. */
export async function announce(source: AnnouncementSource): Promise<Announcement> {
  const { folder, endpoint, urls, root } = source;
  const password = await oneTimeSecret(source);
  const est = await oneTimeSecret(source);
  const scep = await oneTimeSecret(source);
  const cmp = await oneTimeMacSecret(source);
  const acme = await oneTimeEabKey(source);
  return {
    ...urls,
    rootCertificate: folder.rootCertificate,
    rootSha256: certificateFingerprint(root),
    adminTokenFile: folder.adminToken,
    endpoint: endpoint.label,
    enrollmentPassword: password.reveal(),
    commands: {
      est: estCommand(urls.mtls, endpoint.label, folder.rootCertificate, est),
      cmp: cmpCommand(urls.plain, endpoint.label, folder.rootCertificate, cmp),
      scep: scepCommand(urls.plain, endpoint.label, folder.rootCertificate, scep),
      acme: acmeCommand(urls.tls, endpoint.label, folder.rootCertificate, acme),
    },
  };
}

/** Writes the announcement for scripts, whole and closed to others. */
export function writeReadyFile(file: string, announcement: Announcement): void {
  writeWhole(file, `${JSON.stringify(announcement, null, 2)}\n`, 0o600);
}

/** The announcement for a person at a terminal. */
export function announcementText(announcement: Announcement): string {
  const {
    plain,
    mtls,
    tls,
    admin,
    rootSha256,
    rootCertificate,
    adminTokenFile,
    endpoint,
    enrollmentPassword,
    commands,
  } = announcement;
  return `
Muster is ready.

  EST (and CMP)        ${mtls}
  HTTPS for the rest   ${tls}
  HTTP                 ${plain}
  Administration       ${admin}   token: ${adminTokenFile}
  Root certificate     ${rootCertificate}
             SHA-256   ${rootSha256.toUpperCase().replace(/(..)(?=.)/g, '$1:')}
  Endpoint             ${endpoint}
  One-time password    ${enrollmentPassword}   (any user name, valid for a day)

Enrol a device now:
${Object.entries(commands)
  .map(([protocol, command]) => `\n  # ${protocol}\n  ${command}\n`)
  .join('')}
`;
}

async function oneTimeSecret({ store, secretHash, endpoint }: AnnouncementSource): Promise<Secret> {
  const issued = await store.unit((tx) =>
    createSecret(tx, secretHash, store.clock.now(), {
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      usage: 'one-time',
      lifetimeSeconds: SECRET_LIFETIME_SECONDS,
      createdBy: 'system:announcement',
    }),
  );
  return issued.secret;
}

async function oneTimeMacSecret({ store, dataKeys, endpoint }: AnnouncementSource): Promise<IssuedMacSecret> {
  const sealer = await dataKeys.sealer(endpoint.tenant);
  return store.unit((tx) =>
    createMacSecret(tx, sealer, store.clock.now(), {
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      usage: 'one-time',
      lifetimeSeconds: SECRET_LIFETIME_SECONDS,
      createdBy: 'system:announcement',
    }),
  );
}

async function oneTimeEabKey({ store, dataKeys, endpoint }: AnnouncementSource): Promise<IssuedMacSecret> {
  const sealer = await dataKeys.sealer(endpoint.tenant);
  return store.unit((tx) =>
    createEabKey(tx, sealer, store.clock.now(), {
      tenant: endpoint.tenant,
      endpoint: endpoint.id,
      usage: 'one-time',
      subject: ANNOUNCED_NAME,
      lifetimeSeconds: SECRET_LIFETIME_SECONDS,
      createdBy: 'system:announcement',
    }),
  );
}
