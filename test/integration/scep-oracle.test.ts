import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ENVELOPE_KINDS } from '../fakes/scep-chosen-envelopes.ts';
import { ChosenMessages, type ComparableAnswer } from '../fakes/scep-chosen-messages.ts';
import { signedRank } from '../bench/scep-signed-rank.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { addScepEndpoint } from './scep-installation.ts';

/** Of each kind; `npm run bench -- --only scep-oracle` sends thousands, and measures how long they take. */
const ROUNDS = 25;

describe('SCEP is no decryption oracle (V20, V22)', () => {
  let server: ComposedServer;
  let url: string;
  let messages: ChosenMessages;

  beforeAll(async () => {
    server = await ComposedServer.start();
    url = await addScepEndpoint(server, 'oracle', { badMessagesPerMinute: 0 });
    messages = await ChosenMessages.create(await (await fetch(`${url}?operation=GetCACert`)).bytes());
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  async function ask(message: Uint8Array): Promise<ComparableAnswer> {
    const response = await fetch(`${url}?operation=PKIOperation`, { method: 'POST', body: new Uint8Array(message) });
    return messages.compare(response.status, response.headers, await response.bytes());
  }

  it('refuses more bad messages of one address than the endpoint allows, and goes on with others', async () => {
    const limited = await addScepEndpoint(server, 'limited', { badMessagesPerMinute: 5 });
    const statuses = [];
    for (let sent = 0; sent < 8; sent++) {
      const body = new Uint8Array(messages.make('bad-padding'));
      statuses.push((await fetch(`${limited}?operation=PKIOperation`, { method: 'POST', body })).status);
    }
    expect(statuses.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
    expect(statuses.at(-1)).toBe(429);
    expect((await ask(messages.make('bad-padding'))).status).toBe(200);
  });

  it('answers bad RSA padding, key length, CBC padding, ASN.1 and signature of the request alike', async () => {
    const answers = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of ENVELOPE_KINDS) answers.add(JSON.stringify(await ask(messages.make(kind))));
    }
    expect([...answers].map((answer) => JSON.parse(answer) as ComparableAnswer)).toMatchObject([
      { status: 200, failInfo: '1' },
    ]);
    // Of a request that its key did sign, a device is told what is wrong with it; and this comparison sees a difference.
    const good = await ask(messages.makeGood());
    expect(good.failInfo).toBe('2');
    expect(answers).not.toContain(JSON.stringify(good));
  });

  it('answers one ciphertext sent twice in the same way', async () => {
    for (const kind of ENVELOPE_KINDS) {
      const message = messages.make(kind);
      expect(await ask(message)).toEqual(await ask(message));
    }
  });
});

describe("Wilcoxon's signed-rank test", () => {
  it('has the figures of the literature', () => {
    // H. Wainer's plants (C. Darwin 1876): W+ = 96 of 15 pairs.
    const darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
    const { p, medianDifference } = signedRank(Float64Array.from(darwin));
    // z = (96 - 60 - 0.5) / sqrt(15 · 16 · 31 / 24)
    expect(p).toBeCloseTo(0.0438, 4);
    expect(medianDifference).toBe(24);
  });

  it('sees no difference where there is none, and ties and zeros do not mislead it', () => {
    const symmetric = Float64Array.from({ length: 400 }, (_, at) => (at % 2 === 0 ? 1 : -1) * (at >> 1));
    expect(signedRank(symmetric).p).toBeGreaterThan(0.9);
    expect(signedRank(new Float64Array(50)).p).toBe(1);
    expect(signedRank(symmetric.map((value) => value + 30)).p).toBeLessThan(1e-5);
  });
});
