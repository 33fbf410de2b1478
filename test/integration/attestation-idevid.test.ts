import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { nameToText } from '../../core/x509/name.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import type { AlarmRow } from '../../devices/inventory/tables.ts';
import { buildMessage } from '../scep/device.ts';
import { ask } from '../fakes/scep-http.ts';
import { type FactoryDevice, type FactoryDeviceFiles, TestManufacturer } from '../fakes/test-manufacturer.ts';
import { readCertRep } from '../scep/reply.ts';
import { type CommandResult, run } from '../support/est-fixture.ts';
import { connection, rest, send } from '../support/installation.ts';
import { makeCsr, makeKey, publicKeyOf } from '../support/test-pki.ts';
import { AttestationSite } from './attestation-site.ts';

/** Show 3: clients that exist, with the identity their maker gave them, and nothing else. */
describe('a device with an IDevID', () => {
  let site: AttestationSite;
  const maker = new TestManufacturer();
  const forgiving = new TestManufacturer({ name: 'Forgiving Networks' });

  beforeAll(async () => {
    site = await AttestationSite.start();
    await site.anchor('idevid', maker.root.der, { manufacturer: 'Example Networks' });
    await site.anchor('idevid', forgiving.root.der, { manufacturer: 'Forgiving Networks', expiry: 'ignore-device' });
    const byIdentity = { authenticators: ['idevid'] };
    await site.endpoint({
      label: 'factory',
      protocols: { est: byIdentity, cmp: byIdentity, scep: byIdentity },
      attestation: 'enforce',
    });
    // strongSwan 5.9 reaches the default endpoint only.
    const opened = { protocols: { est: byIdentity }, attestation: 'enforce' };
    expect((await rest(site.server, 'PATCH', '/endpoints/default', opened)).status).toBe(200);
  });
  afterAll(async () => site[Symbol.asyncDispose]());

  const files = (device: FactoryDevice, from = maker): Promise<FactoryDeviceFiles> =>
    from.writeFiles(device, site.server.folder);
  const path = (name: string): string => join(site.server.folder, name);
  const rootFile = (): string => path('data/root.pem');

  async function newKey(name: string): Promise<string> {
    const file = path(`${name}.key`);
    await run('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file]);
    return file;
  }

  async function newRequest(name: string, serialNumber: string): Promise<string> {
    const file = path(`${name}.csr`);
    const subject = ['-subj', `/serialNumber=${serialNumber}/CN=${serialNumber}`];
    await run('openssl', ['req', '-new', '-key', await newKey(name), ...subject, '-outform', 'DER', '-out', file]);
    return file;
  }

  it('enrols with strongSwan by EST', async () => {
    const { certificate, key } = await files(maker.device('SWAN-1'));
    const request = await newRequest('swan', 'SWAN-1');
    // pki sends the certificates it is told of; the registrar knows the intermediate from nobody else.
    const { intermediate } = await files(maker.device('SWAN-1'));
    const server = ['--url', site.server.mtls, '--cacert', rootFile(), '--cacert', intermediate];
    const own = ['--in', request, '--cert', certificate, '--key', key, '--outform', 'der'];
    const result = await run('pki', ['--est', ...server, ...own]);
    expect(result.status, result.stderr).toBe(0);
    expect(nameToText(parseCertificate(result.stdout).subject)).toContain('SWAN-1');
  });

  it('enrols with openssl by EST: a TLS client and a request of HTTP', async () => {
    const { chain, certificate, key } = await files(maker.device('TLS-1'));
    const body = (await readFile(await newRequest('tls', 'TLS-1'))).toString('base64');
    const answer = await sClient([certificate, key, chain], 'factory', body);
    const [, base64 = ''] = answer.stdout.toString().split('\r\n\r\n');
    expect(answer.stdout.toString(), answer.stderr).toMatch(/^HTTP\/1\.[01] 200/);
    const [issued] = decodeCertsOnly(Buffer.from(base64, 'base64')).certificates;
    expect(nameToText(parseCertificate(issued!).subject)).toContain('TLS-1');
  });

  /** `openssl s_client` with the identity of a device, and one POST through it. */
  function sClient(
    [certificate = '', key = '', chain = '']: readonly string[],
    label: string,
    body: string,
  ): Promise<CommandResult> {
    const { host, port } = new URL(site.server.mtls);
    const request = [
      `POST /.well-known/est/${label}/simpleenroll HTTP/1.1`,
      `Host: ${host}`,
      'Content-Type: application/pkcs10',
      `Content-Length: ${body.length}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n');
    const identity = ['-cert', certificate, '-key', key, '-cert_chain', chain];
    const trust = ['-CAfile', rootFile(), '-verify_return_error'];
    return run('openssl', ['s_client', '-quiet', '-connect', `localhost:${port}`, ...identity, ...trust], request);
  }

  const cmp = async (device: FactoryDevice, name: string, from = maker): Promise<CommandResult> => {
    const { certificate, key, intermediate } = await files(device, from);
    const { host } = new URL(site.server.plain);
    const server = ['-server', host, '-path', '.well-known/cmp/p/factory', '-total_timeout', '15'];
    const trust = ['-trusted', rootFile(), '-cert', certificate, '-key', key, '-extracerts', intermediate];
    const asked = ['-newkey', await newKey(name), '-subject', `/CN=${device.serialNumber}`, '-implicit_confirm'];
    const saved = ['-certout', path(`${name}.pem`)];
    return run('openssl', ['cmp', '-config', '', '-cmd', 'ir', '-batch', ...server, ...trust, ...asked, ...saved]);
  };

  it('enrols with openssl by CMP', async () => {
    const result = await cmp(maker.device('CMP-1'), 'cmp');
    expect(result.status, result.stderr).toBe(0);
    const verified = await run('openssl', ['x509', '-in', path('cmp.pem'), '-noout', '-subject']);
    expect(verified.stdout.toString()).toContain('CMP-1');
  });

  it('enrols by SCEP, its IDevID signing the message', async () => {
    const { idevid, chain } = maker.device('SCEP-1');
    const url = `${site.server.plain}/scep/factory`;
    const [recipient] = decodeCertsOnly((await ask(`${url}?operation=GetCACert`, { headers: {} })).body).certificates;
    const key = makeKey();
    const message = await buildMessage({
      messageType: '17',
      signer: idevid,
      certificates: chain,
      content: makeCsr({ key, subject: 'CN=SCEP-1' }).der,
      recipient: recipient!,
    });
    const headers = { 'Content-Type': 'application/x-pki-message' };
    const reply = readCertRep((await ask(`${url}?operation=PKIOperation`, { headers, body: message })).body);
    expect(reply.pkiStatus, reply.failInfoText).toBe('0');
    const [issued] = await site.server.certificatesOf('SCEP-1');
    expect(publicKeysEqual(parseCertificate(issued!.der).publicKey, publicKeyOf(key))).toBe(true);
  });

  it('speaks for itself alone', async () => {
    const device = maker.device('SELF-1');
    const renamed = await cmp({ ...device, serialNumber: 'SELF-1' }, 'self');
    expect(renamed.status, renamed.stderr).toBe(0);
    const { status, text } = await enrolByEst(device, 'OTHER-1');
    expect(status).toBe(403);
    expect(text).toMatch(/must name the device/);
  });

  async function enrolByEst({ idevid, chain }: FactoryDevice, serialNumber: string, key = makeKey()) {
    const agent = connection(site.server, { der: idevid.der, privateKey: idevid.privateKey, chain: chain.slice(1) });
    const answer = await send(site.server, `${site.server.mtls}/.well-known/est/factory/simpleenroll`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/pkcs10' },
      body: makeCsr({ key, subject: `CN=${serialNumber}` }).der,
      agent,
    });
    agent.destroy();
    return answer;
  }

  it('raises the alarm when it comes a second time with another key', async () => {
    const device = maker.device('TWIN-1');
    expect((await enrolByEst(device, 'TWIN-1')).status).toBe(200);
    const before = await alerts();
    expect((await enrolByEst(device, 'TWIN-1')).status).toBe(200);
    const raised = (await alerts()).slice(before.length);
    expect(raised.map(({ kind }) => kind)).toEqual(['identity-cloned']);
    await site.attestation('factory', { oneTime: true });
    const third = await enrolByEst(device, 'TWIN-1');
    expect(third.status).toBe(403);
    expect(third.text).toContain('identity-used');
    await site.attestation('factory', { oneTime: false });
  });

  const alerts = (): Promise<AlarmRow[]> =>
    site.server.server.kernel.store
      .read<{ device_alarms: AlarmRow }>()
      .selectFrom('device_alarms')
      .selectAll()
      .orderBy('id')
      .execute();

  it('is refused when it is over, unless its maker means it for life', async () => {
    const over = { notAfter: new Date('2024-01-01T00:00:00Z') };
    const refused = await enrolByEst(maker.device('OVER-1', over), 'OVER-1');
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('idevid-expired');
    const taken = await enrolByEst(forgiving.device('OVER-2', over), 'OVER-2');
    expect(taken.status, taken.text).toBe(200);
    const byCmp = await cmp(maker.device('OVER-3', over), 'over');
    expect(byCmp.status).not.toBe(0);
    expect(byCmp.stdout.toString() + byCmp.stderr).toContain('idevid-expired');
  });

  it('of a maker that nobody knows means nothing', async () => {
    const stranger = new TestManufacturer({ name: 'Nobody Networks' });
    expect((await enrolByEst(stranger.device('X-1'), 'X-1')).status).toBe(403);
  });

  /** Show 4: one switch, between two runs of the same device. */
  it('is let in or refused by one switch, which changes the decision and nothing else of the verdict', async () => {
    await site.endpoint({ label: 'switched', protocols: { est: {} }, attestation: 'enforce' });
    const { idevid, chain } = maker.device('SWITCH-1', { notAfter: new Date('2024-01-01T00:00:00Z') });
    const body = makeCsr({ subject: 'CN=SWITCH-1' }).der;
    const attempt = async () => {
      const authorization = `any:${await site.server.password('switched')}`;
      const agent = connection(site.server, { der: idevid.der, privateKey: idevid.privateKey, chain: chain.slice(1) });
      const answer = await send(site.server, `${site.server.mtls}/.well-known/est/switched/simpleenroll`, {
        method: 'POST',
        body,
        headers: {
          'Content-Type': 'application/pkcs10',
          Authorization: `Basic ${Buffer.from(authorization).toString('base64')}`,
        },
        agent,
      });
      agent.destroy();
      return answer;
    };
    const refused = await attempt();
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('idevid-expired');
    await site.attestation('switched', 'observe');
    const observed = await attempt();
    expect(observed.status, observed.text).toBe(200);
    const [enforced, flagged] = (await site.verdicts()).slice(-2);
    expect(flagged).toMatchObject({ verdict: 'refused', decision: 'observed', faults: '["idevid-expired"]' });
    // Rows of two occasions; what was appraised, and what came of it, is one and the same.
    const occasion = ['id', 'mode', 'decision', 'enrollment', 'created_at', 'decided_at', 'used_at'];
    const verdictOf = (row: object): object =>
      Object.fromEntries(Object.entries(row).filter(([column]) => !occasion.includes(column)));
    expect(verdictOf(flagged!)).toEqual(verdictOf(enforced!));
    expect(enforced).toMatchObject({ mode: 'enforce', decision: 'refused' });
  });
});
