import { type KeyObject, sign, X509Certificate } from 'node:crypto';
import { encode } from 'cborg';
import type { Agent } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { EnrollmentTables } from '../../core/enrollment/tables.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { rawExtension } from '../../core/x509/extensions.ts';
import { trustChanged } from '../../devices/attestation/trust-store.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { type Answer, api, connection } from '../support/installation.ts';
import { makeCsr, makeKey, TestAuthority } from '../support/test-pki.ts';
import { AcmeClient, type AuthorizationView, json, type OrderView, problemOf } from './acme-client.ts';

const STEP_SERIAL_NUMBER = '1.3.6.1.4.1.41482.3.7';
/** DER of the INTEGER 4711, which is how a YubiKey says its serial number. */
const SERIAL_4711 = Uint8Array.from([0x02, 0x02, 0x12, 0x67]);

describe('device-attest-01 (AC-33)', () => {
  let server: ComposedServer;
  let shared: Agent;
  const factory = TestAuthority.root({ name: 'CN=Attestation root' });
  const clients: AcmeClient[] = [];

  beforeAll(async () => {
    server = await ComposedServer.start();
    shared = connection(server);
    await trust(factory);
    for (const attestation of ['enforce', 'observe', 'off'] as const)
      await api(server, 'POST', '/endpoints', { label: attestation, attestation, protocols: { acme: ACME } });
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    await server?.[Symbol.asyncDispose]();
  });

  /** What an operator imports beforehand. */
  async function trust({ der }: TestAuthority): Promise<void> {
    const { store } = server.server.kernel;
    const { tenant } = (await server.server.kernel.endpoints.resolve(undefined))!;
    await store.unit(async (tx) => {
      const row = {
        id: 'anchor',
        purpose: 'attestation-ca',
        name: 'factory',
        certificate: der,
        created_at: 0,
      } as const;
      await tx
        .forTenant<EnrollmentTables>(tenant)
        .insertInto('trust_anchors', { ...row, settings: null })
        .execute();
      await trustChanged(tx, tenant);
    });
  }

  /** Subject and names of the certificate of an order. */
  async function leafOf(of: AcmeClient, answer: Answer): Promise<readonly [string, string]> {
    const order = json<OrderView>(answer);
    expect(order, answer.text).toMatchObject({ status: 'valid' });
    const { raw, subject } = new X509Certificate((await of.post(order.certificate!)).text);
    return [subject, subjectAltName(parseCertificate(raw)).map(generalNameToText).join()];
  }

  async function client(label = 'enforce', eab?: { reference: string; secret: string }): Promise<AcmeClient> {
    const made = new AcmeClient(server, `${server.server.urls.tls}/acme/${label}/directory`, undefined, shared);
    clients.push(made);
    await made.start();
    expect((await made.register(eab)).status).toBe(201);
    return made;
  }

  /** An attestation object of format `step` for a key. */
  function attested(key: KeyObject, signed: string, by = factory): string {
    const extensions = [rawExtension(STEP_SERIAL_NUMBER, SERIAL_4711, false)];
    const leaf = by.leaf({ subject: 'CN=attestation', key, extensions });
    const sig = encode(new Uint8Array(sign('sha256', Buffer.from(signed), key)));
    const object = { fmt: 'step', attStmt: { alg: -7, sig, x5c: [new Uint8Array(leaf.der)] } };
    return Buffer.from(encode(object)).toString('base64url');
  }

  const order = (of: AcmeClient, ...identifiers: { type: string; value: string }[]): Promise<Answer> =>
    of.post(of.directory['newOrder']!, { identifiers });

  interface Begun {
    readonly of: AcmeClient;
    readonly view: OrderView;
    readonly url: string;
    readonly challenge: { readonly url: string; readonly token: string };
    readonly authorization: string;
  }

  async function begin(value = '4711', label = 'enforce'): Promise<Begun> {
    const of = await client(label);
    const created = await order(of, { type: 'permanent-identifier', value });
    expect(created.status, created.text).toBe(201);
    const view = json<OrderView>(created);
    const [authorization] = view.authorizations;
    const { challenges, identifier } = json<AuthorizationView>(await of.post(authorization!));
    expect(identifier).toEqual({ type: 'permanent-identifier', value });
    expect(challenges.map(({ type }) => type)).toEqual(['device-attest-01']);
    return { of, view, url: created.headers['location']!, challenge: challenges[0]!, authorization: authorization! };
  }

  async function prove(begun: Begun, key: KeyObject, change: Partial<Record<'attObj', unknown>> = {}): Promise<Answer> {
    const { of, challenge } = begun;
    return of.post(challenge.url, { attObj: attested(key, of.keyAuthorization(challenge.token)), more: 1, ...change });
  }

  it.each([
    ['that holds the identifier', ['permanentid:4711;'], 'permanentid:4711;', 'CN=4711'],
    ['that leaves it out', [], '', 'CN=4711'],
  ])('certifies the attested key: a CSR %s', async (_what, san, names, subject) => {
    const begun = await begin();
    const key = makeKey();
    expect(json(await prove(begun, key))).toMatchObject({ status: 'valid' });
    expect(json(await begun.of.post(begun.url))).toMatchObject({ status: 'ready' });
    const csr = makeCsr({ subject: '', key, ...(san.length > 0 && { san }) }).der;
    expect(await leafOf(begun.of, await begun.of.finalize(begun.view, csr))).toEqual([subject, names]);
  });

  it('leaves the identifier out of a certificate with other names, beside names that a key vouches for', async () => {
    const draft = { kind: 'eab', usage: 'device', allowed: ['*.example'], endpoint: 'enforce' };
    const of = await client('enforce', await api(server, 'POST', '/secrets', draft));
    const identifiers = [
      { type: 'dns', value: 'r1.example' },
      { type: 'permanent-identifier', value: '4711' },
    ];
    const view = json<OrderView>(await order(of, ...identifiers));
    expect(view).toMatchObject({ status: 'pending', identifiers });
    const [vouched, attestable] = view.authorizations;
    expect(json(await of.post(vouched!))).toMatchObject({ status: 'valid', challenges: [] });
    const { challenges } = json<AuthorizationView>(await of.post(attestable!));
    const key = makeKey();
    await of.post(challenges[0]!.url, { attObj: attested(key, of.keyAuthorization(challenges[0]!.token)) });
    const csr = makeCsr({ subject: '', key, san: ['dns:r1.example'] }).der;
    expect(await leafOf(of, await of.finalize(view, csr))).toEqual(['CN=r1.example', 'dns:r1.example']);
  });

  it('takes no other key, and none with more names', async () => {
    const begun = await begin();
    const key = makeKey();
    await prove(begun, key);
    const wrong = [
      makeCsr({ subject: '' }).der,
      makeCsr({ subject: '', key, san: ['permanentid:4712;'] }).der,
      makeCsr({ subject: '', key, san: ['permanentid:4711;1.2.3'] }).der,
      makeCsr({ subject: 'CN=4712', key }).der,
      makeCsr({ subject: '', key, san: ['dns:4711'] }).der,
    ];
    for (const csr of wrong) expect(problemOf(await begun.of.finalize(begun.view, csr))).toBe('400 badCSR');
    const right = makeCsr({ subject: 'CN=4711', key }).der;
    expect(json(await begun.of.finalize(begun.view, right))).toMatchObject({ status: 'valid' });
  });

  it.each([
    ['of another device', '4712', (key: KeyObject, text: string) => attested(key, text)],
    ['for another key authorization', '4711', (key: KeyObject) => attested(key, 'another')],
    [
      'by somebody else',
      '4711',
      (key: KeyObject, text: string) => attested(key, text, TestAuthority.root({ name: 'CN=Somebody' })),
    ],
    ['of an unknown format', '4711', () => Buffer.from(encode({ fmt: 'none', attStmt: {} })).toString('base64url')],
    ['that is no attestation object', '4711', () => 'AAAA'],
    ['that is empty', '4711', () => ''],
    ['that is too large', '4711', () => 'A'.repeat(64_000 + 4)],
  ])('refuses evidence %s, and that is the end of the authorization', async (_what, value, object) => {
    const begun = await begin(value);
    const { of, challenge } = begun;
    const text = of.keyAuthorization(challenge.token);
    const answer = await of.post(challenge.url, { attObj: object(makeKey(), text) });
    if (answer.status === 413) return;
    expect(json(answer), answer.text).toMatchObject({
      status: 'invalid',
      error: { type: 'urn:ietf:params:acme:error:badAttestationStatement' },
    });
    expect(json(await of.post(begun.authorization))).toMatchObject({ status: 'invalid' });
    expect(json(await of.post(begun.url))).toMatchObject({ status: 'invalid' });
  });

  it('takes the word of a client that cannot attest', async () => {
    const begun = await begin();
    const answer = await begun.of.post(begun.challenge.url, { error: 'no key' });
    expect(json(answer)).toMatchObject({ status: 'invalid' });
  });

  it('is not let in by an endpoint that observes, when it proves nothing', async () => {
    const begun = await begin('4712', 'observe');
    expect(json(await prove(begun, makeKey()))).toMatchObject({ status: 'invalid' });
  });

  it('does not serve a second order', async () => {
    const begun = await begin();
    const key = makeKey();
    await prove(begun, key);
    await begun.of.finalize(begun.view, makeCsr({ subject: '', key, san: ['permanentid:4711;'] }).der);
    const again = await order(begun.of, { type: 'permanent-identifier', value: '4711' });
    expect(json(again)).toMatchObject({ status: 'pending' });
  });

  it.each([
    ['off', 'permanent-identifier', '4711', '400 unsupportedIdentifier'],
    ['enforce', 'permanent-identifier', 'a/b/c', '400 malformed'],
    ['enforce', 'permanent-identifier', '', '400 malformed'],
    ['enforce', 'permanent-identifier', 'a/no-oid', '400 malformed'],
    ['enforce', 'hardware-module', '4711', '400 malformed'],
    ['enforce', 'hardware-module', 'xyz/1.2.3', '400 malformed'],
    ['enforce', 'hardware-module', '4711/1.2.3', '201'],
    ['enforce', 'permanent-identifier', '4711/1.2.3', '201'],
  ])('an endpoint with attestation %s answers %s %j by %s', async (label, type, value, expected) => {
    const answer = await order(await client(label), { type, value });
    expect(answer.status === 201 ? '201' : problemOf(answer)).toBe(expected);
  });
});

const ACME = {
  externalAccount: 'optional',
  identifiers: ['dns', 'permanent-identifier', 'hardware-module'],
} as const;
