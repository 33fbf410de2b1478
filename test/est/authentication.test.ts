import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { certificateFingerprint, parseCertificate } from '../../core/x509/certificate.ts';
import { nameToText } from '../../core/x509/name.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { type EstFixture, startEst } from '../support/est-fixture.ts';
import { makeCsr, TestAuthority } from '../support/test-pki.ts';
import { type Answer, basic, connection, enroll } from './est-client.ts';

describe('authentication and renewal', () => {
  let est: EstFixture;

  beforeAll(async () => {
    est = await startEst();
    est.credentials.addPassword('secret-of-r1', 'r1');
  });
  afterAll(async () => est[Symbol.asyncDispose]());

  const device = { subject: 'CN=router1', san: ['dns:router1.example'] };

  it('renews with the certificate presented, and looks up its status at each request (ES-9, ES-12, V4)', async () => {
    const leaf = est.issuing.leaf(device);
    const agent = connection(est, leaf);
    const before = est.credentials.certificateChecks;
    expect((await enroll(est, 'simplereenroll', makeCsr(device).der, { agent })).status).toBe(200);
    expect((await enroll(est, 'simplereenroll', makeCsr(device).der, { agent })).status).toBe(200);
    expect(est.hall.requests.at(-1)).toMatchObject({ operation: 'renew' });
    est.credentials.revoked.add(certificateFingerprint(leaf.der));
    const revoked = await enroll(est, 'simplereenroll', makeCsr(device).der, { agent });
    agent.destroy();
    expect(revoked.status).toBe(403);
    expect(revoked.text).toMatch(/revoked/);
    expect(est.credentials.certificateChecks - before).toBe(3);
  });

  it.each([
    ['another subject', { subject: 'CN=router2', san: ['dns:router1.example'] }],
    ['another subjectAltName', { subject: 'CN=router1', san: ['dns:router2.example'] }],
    ['no subjectAltName', { subject: 'CN=router1' }],
  ])('refuses to renew with %s (ES-12, E8, V10)', async (_what, request) => {
    const agent = connection(est, est.issuing.leaf(device));
    const answer = await enroll(est, 'simplereenroll', makeCsr(request).der, { agent });
    agent.destroy();
    expect(answer.status).toBe(403);
    expect(answer.text).toMatch(/subject/);
  });

  it('renews nothing without a client certificate, whatever the password', async () => {
    const answer = await enroll(est, 'simplereenroll', makeCsr(device).der, { headers: basic('r1', 'secret-of-r1') });
    expect(answer.status).toBe(403);
    expect(answer.headers).not.toHaveProperty('WWW-Authenticate');
  });

  it('renews nothing with a certificate of another authority (ES-12, V10)', async () => {
    const agent = connection(est, est.factory.leaf(device));
    const answer = await enroll(est, 'simplereenroll', makeCsr(device).der, { agent });
    agent.destroy();
    expect(answer.status).toBe(403);
  });

  it('renews by simpleenroll and the old certificate (E8)', async () => {
    const agent = connection(est, est.issuing.leaf(device));
    expect((await enroll(est, 'simpleenroll', makeCsr(device).der, { agent })).status).toBe(200);
    const other = await enroll(est, 'simpleenroll', makeCsr({ subject: 'CN=router9' }).der, { agent });
    agent.destroy();
    expect(other.status).toBe(403);
  });

  it('enrols a factory certificate that never expires (E10)', async () => {
    const idevid = est.factory.leaf({ subject: 'CN=X,serialNumber=SN1', notAfter: new Date('9999-12-31T23:59:59Z') });
    const agent = connection(est, idevid);
    const answer = await enroll(est, 'simpleenroll', makeCsr({ subject: 'serialNumber=SN1' }).der, { agent });
    agent.destroy();
    expect(answer.status).toBe(200);
  });

  const stranger = TestAuthority.root({ name: 'CN=Stranger' }).leaf({ subject: 'CN=router1' });

  it('does not let an unknown certificate spoil a good password, nor serve without one', async () => {
    const agent = connection(est, stranger);
    const csr = makeCsr({ subject: 'CN=fresh1' }).der;
    expect((await enroll(est, 'simpleenroll', csr, { agent, headers: basic('r1', 'secret-of-r1') })).status).toBe(200);
    const alone = await enroll(est, 'simpleenroll', csr, { agent });
    const withWrong = await enroll(est, 'simpleenroll', csr, { agent, headers: basic('r1', 'wrong') });
    agent.destroy();
    expect([alone.status, withWrong.status]).toEqual([403, 401]);
    expect(alone.text).toMatch(/anchor/);
  });

  it('does not let a stale password spoil a good certificate', async () => {
    const agent = connection(est, est.issuing.leaf(device));
    const answer = await enroll(est, 'simpleenroll', makeCsr(device).der, { agent, headers: basic('r1', 'stale') });
    agent.destroy();
    expect(answer.status).toBe(200);
    expect(est.hall.requests.at(-1)?.facts.map(({ kind }) => kind)).toEqual(['tls-certificate']);
  });

  it('hands all facts to the hall', async () => {
    const agent = connection(est, est.issuing.leaf(device));
    await enroll(est, 'simpleenroll', makeCsr({ subject: 'CN=r7' }).der, {
      agent,
      headers: basic('r1', 'secret-of-r1'),
    });
    agent.destroy();
    expect(est.hall.requests.at(-1)?.facts.map(({ kind }) => kind)).toEqual(['tls-certificate', 'password']);
  });

  it('lets a registration authority enrol other subjects', async () => {
    const authority = est.issuing.leaf({ subject: 'CN=gateway', eku: [KEY_PURPOSE.clientAuth, KEY_PURPOSE.cmcRA] });
    const agent = connection(est, authority);
    const names = ['CN=a', 'CN=b'];
    const subjects: string[] = [];
    for (const subject of names) {
      subjects.push(subjectOf(await enroll(est, 'simpleenroll', makeCsr({ subject }).der, { agent })));
    }
    agent.destroy();
    expect(subjects).toEqual(names);
  });

  it('spends a one-time password on its first request', async () => {
    const headers = basic('anybody', est.credentials.addPassword('one-time'));
    const csr = makeCsr({ subject: 'CN=once' }).der;
    const answers = [
      await enroll(est, 'simpleenroll', csr, { headers }),
      await enroll(est, 'simpleenroll', csr, { headers }),
      await enroll(est, 'simpleenroll', makeCsr({ subject: 'CN=twice' }).der, { headers }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 401]);
    expect(answers[1]?.body).toEqual(answers[0]?.body);
  });
});

function subjectOf(answer: Answer): string {
  const [certificate] = decodeCertsOnly(Buffer.from(answer.text, 'base64')).certificates;
  return nameToText(parseCertificate(certificate!).subject);
}
