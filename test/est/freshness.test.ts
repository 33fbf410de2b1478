import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { attestationPolicy } from '../../core/enrollment/attestation-policy.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import {
  attestationAttribute,
  attestationExtension,
  encodeAttestationBundle,
} from '../../core/x509/attestation-bundle.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import { decodeNonceRequest, encodeNonceResponse } from '../../protocols/est/freshness.ts';
import { type EstFixture, startEst } from '../support/est-fixture.ts';
import { makeCsr } from '../support/test-pki.ts';
import { basic, connection, enroll, send } from './est-client.ts';

const JSON_TYPE = 'application/est-attestation-freshness+json';
const ENFORCED = attestationPolicy('enforce');
const headers = basic('r1', 'a password of r1');
/** As far as a carrier looks: a statement of a TPM. */
const bundle = { statements: [{ type: '2.23.133.20.1', statement: Uint8Array.of(0x05, 0x00) }], certificates: [] };

describe('nonce requests', () => {
  const decode = (text: string): number | undefined => decodeNonceRequest(Buffer.from(text));

  it('say how long the nonce shall be, or not', () => {
    expect(decode('{}')).toBeUndefined();
    expect(decode('{"len":64,"type":"1.2.3","reqInfo":{"pcr":[0]}}')).toBe(64);
    expect(decode('{"len":8,"reqTypeInfo":{"type":"1.2.3"}}')).toBe(8);
  });

  it.each(['', '[]', 'null', '{"len":7}', '{"len":65}', '{"len":"32"}', '{"len":8.5}', '{"len":null}', '{', '\u00ff'])(
    'are refused where they are %j',
    (text) => {
      expect(() => decodeNonceRequest(Buffer.from(text, 'latin1'))).toThrow(PeerError);
    },
  );

  it('are bounded', () => {
    expect(() => decode(`{"x":"${'a'.repeat(4096)}"}`)).toThrow(/at most 4096/);
  });

  it('are answered in base64url, or by an empty text', () => {
    const text = (nonce: Uint8Array): unknown => JSON.parse(Buffer.from(encodeNonceResponse(nonce, 600)).toString());
    expect(text(Uint8Array.of(0xfb, 0xff, 0xfe))).toEqual({ nonce: '-__-', expiry: 600 });
    expect(text(new Uint8Array())).toEqual({ nonce: '' });
  });
});

describe('evidence by EST', () => {
  let est: EstFixture;

  beforeAll(async () => {
    est = await startEst({
      gate: { challenge: async (_endpoint, octets = 32) => new Uint8Array(octets).fill(7) },
      endpoints: [
        { label: 'attested', attestation: ENFORCED, est: { csrAttributes: 'attributes' } },
        { label: 'bound', attestation: ENFORCED, est: { freshness: 'exporter' } },
      ],
    });
    est.credentials.addPassword('a password of r1', 'r1');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  it('is fresh by a nonce that anybody may ask for', async () => {
    const asked = await send(est, 'attested/nonce');
    expect(asked.status).toBe(200);
    expect(asked.headers).toMatchObject({ 'Content-Type': JSON_TYPE, 'Cache-Control': 'no-store' });
    expect(JSON.parse(asked.text)).toEqual({ nonce: Buffer.alloc(32, 7).toString('base64url'), expiry: 600 });
    const headersOfPost = { 'Content-Type': JSON_TYPE };
    const longer = await send(est, 'attested/nonce', { method: 'POST', headers: headersOfPost, body: '{"len":64}' });
    expect(JSON.parse(longer.text)).toMatchObject({ nonce: Buffer.alloc(64, 7).toString('base64url') });
    const wrong = await send(est, 'attested/nonce', { method: 'POST', headers: headersOfPost, body: '{"len":4}' });
    expect(wrong.status).toBe(400);
    const foreign = { 'Content-Type': 'application/json' };
    expect((await send(est, 'attested/nonce', { method: 'POST', headers: foreign, body: '{}' })).status).toBe(415);
  });

  it.each(['nonce', 'bound/nonce'])('needs no nonce of ours at %s', async (path) => {
    expect(JSON.parse((await send(est, path)).text)).toEqual({ nonce: '' });
  });

  it('is announced by csrattrs where it is asked for', async () => {
    const answer = await send(est, 'attested/csrattrs');
    const oid = '060b2a864886f70d010910023b';
    expect(Buffer.from(answer.text, 'base64').toString('hex')).toContain(oid);
  });

  it('reaches the gate as it came, and is not kept with the request', async () => {
    const { der } = makeCsr({ subject: 'CN=attested', attributes: [attestationAttribute(bundle)] });
    expect((await enroll(est, 'attested/simpleenroll', der, { headers })).status).toBe(200);
    const { evidence, der: kept, requestedExtensions } = est.hall.requests.at(-1)!;
    expect(evidence).toEqual({ type: 'tpm-certify', bytes: encodeAttestationBundle(bundle) });
    expect(parseCertificationRequest(kept).attributes.map(({ type }) => type)).not.toContain(
      REQUEST_ATTRIBUTE.attestation,
    );
    expect(requestedExtensions).toEqual([]);
  });

  it('asks for no extension where it comes as one', async () => {
    const { der } = makeCsr({
      subject: 'CN=extended',
      san: ['dns:a.example'],
      extensions: [attestationExtension(bundle)],
    });
    expect((await enroll(est, 'attested/simpleenroll', der, { headers })).status).toBe(200);
    const { evidence, der: kept, requestedExtensions, subjectAltName } = est.hall.requests.at(-1)!;
    expect(evidence).toMatchObject({ type: 'tpm-certify' });
    expect(requestedExtensions).toEqual([]);
    expect(subjectAltName).toHaveLength(1);
    expect(parseCertificationRequest(kept).requestedExtensions).toHaveLength(1);
  });

  it.each([
    [
      'of a type that nobody knows',
      [
        attestationAttribute({
          ...bundle,
          statements: [{ type: '1.2.3', statement: bundle.statements[0]!.statement }],
        }),
      ],
      '1.2.3',
    ],
    [
      'with a statement beside that nobody knows',
      [
        attestationAttribute({
          ...bundle,
          statements: [...bundle.statements, { type: '1.2.3', statement: bundle.statements[0]!.statement }],
        }),
      ],
      '1.2.3',
    ],
    ['that comes twice', [attestationAttribute(bundle), attestationAttribute(bundle)], 'malformed'],
    [
      'that cannot be read',
      [{ type: REQUEST_ATTRIBUTE.attestation, values: [Uint8Array.of(0x30, 0x00)] }],
      'malformed',
    ],
  ])('%s is shown to the gate under that name', async (_what, attributes, type) => {
    const { der } = makeCsr({ subject: 'CN=odd', attributes });
    await enroll(est, 'attested/simpleenroll', der, { headers });
    expect(est.hall.requests.at(-1)!.evidence).toMatchObject({ type });
  });

  it('is bound to the connection where the endpoint says so, under TLS 1.3 alone', async () => {
    const { der } = makeCsr({ subject: 'CN=bound', attributes: [attestationAttribute(bundle)] });
    const agent = connection(est);
    const socket = await connectedSocket(est, agent);
    expect((await enroll(est, 'bound/simpleenroll', der, { agent, headers })).status).toBe(200);
    const { nonce } = est.hall.requests.at(-1)!.evidence!;
    const ours = socket.exportKeyingMaterial(32, 'EXPORTER-muster-attestation-nonce', Buffer.alloc(0));
    expect(Buffer.from(nonce!)).toEqual(ours);
    agent.destroy();
    const old = connection(est, undefined, { maxVersion: 'TLSv1.2' });
    const refused = await enroll(est, 'bound/simpleenroll', der, { agent: old, headers });
    expect(refused.status).toBe(400);
    expect(refused.text).toMatch(/expected TLS 1.3/);
    old.destroy();
  });
});

/** The socket an agent will use again for its next request. */
async function connectedSocket(est: EstFixture, agent: ReturnType<typeof connection>): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  request(`${est.url}/cacerts`, { agent }, (response) => {
    const socket = response.socket as TLSSocket;
    response.resume();
    response.on('end', () => setImmediate(() => resolve(socket)));
  })
    .on('error', reject)
    .end();
  return promise;
}
