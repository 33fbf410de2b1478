import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import type { AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import { parseNetwork } from '../../core/outside/networks.ts';
import { Outside } from '../../core/outside/outside.ts';
import { OutsideError, type OutsideFault } from '../../core/outside/outside-error.ts';
import { outsideResolver } from '../../core/outside/resolver.ts';
import { keyAuthorization, keyAuthorizationDigest } from './challenges.ts';
import { AcmeProblem, type ProblemType } from './problem.ts';
import type { AuthorizationRow } from './tables.ts';
import { reverseName, verifyAlpnCertificate } from './tls-alpn.ts';

/** One look at a challenge. */
export interface Validation {
  readonly row: AuthorizationRow;
  /** Of the account's key. */
  readonly thumbprint: string;
  readonly settings: AcmeSettings;
  readonly signal: AbortSignal;
}

/** V37: a page of a challenge is a hundred octets long. */
const MAX_PAGE_OCTETS = 65_536;
const MAX_REDIRECTS = 3;
const ACME_TLS = 'acme-tls/1';

const PROBLEM_OF: Readonly<Record<OutsideFault, ProblemType>> = {
  name: 'dns',
  address: 'rejectedIdentifier',
  connection: 'connection',
  tls: 'tls',
  answer: 'incorrectResponse',
};

/**
 * Looks whether a challenge is met.
 * @throws AcmeProblem when it is not: never with anything that the host said.
 */
export async function validate(validation: Validation): Promise<void> {
  const { settings } = validation;
  const signal = AbortSignal.any([validation.signal, AbortSignal.timeout(settings.validationTimeoutSeconds * 1000)]);
  const timed = { ...validation, signal };
  try {
    await Promise.race([look(timed, outsideOf(settings)), ending(signal)]);
  } catch (error) {
    if (error instanceof OutsideError) throw new AcmeProblem(PROBLEM_OF[error.fault], error.message, { cause: error });
    throw error;
  }
}

function look(validation: Validation, outside: Outside): Promise<void> {
  const { challenge, value, account_url: url } = validation.row;
  switch (challenge) {
    case 'http-01':
      return byHttp(validation, outside);
    case 'dns-01':
      return byDns(validation, outside, `_acme-challenge.${value}`);
    case 'dns-account-01':
      return byDns(validation, outside, `${accountLabel(url)}._acme-challenge.${value}`);
    case 'tls-alpn-01':
      return byTls(validation, outside);
    case 'device-attest-01':
    case null:
      throw new AcmeProblem('malformed', 'no challenge was answered');
  }
}

/** RFC 8555 §8.3. */
async function byHttp({ row, thumbprint, settings, signal }: Validation, outside: Outside): Promise<void> {
  const host = row.value.includes(':') ? `[${row.value}]` : row.value;
  const url = new URL(`http://${host}/.well-known/acme-challenge/${row.token}`);
  if (settings.httpPort !== 80) url.port = String(settings.httpPort);
  const page = await outside.get(url, { signal, maxOctets: MAX_PAGE_OCTETS, maxRedirects: MAX_REDIRECTS });
  if (page.status !== 200) throw new AcmeProblem('unauthorized', `expected status 200, found ${page.status}`);
  const text = Buffer.from(page.body).toString('latin1').trimEnd();
  if (text !== keyAuthorization(row.token, thumbprint))
    throw new AcmeProblem('unauthorized', 'the page does not hold the key authorization');
}

/** RFC 8555 §8.4; draft-ietf-acme-dns-account-label §3 has the same record under another name. */
async function byDns({ row, thumbprint, signal }: Validation, outside: Outside, name: string): Promise<void> {
  const expected = keyAuthorizationDigest(keyAuthorization(row.token, thumbprint)).toString('base64url');
  const texts = await outside.texts(name, signal);
  if (texts.length === 0) throw new AcmeProblem('dns', `${name} has no TXT record`);
  if (!texts.includes(expected)) throw new AcmeProblem('unauthorized', `no TXT record of ${name} is the one expected`);
}

/** RFC 8737 §3, RFC 8738 §6. */
async function byTls({ row, thumbprint, settings, signal }: Validation, outside: Outside): Promise<void> {
  const serverName = row.type === 'ip' ? reverseName(row.value) : row.value;
  const socket = await outside.tls(row.value, settings.tlsAlpnPort, { serverName, protocols: [ACME_TLS] }, signal);
  try {
    if (socket.alpnProtocol !== ACME_TLS) throw new AcmeProblem('tls', `the server did not agree on ${ACME_TLS}`);
    verifyAlpnCertificate(certificateOf(socket), row, keyAuthorizationDigest(keyAuthorization(row.token, thumbprint)));
  } finally {
    // What ends the handshake may still be on its way: a server that misses it logs a failure.
    socket.destroySoon();
  }
}

function certificateOf(socket: TLSSocket): Uint8Array {
  return socket.getPeerX509Certificate()?.raw ?? new Uint8Array();
}

/** Conversations with hosts and name servers, as the settings of an endpoint allow. */
export function outsideOf(settings: AcmeSettings): Outside {
  return new Outside(
    {
      allowed: settings.allowedNetworks.map(parseNetwork),
      denied: settings.deniedNetworks.map(parseNetwork),
      ports: [settings.httpPort, settings.httpsPort, settings.tlsAlpnPort],
      specialAddresses: settings.specialAddresses,
    },
    outsideResolver(settings.resolvers),
  );
}

function ending(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const fail = (): void => reject(new OutsideError('connection', 'no answer came in time'));
  if (signal.aborted) fail();
  else signal.addEventListener('abort', fail, { once: true });
  return promise;
}

/** draft-ietf-acme-dns-account-label §3.2: `_` and the base32 of the first ten octets of SHA-256 over the account's URL. */
export function accountLabel(url: string): string {
  const octets = createHash('sha256').update(url).digest().subarray(0, 10);
  const bits = Array.from(octets, (octet) => octet.toString(2).padStart(8, '0')).join('');
  return `_${bits.replaceAll(/.{5}/g, (five) => BASE32[Number.parseInt(five, 2)]!)}`;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
