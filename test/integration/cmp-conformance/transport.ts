import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';

import { exchange, post } from '../../fakes/cmp-client.ts';
import { sequence, utf8String } from '../../fakes/cmp-der.ts';
import { expectRefusal } from '../../fakes/cmp-expectations.ts';
import { type Body, ID_IT, info } from '../../fakes/cmp-message.ts';
import { type MacSecret, passwordBasedMac, type Protection, signature } from '../../fakes/cmp-protection.ts';
import { certRequests, genm, nested, p10cr, pkcs10, requestFor, rr } from '../../fakes/cmp-request.ts';
import { CmpResponse } from '../../fakes/cmp-response.ts';
import { newKey } from '../../fakes/cmp-signatures.ts';
import type { CmpSite } from '../../fakes/cmp-site.ts';

/** The rows of the table on transport. */
export function transportRows(theSite: () => CmpSite): void {
  describe('CMP: transport (RFC 9811)', () => {
    let site: CmpSite;
    let secret: MacSecret;
    beforeAll(async () => {
      site = theSite();
      secret = await site.secret();
    });

    const protect = (): Protection => passwordBasedMac(secret, { iterations: 200 });
    const question = (): Uint8Array => site.transaction('default', protect()).build(genm(info(ID_IT.caCerts)));

    it('CM-1 is POST with application/pkixcmp and 200 both for success and for refusal', async () => {
      for (const message of [question(), site.transaction('default').build(genm(info(ID_IT.caCerts)))]) {
        const answer = await post(site.peer(), message);
        expect(answer.status).toBe(200);
        expect(answer.headers['content-type']).toBe('application/pkixcmp');
        expect(Number(answer.headers['content-length'])).toBe(answer.body.length);
      }
      expect((await post(site.peer(), question(), { 'Content-Type': 'text/plain' })).status).toBe(415);
      expect((await post(site.peer(), question(), { 'Content-Encoding': 'gzip' })).status).toBe(415);
    });

    it.each([
      '/.well-known/cmp',
      '/.well-known/cmp/p/default',
      '/.well-known/cmp/p/default/getcacerts',
      '/.well-known/cmp/getcacerts',
      '/pkix/',
      '/pkix',
      '/ejbca/publicweb/cmp/default',
      '/app/cert/cmp2/',
    ])('CM-2 answers at %s', async (path) => {
      const response = await exchange({ url: site.server.plain + path }, question());
      expect(response.kind, response.summary).toBe('genp');
      expect((await post({ url: site.server.plain + path }, Buffer.from('?'))).status).toBe(200);
    });

    it('CM-2 each operation label takes its own requests alone', async () => {
      const key = newKey();
      const signer = await site.device('labels');
      const bodies: Readonly<Record<string, Body>> = {
        initialization: certRequests('ir', requestFor('CN=labels', key)),
        certification: certRequests('cr', requestFor('CN=labels', key)),
        keyupdate: certRequests('kur', requestFor('CN=labels', key)),
        pkcs10: p10cr(pkcs10({ subject: 'CN=labels', key })),
        getcacerts: genm(info(ID_IT.caCerts)),
        getcertreqtemplate: genm(info(ID_IT.certReqTemplate)),
        revocation: rr({ certificate: signer.certificate, reason: 0 }),
      };
      const send = (label: string, body: Body): Promise<CmpResponse> =>
        exchange(site.peer('default', label), site.transaction('default', signature(signer)).build(body));
      expectRefusal(await send('initialization', bodies['certification']!), 'badRequest');
      expectRefusal(await send('getcacerts', bodies['getcertreqtemplate']!), 'badRequest');
      expectRefusal(await send('nested', bodies['pkcs10']!), 'badRequest');
      expectRefusal(await send('revocation', nested(question())), 'badRequest');
      for (const [label, body] of Object.entries(bodies)) {
        expect((await send(label, body)).status?.status ?? 'accepted', label).toBe('accepted');
      }
      expect((await post(site.peer('default', 'no-such-operation'), question())).status).toBe(404);
      expect((await post(site.peer('no-such-label'), question())).status).toBe(404);
    });

    it('CM-3 speaks HTTP/1.0, and keeps a connection on which more is asked', async () => {
      const path = '/.well-known/cmp/p/default';
      const head = `Content-Type: application/pkixcmp\r\nContent-Length: `;
      const message = question();
      const old = await raw(`POST ${path} HTTP/1.0\r\n${head}${message.length}\r\n\r\n`, message, 1);
      expect(old).toHaveLength(1);
      const [first, second] = [question(), question()];
      const kept = await raw(`POST ${path} HTTP/1.1\r\nHost: x\r\n${head}${first.length}\r\n\r\n`, first, 2, second);
      expect(kept.map(({ kind }) => kind)).toEqual(['genp', 'genp']);
    });

    /** Sends a message, and a second one with the same head once the first is answered, over one socket. */
    async function raw(head: string, message: Uint8Array, answers: 1 | 2, next?: Uint8Array): Promise<CmpResponse[]> {
      const { hostname, port } = new URL(site.server.plain);
      const socket = connect(Number(port), hostname);
      socket.write(Buffer.concat([Buffer.from(head), message]));
      const found: CmpResponse[] = [];
      let received: Buffer = Buffer.alloc(0);
      for await (const chunk of socket) {
        received = Buffer.concat([received, chunk as Buffer]);
        const end = received.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(received.toString('latin1', 0, end))?.[1]);
        if (end < 0 || received.length < end + 4 + length) continue;
        found.push(new CmpResponse(received.subarray(end + 4, end + 4 + length)));
        received = received.subarray(end + 4 + length);
        if (found.length === answers) break;
        socket.write(Buffer.concat([Buffer.from(head.replace(/\d+\r\n\r\n$/, `${next!.length}\r\n\r\n`)), next!]));
      }
      socket.destroy();
      return found;
    }

    it('CM-4 application/pkixcmp-poll is the same, and an announcement is taken without an answer', async () => {
      const polled = await post(site.peer(), question(), { 'Content-Type': 'application/pkixcmp-poll' });
      expect(polled.status).toBe(200);
      expect(new CmpResponse(polled.body).kind).toBe('genp');
      const signer = await site.device('announces');
      for (const kind of ['ckuann', 'cann', 'rann', 'crlann'] as const) {
        const content = kind === 'cann' ? signer.certificate : sequence();
        const message = site.transaction('default', signature(signer)).build({ kind, content });
        const { status, body } = await post(site.peer(), message);
        expect([201, 202], kind).toContain(status);
        expect(body, kind).toHaveLength(0);
      }
    });

    it('CM-5 malformed DER is badDataFormat, and what is too large is 413', async () => {
      const whole = Buffer.from(question());
      const faulty: Readonly<Record<string, Uint8Array>> = {
        nothing: Buffer.alloc(0),
        text: Buffer.from('hello'),
        cut: whole.subarray(0, whole.length - 1),
        'trailing octet': Buffer.concat([whole, Buffer.from([0])]),
        'indefinite length': Buffer.concat([Buffer.from([0x30, 0x80]), whole.subarray(4), Buffer.alloc(2)]),
        'no body of this tag': site
          .transaction('default', protect())
          .build({ kind: 'unassigned', content: sequence() }),
      };
      for (const [fault, message] of Object.entries(faulty)) {
        const response = await exchange(site.peer(), message);
        expect(response.summary.replace(/ \(.*/, ''), fault).toBe('error rejection badDataFormat');
      }
      const inside = await exchange(
        site.peer(),
        site.transaction('default', protect()).build({ kind: 'cr', content: sequence(utf8String('no CertReqMsg')) }),
      );
      expectRefusal(inside, 'badDataFormat');
      expect(inside.isProtectedWith(secret)).toBe(true);
      expect((await post(site.peer(), Buffer.alloc(2 * 1024 * 1024, 0x30))).status).toBe(413);
    });
  });
}
