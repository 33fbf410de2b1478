import { sign } from 'node:crypto';

import { ACME_IDENTIFIERS, OPEN_ACME } from '../../../core/enrollment/acme-settings.ts';
import { parseNetwork } from '../../../core/outside/networks.ts';
import { MusterError } from '../../../core/errors/muster-error.ts';
import { objection } from '../../../protocols/acme/caa.ts';
import { requestFor } from '../../../protocols/acme/certificate-names.ts';
import { parseIdentifiers } from '../../../protocols/acme/identifier.ts';
import { optionalList, parseObject } from '../../../protocols/acme/json.ts';
import { carriedKey, parseJws, requireAlgorithm, verifyJws } from '../../../protocols/acme/jws.ts';
import { rawExtension } from '../../../core/x509/extensions.ts';
import { parsePath } from '../../../protocols/acme/path.ts';
import { AcmeProblem } from '../../../protocols/acme/problem.ts';
import { parseRenewalIdentifier } from '../../../protocols/acme/renewal-identifier.ts';
import { verifyAlpnCertificate } from '../../../protocols/acme/tls-alpn.ts';
import { makeCsr, makeKey, TestAuthority } from '../../support/test-pki.ts';
import type { FuzzTarget } from '../run-fuzz.ts';

const NAMES = [{ type: 'dns', value: 'router1.example' }] as const;
const DEVICE = [
  { type: 'permanent-identifier', value: '4711/1.2.3' },
  { type: 'hardware-module', value: '4711/1.2.3' },
] as const;
/** An endpoint that takes every kind of identifier. */
const SETTINGS = { ...OPEN_ACME, identifiers: ACME_IDENTIFIERS };

/** What ACME reads before it knows who speaks, and what it reads of hosts that it validates. */
export const acmeTargets: readonly FuzzTarget[] = [
  {
    name: 'acme JWS',
    seeds: () => [requestOf({ identifiers: NAMES })],
    async decode(body) {
      const jws = parseJws(parseObject(body, 'body'));
      requireAlgorithm(jws);
      await verifyJws(jws, carriedKey(jws));
      readPayload(jws.payload);
    },
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme payload',
    seeds: () => [ascii(JSON.stringify({ identifiers: [...NAMES, ...DEVICE, { type: 'ip', value: '2001:db8::1' }] }))],
    decode: readPayload,
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme CSR',
    seeds: () => [makeCsr({ subject: 'CN=router1.example', san: ['dns:router1.example'] }).der],
    decode: (der) => requestFor(der, NAMES),
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme CSR of a device',
    seeds: () => [makeCsr({ subject: 'CN=4711', san: ['permanentid:4711;1.2.3', 'hwmodule:1.2.3;4711'] }).der],
    decode: (der) => requestFor(der, DEVICE),
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme CAA value',
    seeds: () => ['ca.example; accounturi=https://h/1; validationmethods=dns-01,http-01', 'ca.example'].map(ascii),
    decode(value) {
      const record = { critical: false, tag: 'issue', value: Buffer.from(value).toString('latin1') };
      const subject = { wildcard: false, method: 'dns-01', accountUrl: 'https://h/1' } as const;
      const found = objection([record], new Set(['ca.example']), subject);
      if (found !== undefined) throw new AcmeProblem('caa', found);
    },
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme tls-alpn-01 certificate',
    seeds: () => [challengeCertificate()],
    decode: (der) => verifyAlpnCertificate(der, NAMES[0], new Uint8Array(32)),
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme path',
    seeds: () => ['default/directory', 'default/challenge/0190/http-01', 'directory'].map(ascii),
    decode(path) {
      if (parsePath(Buffer.from(path).toString('latin1')) === undefined)
        throw new AcmeProblem('malformed', 'names no resource');
    },
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'acme renewal identifier',
    seeds: () => ['aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE'].map(ascii),
    decode(text) {
      if (parseRenewalIdentifier(Buffer.from(text).toString('latin1')) === undefined)
        throw new AcmeProblem('malformed', 'names no certificate');
    },
    allowedErrors: [AcmeProblem],
  },
  {
    name: 'network',
    seeds: () => ['10.0.0.0/8', '2001:db8::/32', '::ffff:192.0.2.1/128'].map(ascii),
    decode: (text) => parseNetwork(Buffer.from(text).toString('latin1')),
    allowedErrors: [MusterError],
  },
];

function readPayload(payload: Uint8Array): void {
  const object = parseObject(payload, 'payload');
  parseIdentifiers(optionalList(object, 'identifiers', 100) ?? [], SETTINGS);
}

function requestOf(payload: object): Uint8Array {
  const key = makeKey();
  const { crv, kty, x, y } = key.export({ format: 'jwk' });
  const header = { alg: 'ES256', nonce: 'AAAA', url: 'https://muster.example/', jwk: { crv, kty, x, y } };
  const [head, body] = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  const signature = sign('sha256', ascii(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return ascii(JSON.stringify({ protected: head, payload: body, signature }));
}

function challengeCertificate(): Uint8Array {
  const digest = Uint8Array.from([4, 32, ...new Uint8Array(32)]);
  const extensions = [rawExtension('1.3.6.1.5.5.7.1.31', digest, true)];
  return TestAuthority.root({ name: 'CN=challenge', san: ['dns:router1.example'], extensions }).der;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
