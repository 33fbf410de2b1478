import { Secret } from '../../core/keys/secret.ts';
import { parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { attestationObjectFormat } from '../../devices/attestation/acme/attestation-object.ts';
import type { AcmeDependencies } from '../../protocols/acme/dependencies.ts';
import { CountedLedger, storedLedger } from '../../protocols/acme/nonce-ledger.ts';
import { Nonces } from '../../protocols/acme/nonces.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { TlsIdentity } from '../http/tls-settings.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Kernel } from './kernel.ts';
import { acmeObserver } from './observers.ts';
import type { OwnTls } from './own-tls.ts';

/** What the key of the nonces is derived from the installation's key by: no secret is made with this text. */
const NONCE_KEY_LABEL = 'muster: key of the nonces of ACME';

/** What the door leads to. */
export interface AcmeDoorParts {
  readonly kernel: Kernel;
  readonly telemetry: Telemetry;
  readonly configuration: Pick<Configuration, 'publicUrls'>;
  readonly tls: OwnTls;
  /** Of the listener, once it listens. */
  readonly port: () => number;
}

/** What ACME stands on. */
export function acmeDependencies(parts: AcmeDoorParts): AcmeDependencies {
  const { kernel, telemetry } = parts;
  return {
    ...kernel,
    attestationFormat: attestationObjectFormat,
    nonces: noncesOf(kernel),
    baseUrl: (host) => baseUrl(parts, host),
    observer: acmeObserver(telemetry),
    report: (error) => telemetry.log.warn({ error }, 'acme: something failed in the background'),
  };
}

/** A store that one process has to itself needs no row for each nonce. */
function noncesOf({ store, shortLived, secretHash }: Kernel): Nonces {
  const key = Buffer.from(secretHash(new Secret(NONCE_KEY_LABEL)), 'hex');
  const ledger = store.engine === 'sqlite' ? new CountedLedger(store.clock) : storedLedger(shortLived);
  return new Nonces(key, ledger, store.clock);
}

/**
 * Where a client that asked for this host reaches us: as it asked, if the name is one of those in our TLS certificates, else as
 * configured. Another name would let who forwards a client's requests have them signed for itself.
 */
function baseUrl({ configuration, tls, port }: AcmeDoorParts, host: string | undefined): string {
  const known = OWN_HOSTS.get(tls.identity)?.get(host);
  if (known !== undefined) return known;
  const { tls: configured } = configuration.publicUrls;
  const asked = host === undefined ? null : URL.parse(`https://${host}`);
  if (asked === null || asked.host === (configured && new URL(configured).host) || !isOwn(tls.identity, asked.hostname))
    return configured ?? `https://localhost:${port()}`;
  return remember(tls.identity, host, `https://${asked.host}`);
}

/** What hosts of our own make, by identity: every request asks. A name may come in many spellings and with many ports. */
const OWN_HOSTS = new WeakMap<TlsIdentity, Map<string | undefined, string>>();
const MAX_HOSTS = 64;

function remember(identity: TlsIdentity, host: string | undefined, base: string): string {
  const hosts = OWN_HOSTS.get(identity) ?? new Map<string | undefined, string>();
  OWN_HOSTS.set(identity, hosts);
  if (hosts.size < MAX_HOSTS) hosts.set(host, base);
  return base;
}

/** The names of an identity, read once. */
const NAMES = new WeakMap<TlsIdentity, ReadonlySet<string>>();

function isOwn(identity: TlsIdentity, hostname: string): boolean {
  const known = NAMES.get(identity);
  const names = known ?? namesOf(identity);
  if (known === undefined) NAMES.set(identity, names);
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return names.has(`dns:${bare}`) || names.has(`ip:${bare}`);
}

function namesOf({ certificates }: TlsIdentity): ReadonlySet<string> {
  const [first] = certificates;
  const [leaf] = first === undefined ? [] : decodePem(first.chain);
  const names = leaf === undefined ? [] : subjectAltName(parseCertificate(leaf.der));
  return new Set(names.map((name) => generalNameToText(name).toLowerCase()));
}
