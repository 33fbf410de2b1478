import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Issuer } from '../../core/authority/directory.ts';
import { DEVICE_PROFILE, type ProfileSettings } from '../../core/authority/profile.ts';
import { issueServiceCertificate } from '../../core/authority/service-certificates.ts';
import type { Store } from '../../core/store/store.ts';
import { parseCertificate, subjectAltName, type Certificate } from '../../core/x509/certificate.ts';
import { generalNameFromText, generalNameToText, type GeneralName } from '../../core/x509/general-name.ts';
import { encodeName } from '../../core/x509/name.ts';
import { nameAttribute } from '../../core/x509/name-attributes.ts';
import { ATTRIBUTE_TYPE, KEY_PURPOSE } from '../../core/x509/oids.ts';
import { decodePem, encodePem } from '../../core/x509/pem.ts';
import { parseSubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import type { ServerCertificate, TlsIdentity } from '../http/tls-settings.ts';
import { readIfPresent, writeWhole, type DataFolder } from './data-folder.ts';

const DAY = 86_400;

/** Our own listeners: short enough to renew often, long enough to survive a long outage of the token. */
const TLS_PROFILE: ProfileSettings = {
  ...DEVICE_PROFILE,
  validitySeconds: 90 * DAY,
  extendedKeyUsage: [KEY_PURPOSE.serverAuth],
  subjectAltName: { kinds: ['dnsName', 'ipAddress'], max: 256 },
};

const KINDS = ['rsa', 'ec'] as const;
type Kind = (typeof KINDS)[number];

/** What the certificates of the listeners are made from. */
export interface TlsIdentitySource {
  readonly store: Store;
  readonly issuer: Issuer;
  /** Certificates that lead from the issuer to a root of before (NewWithOld), DER: sent with the chain. */
  readonly bridges: readonly Uint8Array[];
  readonly folder: DataFolder;
  /** DNS names and addresses besides those of this host. */
  readonly names: readonly string[];
}

/**
 * The server certificates, RSA-2048 and P-256: those in the data folder, or new ones where they are missing, name too
 * little, or two thirds of their life are over.
 */
export async function tlsIdentity(source: TlsIdentitySource): Promise<TlsIdentity> {
  const certificates = [];
  for (const kind of KINDS) certificates.push(stored(source, kind) ?? (await renewed(source, kind)));
  return { certificates };
}

/** Whether the identity in the data folder would be made anew now. */
export function needsRenewal(source: TlsIdentitySource): boolean {
  return KINDS.some((kind) => stored(source, kind) === undefined);
}

function stored(source: TlsIdentitySource, kind: Kind): ServerCertificate | undefined {
  const key = readIfPresent(join(source.folder.tls, `${kind}.key`));
  const chain = readIfPresent(join(source.folder.tls, `${kind}.pem`));
  if (key === undefined || chain === undefined) return undefined;
  const [leaf, issuing] = decodePem(chain);
  if (!leaf || !issuing) return undefined;
  const certificate = parseCertificate(leaf.der);
  const fits =
    Buffer.from(createPublicKey(key).export({ type: 'spki', format: 'der' })).equals(certificate.publicKey.der) &&
    Buffer.from(issuing.der).equals(source.issuer.certificate.der);
  return fits && isFresh(certificate, source.store.clock.now()) && namesAll(certificate, wantedNames(source))
    ? { key, chain }
    : undefined;
}

function isFresh({ notBefore, notAfter }: Certificate, now: number): boolean {
  const life = notAfter.getTime() - notBefore.getTime();
  return now < notBefore.getTime() + (life * 2) / 3;
}

function namesAll(certificate: Certificate, wanted: readonly GeneralName[]): boolean {
  const present = new Set(subjectAltName(certificate).map(generalNameToText));
  return wanted.every((name) => present.has(generalNameToText(name)));
}

async function renewed(source: TlsIdentitySource, kind: Kind): Promise<ServerCertificate> {
  const { publicKey, privateKey } = await generate(kind);
  const names = wantedNames(source);
  const certificate = await issueServiceCertificate(source.store, source.issuer, {
    purpose: `tls:${hostname()}:${kind}`,
    profile: TLS_PROFILE,
    subject: encodeName([[nameAttribute(ATTRIBUTE_TYPE.commonName, hostname().slice(0, 64))]]),
    subjectAltName: names,
    publicKey: parseSubjectPublicKeyInfo(publicKey.export({ type: 'spki', format: 'der' })),
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  // The root is not sent: who does not have it does not trust it.
  const links = [certificate, ...source.issuer.chain.slice(0, -1)].map(({ der }) => der);
  const chain = [...links, ...source.bridges].map((der) => encodePem('CERTIFICATE', der)).join('');
  writeWhole(join(source.folder.tls, `${kind}.key`), key, 0o600);
  writeWhole(join(source.folder.tls, `${kind}.pem`), chain, 0o644);
  return { key, chain };
}

const generatePair = promisify(generateKeyPair);

function generate(kind: Kind): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return kind === 'rsa' ? generatePair('rsa', { modulusLength: 2048 }) : generatePair('ec', { namedCurve: 'P-256' });
}

/** This host by every name and address it answers to, and whatever the configuration adds. */
function wantedNames({ names }: TlsIdentitySource): GeneralName[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address.split('%')[0]!),
  );
  const all = ['localhost', hostname(), '127.0.0.1', '::1', ...addresses, ...names].map((name) => name.toLowerCase());
  return [...new Set(all)].map((name) => generalNameFromText(isIP(name) === 0 ? `dns:${name}` : `ip:${name}`));
}
