import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { durableRows } from '../../core/store/rows.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { findBatch, openBatch } from '../../protocols/batch/batches.ts';
import { enrollBatch } from '../../protocols/batch/service.ts';
import { batchMigrations } from '../../protocols/batch/tables.ts';
import { plainEvidence } from '../fakes/plain-evidence.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { ENGINES } from '../support/stores.ts';
import { OPEN_ENDPOINT } from '../enrollment/site.ts';
import { GateSite } from './gate-site.ts';

const pem = (der: Uint8Array) => Buffer.from(der).toString('base64');

describe.each(ENGINES)('a batch on %s', (engine) => {
  let gates: GateSite;
  let factory: Endpoint;

  beforeAll(async () => {
    gates = await GateSite.open(engine, batchMigrations);
    factory = await gates.endpoint({ protocols: { batch: { authenticators: ['batch'] } }, attestation: 'off' });
  });
  afterAll(() => gates[Symbol.asyncDispose]());

  async function newBatch(endpoint = factory) {
    const { store, clock } = gates.site;
    const draft = { tenant: gates.acme.id, name: 'b', endpoint: endpoint.id, created_by: 'token:1' };
    const id = await store.unit((tx) => openBatch(tx, draft, clock.now()));
    return (await findBatch(durableRows(store), gates.acme.id, id))!;
  }

  type Batch = Awaited<ReturnType<typeof newBatch>>;
  const ask = (batch: Batch, lines: readonly string[], { after = 0, endpoint = factory } = {}) =>
    enrollBatch(
      { store: gates.site.store, credentials: gates.credentials, hall: gates.hall },
      { batch, endpoint, after, lines, actor: 'token:1', requestId: 'test', sourceAddress: '192.0.2.9' },
    );
  const line = (name: string) => JSON.stringify({ id: name, csr: pem(makeCsr({ subject: `CN=${name}` }).der) });

  it('answers each line, in order: with its certificate, or why there is none', async () => {
    const batch = await newBatch();
    const forged = Buffer.from(makeCsr({ subject: 'CN=forged' }).der);
    forged[forged.length - 4]! ^= 1;
    const lines = [
      line('b1'),
      '',
      'no json',
      JSON.stringify({ id: 'x', csr: pem(forged) }),
      '{"csr":"AAAA"}',
      line('b2'),
    ];
    const answers = await ask(batch, lines, { after: 10 });
    expect(answers).toMatchObject([
      { line: 11, id: 'b1', outcome: 'issued' },
      { line: 13, outcome: 'refused', reason: 'malformed-request', message: 'expected a JSON object' },
      { line: 14, id: 'x', outcome: 'refused', reason: 'bad-signature' },
      { line: 15, outcome: 'refused', reason: 'malformed-request' },
      { line: 16, id: 'b2', outcome: 'issued' },
    ]);
    const [first] = decodePem(answers[0]!.certificate!);
    expect(parseCertificate(first!.der).subject.rdns.flat()).toHaveLength(1);
    expect(await findBatch(durableRows(gates.site.store), gates.acme.id, batch.id)).toMatchObject({ lines: 16 });
  });

  it('answers a part that is handed in again with the same certificates', async () => {
    const batch = await newBatch();
    const lines = Array.from({ length: 40 }, (_, n) => line(`again-${n}`));
    const first = await ask(batch, lines);
    expect(new Set(first.map(({ outcome }) => outcome))).toEqual(new Set(['issued']));
    expect(await ask(batch, lines)).toEqual(first);
    const another = await ask(await newBatch(), lines.slice(0, 1));
    expect(another[0]!.certificate).not.toBe(first[0]!.certificate);
  });

  it('is refused where the endpoint is not open for it', async () => {
    const closed = await gates.endpoint({ attestation: 'off' });
    await expect(ask(await newBatch(closed), [line('c')], { endpoint: closed })).rejects.toMatchObject({
      reason: 'protocol-not-open',
    });
  });

  it('is held to the attestation policy of its endpoint', async () => {
    const { batch: _none, ...rest } = OPEN_ENDPOINT.protocols;
    const endpoint = await gates.endpoint({
      protocols: { ...rest, batch: { authenticators: ['batch'] } },
      attestation: 'enforce',
    });
    const batch = await newBatch(endpoint);
    const key = makeKey();
    const { bytes } = plainEvidence({ key: publicKeyOf(key), nonce: await gates.gate.challenge(endpoint) });
    const csr = pem(makeCsr({ subject: 'CN=attested-line', key }).der);
    const evidence = { type: 'eat', content: pem(bytes) };
    expect(await ask(batch, [line('bare'), JSON.stringify({ csr, evidence })], { endpoint })).toMatchObject([
      { outcome: 'refused', reason: 'evidence-required' },
      { outcome: 'issued' },
    ]);
  });
});
