import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { insertAuthority } from '../../core/authority/authorities.ts';
import { createIssuing } from '../../core/authority/authority-creation.ts';
import type { AuthorityTables } from '../../core/authority/tables.ts';
import { decodeCertsOnly, parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { nameFromText, nameToText } from '../../core/x509/name.ts';
import { encodeCertificateReference } from '../../protocols/scep/certificate-reference.ts';
import { makeKey } from '../support/test-pki.ts';
import { selfSigned, type Signer } from './device.ts';
import { openReply } from './reply.ts';
import { ScepSite } from './scep-site.ts';

let site: ScepSite;
let device: Signer;
let certificate: Certificate;
let other: Signer;

beforeAll(async () => {
  site = await ScepSite.start();
  device = await site.enrolled('router1');
  certificate = parseCertificate(device.der);
  other = await site.enrolled('router2', 'default', { key: makeKey('ec-p256') });
});
afterAll(async () => site[Symbol.asyncDispose]());

const referenceTo = ({ issuer, serialNumberOctets }: Certificate): Uint8Array =>
  encodeCertificateReference(issuer, serialNumberOctets);
const stranger = (): Signer => selfSigned({ subject: 'CN=stranger', key: makeKey('ec-p256') });

describe('GetCert (SC-36)', () => {
  const ask = (signer: Signer, content = referenceTo(certificate), label = 'default') =>
    site.send({ messageType: '21', signer, content, transactionId: 'query' }, label);

  it('fetches a certificate for its own key, whatever certificate signs, and for other devices of ours', async () => {
    const ownKey = selfSigned({ subject: 'CN=router1', key: device.privateKey });
    for (const signer of [device, ownKey, other]) {
      const reply = await ask(signer);
      expect(reply.pkiStatus).toBe('0');
      expect((await openReply(reply, signer)).certificates.map(Buffer.from)).toEqual([Buffer.from(device.der)]);
    }
  });

  it('is badCertId for what does not exist, for another issuer, and for who may not see it', async () => {
    const unknown = encodeCertificateReference(certificate.issuer, Uint8Array.of(0x12, 0x34));
    const foreign = encodeCertificateReference(nameFromText('CN=other CA'), certificate.serialNumberOctets);
    for (const [signer, content] of [
      [device, unknown],
      [device, foreign],
      [stranger(), referenceTo(certificate)],
    ] as const) {
      expect(await ask(signer, content)).toMatchObject({ pkiStatus: '2', failInfo: '4' });
    }
  });

  it('crosses no border between tenants, and believes no revoked certificate (V6)', async () => {
    const { tenant } = await site.composed.addTenant('neighbour');
    await site.addEndpointOf(tenant.name, 'theirs');
    expect(await ask(device, referenceTo(certificate), 'theirs')).toMatchObject({ pkiStatus: '2', failInfo: '4' });
    const revoked = await site.enrolled('router3', 'default', { key: makeKey('ec-p256') });
    await site.revoke(revoked.der);
    expect(await ask(revoked)).toMatchObject({ pkiStatus: '2', failInfo: '4' });
  });
});

describe('GetCRL (SC-37)', () => {
  it('brings the CRL of the authority that the certificate names, alone, to anybody', async () => {
    const revoked = await site.enrolled('router4');
    await site.revoke(revoked.der);
    const signer = stranger();
    const reply = await site.send({ messageType: '22', signer, content: referenceTo(certificate) });
    const { certificates, crls } = await openReply(reply, signer);
    expect(certificates).toEqual([]);
    const crl = parseCertificateList(crls[0]!);
    expect(nameToText(crl.issuer)).toBe(nameToText(certificate.issuer));
  });

  it('is badCertId for another issuer', async () => {
    const content = encodeCertificateReference(nameFromText('CN=other CA'), Uint8Array.of(1));
    const reply = await site.send({ messageType: '22', signer: stranger(), content });
    expect(reply).toMatchObject({ pkiStatus: '2', failInfo: '4', envelope: new Uint8Array() });
  });
});

describe('GetNextCACert (SC-10)', () => {
  it('is announced and answered, signed by the RA, once the authority retires and another one is there', async () => {
    const { store, endpoints } = site.kernel;
    const { tenant, authority } = (await endpoints.resolve('default'))!;
    const rows = await store.forTenant<AuthorityTables>(tenant).selectFrom('authorities').selectAll().execute();
    const root = rows.find(({ kind }) => kind === 'root')!;
    const [token] = site.composed.server.keys.health();
    const successor = await createIssuing(
      site.composed.server.keys,
      root,
      {
        tenant,
        token: token!.label,
        name: 'issuing 2',
        subject: nameFromText('CN=default issuing CA 2,O=Muster'),
        keyAlgorithm: 'ec-p256',
        validitySeconds: 86_400 * 365,
        crlShards: 1,
      },
      Date.now(),
    );
    await store.unit((tx) => insertAuthority(tx, successor));
    expect((await site.get('default?operation=GetCACaps')).text).not.toContain('GetNextCACert');
    await store.unit((tx) =>
      tx
        .forTenant<AuthorityTables>(tenant)
        .updateTable('authorities', { state: 'retiring' })
        .where('id', '=', authority)
        .execute(),
    );
    expect((await site.get('default?operation=GetCACaps')).text).toContain('GetNextCACert\n');
    const { status, headers, body } = await site.get('default?operation=GetNextCACert');
    expect([status, headers['content-type']]).toEqual([200, 'application/x-x509-next-ca-cert']);
    const verdict = verifySignedData(parseSignedData(body));
    if (!verdict.ok) throw new TypeError(verdict.detail);
    expect(Buffer.from(verdict.signerCertificate)).toEqual(Buffer.from(await site.recipient()));
    const [next] = decodeCertsOnly(verdict.content).certificates;
    expect(Buffer.from(next!)).toEqual(Buffer.from(successor.certificate));
  });
});
