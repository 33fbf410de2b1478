import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { distributionPointUrls } from '../../core/x509/distribution-points.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { ocspRequest, readOcspResponse } from '../status/ocsp-messages.ts';
import {
  api,
  basic,
  certificateOf,
  createPassword,
  enroll,
  type Listed,
  type ListedCertificate,
  send,
} from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { P11_KIT_CLIENT, P11KitServer } from '../support/p11-kit.ts';
import { type PrivateSoftHsm, privateSoftHsm } from '../support/softhsm.ts';
import { makeCsr } from '../support/test-pki.ts';

const TRY_LATER = 3;

describe('the status services of a server whose HSM is taken away', () => {
  let softHsm: PrivateSoftHsm;
  let hsm: P11KitServer;
  let server: MusterServer;
  let authority: string;
  let issuer: Certificate;

  beforeAll(async () => {
    softHsm = await privateSoftHsm('status');
    hsm = new P11KitServer(softHsm.directory, softHsm.module);
    await hsm.start();
    const tokens = [{ label: softHsm.label, module: P11_KIT_CLIENT, pin: 'env:STATUS_PIN' }];
    process.env['STATUS_PIN'] = softHsm.pin.reveal();
    server = await MusterServer.start({ configuration: JSON.stringify({ tokens }) });
    const { certificate, id } = await device('first');
    authority = (await api<{ authority: string }>(server, 'GET', `/certificates/${id}`)).authority;
    const der = await (await fetch(`${server.plain}/ca/${authority}.cer`)).arrayBuffer();
    issuer = parseCertificate(new Uint8Array(der));
    expect(await status(certificate)).toBe('good');
  });
  afterAll(async () => {
    delete process.env['STATUS_PIN'];
    await server[Symbol.asyncDispose]();
    await hsm[Symbol.asyncDispose]();
    await softHsm.remove();
  });

  async function device(name: string): Promise<{ certificate: Certificate; id: string }> {
    const headers = basic('any', await createPassword(server));
    const certificate = certificateOf(
      await enroll(server, 'simpleenroll', makeCsr({ subject: `CN=${name}` }).der, { headers }),
    );
    const query = `/certificates?serialNumber=${certificate.serialNumber}`;
    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', query);
    return { certificate, id: items[0]!.id };
  }
  async function status({ serialNumber }: Certificate): Promise<string | number> {
    const text = encodeURIComponent(ocspRequest(issuer, [serialNumber]).toString('base64'));
    const response = await fetch(`${server.plain}/ocsp/${authority}/${text}`);
    expect(response.status).toBe(200);
    const answer = readOcspResponse(new Uint8Array(await response.arrayBuffer()));
    return answer.responses[0]?.status ?? answer.status;
  }
  /** The value of a metric: the first whose line begins so. */
  async function metric(name: string): Promise<number> {
    const headers = { Authorization: `Bearer ${server.adminToken}` };
    const { body } = await send(server, `${server.admin}/metrics`, { headers });
    const line = body
      .toString()
      .split('\n')
      .find((each) => each.startsWith(name));
    return Number(line?.split(' ').at(-1));
  }
  const revoke = (id: string): Promise<unknown> =>
    api(server, 'POST', `/certificates/${id}/revoke`, { reason: 'keyCompromise' });
  const fullCrl = async () => {
    const response = await fetch(`${server.plain}/crl/${authority}.crl`);
    return { status: response.status, list: parseCertificateList(new Uint8Array(await response.arrayBuffer())) };
  };

  it.each<[string, () => Promise<void>, () => Promise<void>]>([
    ['gone', () => hsm.kill(), () => hsm.start()],
    ['hung', async () => hsm.stop(), async () => hsm.resume()],
  ])(
    '%s: go on until nextUpdate with what they hold, never with a wrong good, and recover by themselves',
    async (name, take, give) => {
      const [held, other, gone] = [
        await device(`held-${name}`),
        await device(`other-${name}`),
        await device(`gone-${name}`),
      ];
      expect(await status(held.certificate)).toBe('good');
      expect(await status(gone.certificate)).toBe('good');
      const before = await fullCrl();
      await take();
      expect(await status(held.certificate)).toBe('good');
      expect(await status(other.certificate)).toBe(TRY_LATER);
      await revoke(gone.id);
      expect(await status(gone.certificate)).toBe(TRY_LATER);
      const during = await fullCrl();
      expect(during.status).toBe(200);
      expect(EXTENSIONS.crlNumber.find(during.list.extensions)).toBe(EXTENSIONS.crlNumber.find(before.list.extensions));
      expect((await fetch(`${server.plain}/readyz`)).status).toBe(503);
      expect(await metric('muster_hsm_token_up')).toBe(0);
      expect(await metric('muster_ocsp_responses_total{source="tryLater"}')).toBeGreaterThan(0);
      await give();
      await expect.poll(() => status(gone.certificate), { timeout: 10_000 }).toBe('revoked');
      expect(await status(other.certificate)).toBe('good');
      const points = EXTENSIONS.crlDistributionPoints.find(gone.certificate.extensions)!;
      const { pathname } = new URL(distributionPointUrls(points)[0]!);
      const listed = async (): Promise<readonly string[]> => {
        const response = await fetch(`${server.plain}${pathname}`);
        if (response.status !== 200) return [];
        return parseCertificateList(new Uint8Array(await response.arrayBuffer())).entries.map(
          ({ serialNumber }) => serialNumber,
        );
      };
      await expect.poll(listed, { timeout: 15_000 }).toContain(gone.certificate.serialNumber);
      expect((await fetch(`${server.plain}/readyz`)).status).toBe(200);
      expect(await metric('muster_hsm_token_up')).toBe(1);
    },
  );

  it('said so', async () => {
    await expect.poll(() => server.output).toContain('"event":"crl.overdue"');
    expect(server.runs).toBe(true);
  });
});
