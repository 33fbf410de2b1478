import { type Agent, request } from 'node:https';
import type { TLSSocket } from 'node:tls';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { PeerError } from '../../core/errors/muster-error.ts';
import { checkChannelBinding } from '../../protocols/est/channel-binding.ts';
import { type EstFixture, startEst } from '../support/est-fixture.ts';
import { makeCsr } from '../support/test-pki.ts';
import { basic, connection, enroll } from './est-client.ts';

describe('the rule of channel binding', () => {
  const own = new Uint8Array(12).fill(7);
  const binding = (): Uint8Array => own;
  const base64 = (octets: Uint8Array): string => Buffer.from(octets).toString('base64');

  it.each(['optional', 'required'] as const)('takes the right one where it is %s', (mode) => {
    expect(checkChannelBinding(base64(own), binding, mode)).toBeUndefined();
  });

  it('takes none, and an enrolment password, only where it is optional', () => {
    for (const value of [undefined, 'Enrol-me-2026', '0123-4567-89ab-cdef', 'a'.repeat(15), '']) {
      expect(checkChannelBinding(value, binding, 'optional')).toBeUndefined();
      expect(() => checkChannelBinding(value, binding, 'required')).toThrow(PeerError);
    }
  });

  it('refuses what is the binding of another connection, of this or another TLS version', () => {
    for (const other of [new Uint8Array(12), new Uint8Array(32)]) {
      expect(() => checkChannelBinding(base64(other), binding, 'optional')).toThrow(/another connection/);
    }
  });

  it('is a function of the text alone', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 100 }), fc.base64String({ maxLength: 48 })), (text) => {
        try {
          checkChannelBinding(text, binding, 'required');
          return text === base64(own);
        } catch (error) {
          return error instanceof PeerError;
        }
      }),
    );
  });
});

describe('channel binding on real connections (ES-10, ES-11, E3)', () => {
  let est: EstFixture;
  const headers = basic('r1', 'bound-password');

  beforeAll(async () => {
    est = await startEst({
      endpoints: [{ label: 'linked', est: { channelBinding: 'required', csrAttributes: 'attributes' } }],
    });
    est.credentials.addPassword('bound-password', 'r1');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  it.each([
    ['TLSv1.2', (socket: TLSSocket) => socket.getFinished()!],
    ['TLSv1.3', (socket: TLSSocket) => socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))],
  ] as const)('links a request to its %s connection', async (version, bindingOf) => {
    const agent = connection(est, undefined, { minVersion: version, maxVersion: version });
    const socket = await connectedSocket(est, agent);
    expect(socket.getProtocol()).toBe(version);
    const challengePassword = bindingOf(socket).toString('base64');
    const linked = makeCsr({ subject: 'CN=linked', challengePassword }).der;
    for (const path of ['simpleenroll', 'linked/simpleenroll']) {
      expect((await enroll(est, path, linked, { agent, headers })).status).toBe(200);
      const elsewhere = await enroll(est, path, linked, { headers });
      expect(elsewhere.status).toBe(400);
      expect(elsewhere.text).toMatch(/channel binding/);
    }
    const unlinked = await enroll(est, 'linked/simpleenroll', makeCsr().der, { agent, headers });
    expect(unlinked.status).toBe(400);
    expect(unlinked.text).toMatch(/linking identity and proof of possession/);
    agent.destroy();
  });

  it('leaves an enrolment password in challengePassword alone', async () => {
    const csr = makeCsr({ subject: 'CN=old', challengePassword: 'Enrol-me-2026' }).der;
    expect((await enroll(est, 'simpleenroll', csr, { headers })).status).toBe(200);
  });
});

/** The socket an agent will use again for its next request. */
async function connectedSocket(est: EstFixture, agent: Agent): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  request(`${est.url}/cacerts`, { agent }, (response) => {
    const socket = response.socket as TLSSocket;
    response.resume();
    // The agent takes the socket back after 'end' has been handled.
    response.on('end', () => setImmediate(() => resolve(socket)));
  })
    .on('error', reject)
    .end();
  return promise;
}
