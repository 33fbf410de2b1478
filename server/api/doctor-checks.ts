import type { RevocationView } from '../../core/authority/revocation-view.ts';
import type { TokenHealth } from '../../core/keys/key-store.ts';
import type { Store } from '../../core/store/store.ts';
import type { Configuration } from '../configuration/configuration.ts';
import { administrationFindings } from './doctor-administration.ts';
import { revocationFindings } from './doctor-revocation.ts';
import type { Doctor, DoctorFinding } from './doctor.ts';

/** What the checks look at. */
export interface DoctorSources {
  readonly configuration: Configuration;
  readonly store: Store;
  readonly tokens: () => readonly TokenHealth[];
  /** Label of the SoftHSM token in the data folder; undefined when none is in use. */
  readonly softwareToken: string | undefined;
  readonly revocations: Pick<RevocationView, 'ageMs'>;
  /** Epoch milliseconds at which the first of our own TLS certificates ends. */
  readonly tlsNotAfter: () => number;
}

const dayMilliseconds = 86_400_000;
/** Clocks of this machine and of the database further apart than this make leases and logs unreliable. */
const clockToleranceMilliseconds = 2_000;

/** The checks of `muster doctor`. */
export function installationDoctor(sources: DoctorSources): Doctor {
  return async () => [
    ...(await storeFindings(sources.store)),
    ...sources.tokens().map(tokenFinding),
    softwareTokenFinding(sources.softwareToken),
    publicUrlFinding(sources.configuration),
    adminFinding(sources.configuration),
    tlsFinding(sources.tlsNotAfter(), sources.store.clock.now()),
    ...(await administrationFindings(sources.store)),
    ...(await revocationFindings(sources.store, sources.revocations)),
  ];
}

async function storeFindings(store: Store): Promise<DoctorFinding[]> {
  try {
    const skew = Math.abs((await store.databaseTime()) - store.clock.now());
    const database: DoctorFinding = { check: 'store', state: 'ok', text: `${store.engine} answers` };
    if (skew <= clockToleranceMilliseconds) return [database];
    const text = `the clock of the database is ${Math.round(skew / 1000)} s off ours`;
    return [database, { check: 'clock', state: 'warning', text, remedy: 'set both by NTP' }];
  } catch {
    const remedy = 'see that the database runs and that store.url names it';
    return [{ check: 'store', state: 'failed', text: `${store.engine} does not answer`, remedy }];
  }
}

function tokenFinding(token: TokenHealth): DoctorFinding {
  const check = `token.${token.label}`;
  switch (token.state) {
    case 'up':
      return { check, state: 'ok', text: `token "${token.label}" answers` };
    case 'down':
      return {
        check,
        state: 'failed',
        text: `token "${token.label}" does not answer`,
        remedy: 'start it again; Muster finds it by itself',
      };
    case 'pin-refused':
      return {
        check,
        state: 'failed',
        text: `token "${token.label}" refused the PIN, which is not tried again`,
        remedy: 'put the right PIN where tokens.pin points and restart',
      };
  }
}

function softwareTokenFinding(label: string | undefined): DoctorFinding {
  if (label === undefined) return { check: 'hsm', state: 'ok', text: 'keys live in configured tokens' };
  return {
    check: 'hsm',
    state: 'warning',
    text: `token "${label}" is SoftHSM: its keys are files of this machine, encrypted under the PIN beside them`,
    remedy: 'configure a hardware token under `tokens` before this CA matters',
  };
}

function publicUrlFinding({ publicUrls }: Configuration): DoctorFinding {
  if (publicUrls.plain !== undefined)
    return { check: 'public-url', state: 'ok', text: `certificates point to ${publicUrls.plain}` };
  return {
    check: 'public-url',
    state: 'warning',
    text: 'certificates point to this host by the name it has today for CRL and OCSP',
    remedy: 'set publicUrls.plain to a name that will outlive this host',
  };
}

function adminFinding({ listeners }: Configuration): DoctorFinding {
  const { host } = listeners.admin;
  if (host === '127.0.0.1' || host === '::1' || host === 'localhost') {
    return { check: 'admin-listener', state: 'ok', text: 'the admin listener is bound to loopback' };
  }
  const text = `the admin listener is bound to ${host}`;
  return { check: 'admin-listener', state: 'warning', text, remedy: 'let only the management network reach its port' };
}

function tlsFinding(notAfter: number, now: number): DoctorFinding {
  const days = Math.floor((notAfter - now) / dayMilliseconds);
  if (days >= 7)
    return {
      check: 'tls-certificate',
      state: 'ok',
      text: `our TLS certificates end in ${days} days and renew by themselves`,
    };
  const text =
    days < 0
      ? 'our TLS certificates have expired'
      : `our TLS certificates end in ${days} days and should have been renewed`;
  return { check: 'tls-certificate', state: 'failed', text, remedy: 'see the log for why the renewal fails' };
}
