import { X509Certificate } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encodeAttestationBundle } from '../../core/x509/attestation-bundle.ts';
import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { extendedKeyUsage, parseCertificate, subjectAltName } from '../../core/x509/certificate.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { publicKeysEqual } from '../../core/x509/public-key.ts';
import { integer, sequence } from '../fakes/cmp-der.ts';
import { info } from '../fakes/cmp-message.ts';
import { passwordBasedMac } from '../fakes/cmp-protection.ts';
import { genm, p10cr } from '../fakes/cmp-request.ts';
import type { TpmKey } from '../fakes/swtpm-device.ts';
import { tpmRequest } from '../fakes/tpm-evidence.ts';
import { TpmManufacturer } from '../fakes/tpm-manufacturer.ts';
import { APPLICATION_KEY_ATTRIBUTES, pcrs } from '../fakes/tpm-templates.ts';
import { type Answer, type ClientCertificate, connection, send } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';
import { AttestationSite } from './attestation-site.ts';
import { type Attempt, subjectOf, TpmClient } from './attestation-tpm-client.ts';

const AK_LABEL = 'attestation-keys';
const LABEL = 'attested';
const NONCE_TYPES = { request: '1.3.6.1.5.5.7.4.98', response: '1.3.6.1.5.5.7.4.99' };

/** Show 1: real TPM code, from the EK certificate to the device's certificate, by each protocol. */
describe('a device with a TPM', () => {
  let site: AttestationSite;
  let client: TpmClient;
  let ak: TpmKey;
  let akPath: readonly Uint8Array[];
  let made = 0;

  beforeAll(async () => {
    site = await AttestationSite.start();
    const maker = new TpmManufacturer();
    await site.anchor('ek', maker.root.der);
    await site.anchor('attestation-ca', site.root.der);
    const door = { requestsPerMinute: 0 };
    await site.endpoint({
      label: AK_LABEL,
      profile: 'attestation-key',
      protocols: { attestation: { ...door, services: ['attestation-key'] } },
    });
    await site.endpoint({
      label: LABEL,
      protocols: {
        est: { authenticators: ['password', 'ra'] },
        acme: { externalAccount: 'optional', identifiers: ['permanent-identifier'], challenges: ['device-attest-01'] },
        cmp: { nonceTypes: NONCE_TYPES },
        scep: {},
        attestation: { ...door, services: ['ticket'] },
      },
      attestation: 'enforce',
    });
    client = await TpmClient.start(site, maker);
    ak = await client.tpm.createAttestationKey();
    akPath = await client.certifyAttestationKey(AK_LABEL, ak);
  }, 60_000);
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const certificates = () => akPath.map(parseCertificate);
  const newKey = () => client.tpm.createApplicationKey();
  const newName = () => `device-${(made += 1)}`;

  /** The four ways a device shows evidence. */
  const carriers = {
    'EST simpleenroll': (key, bundle) => client.byEst(LABEL, key, `CN=${newName()}`, bundle),
    'CMP p10cr': (key, bundle) => client.byP10cr(LABEL, key, `CN=${newName()}`, bundle),
    'CMP ir': (key, bundle) => client.byIr(LABEL, key, `CN=${newName()}`, bundle),
    'SCEP with a ticket': async (key, bundle) => {
      const name = `urn:ek:sha256:${await ekHash()}`;
      return client.byScep(LABEL, key, name, encodeAttestationBundle(bundle));
    },
  } satisfies Record<string, (key: TpmKey, bundle: Awaited<ReturnType<TpmClient['bundle']>>) => Promise<Attempt>>;
  type Carrier = keyof typeof carriers;
  const CARRIERS: readonly Carrier[] = ['EST simpleenroll', 'CMP p10cr', 'CMP ir', 'SCEP with a ticket'];

  const ekHash = async (): Promise<string> => {
    const digest = await crypto.subtle.digest('SHA-256', Buffer.from(client.ek.publicKey.der));
    return Buffer.from(digest).toString('base64');
  };

  it('has its attestation key certified once its TPM has released the secret', async () => {
    const [leaf, issuing] = certificates();
    expect(publicKeysEqual(leaf!.publicKey, ak.publicKey)).toBe(true);
    expect(leaf!.subject.rdns).toEqual([]);
    expect(extendedKeyUsage(leaf!)).toEqual(['2.23.133.8.3']);
    const urn = `urn:ek:sha256:${await ekHash()}`;
    expect(subjectAltName(leaf!).map(generalNameToText)).toEqual([
      expect.stringContaining('2.23.133.2.3=#'),
      `permanentid:${urn};`,
      `uri:${urn}`,
    ]);
    const verified = new X509Certificate(leaf!.der).verify(new X509Certificate(issuing!.der).publicKey);
    expect(verified).toBe(true);
  });

  it.each(CARRIERS)('gets its certificate by %s', async (carrier) => {
    const key = await newKey();
    const nonce = await site.nonce(LABEL);
    const { certificate, told } = await carriers[carrier](
      key,
      await client.bundle(key, ak, nonce, { certificates: certificates() }),
    );
    expect(certificate, told).toBeDefined();
    expect(publicKeysEqual(parseCertificate(certificate!).publicKey, key.publicKey)).toBe(true);
    expect((await site.verdicts()).at(-1)).toMatchObject({ verdict: 'affirmed', decision: 'admitted', faults: '[]' });
  });

  it('needs no certificate of an attestation key that was activated here', async () => {
    const key = await newKey();
    const { certificate, told } = await client.byEst(
      LABEL,
      key,
      `CN=${newName()}`,
      await client.bundle(key, ak, await site.nonce(LABEL)),
    );
    expect(certificate, told).toBeDefined();
  });

  /** What must not pass, with the code that the device and the operator read. */
  const FAULTS: Readonly<
    Record<
      string,
      { code: string; make: () => Promise<{ key: TpmKey; bundle: Awaited<ReturnType<TpmClient['bundle']>> }> }
    >
  > = {
    'a wrong attestation key': {
      code: 'tpm-signature',
      async make() {
        const key = await newKey();
        const other = await client.tpm.createAttestationKey();
        const nonce = await site.nonce(LABEL);
        return { key, bundle: await client.bundle(key, other, nonce, { certificates: certificates() }) };
      },
    },
    'an unrestricted attestation key': {
      code: 'ak-unknown',
      async make() {
        const key = await newKey();
        const forger = await client.tpm.createAttestationKey({ attributes: APPLICATION_KEY_ATTRIBUTES });
        return { key, bundle: await client.bundle(key, forger, await site.nonce(LABEL)) };
      },
    },
    'an old nonce': {
      code: 'nonce-not-ours',
      async make() {
        const key = await newKey();
        const nonce = await site.nonce(LABEL);
        const used = await client.byEst(LABEL, key, `CN=${newName()}`, await client.bundle(key, ak, nonce));
        expect(used.certificate, used.told).toBeDefined();
        return { key, bundle: await client.bundle(key, ak, nonce) };
      },
    },
    'another key in the request': {
      code: 'key-is-another',
      async make() {
        const attested = await newKey();
        return { key: await newKey(), bundle: await client.bundle(attested, ak, await site.nonce(LABEL)) };
      },
    },
    'a quote over no PCRs': {
      code: 'quote-no-pcrs',
      async make() {
        const key = await newKey();
        const nonce = await site.nonce(LABEL);
        const quote = { ...(await client.tpm.quote(ak, pcrs([]), nonce)), pcrValues: [] };
        return { key, bundle: await client.bundle(key, ak, nonce, { quote }) };
      },
    },
  };

  it.each(CARRIERS.flatMap((carrier) => Object.keys(FAULTS).map((fault) => [carrier, fault] as const)))(
    'is refused by %s with %s',
    async (carrier, fault) => {
      const { code, make } = FAULTS[fault]!;
      const { key, bundle } = await make();
      const { certificate, told } = await carriers[carrier](key, bundle);
      expect(certificate).toBeUndefined();
      expect(told).toContain(code);
    },
  );

  it('has no unrestricted key activated', async () => {
    const forger = await client.tpm.createAttestationKey({ attributes: APPLICATION_KEY_ATTRIBUTES });
    const answer = await client.register(AK_LABEL, forger);
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ reason: 'evidence-refused', findings: ['ak-not-restricted'] });
  });

  it('is not activated twice by one secret, nor by a guess', async () => {
    const { json } = await client.register(AK_LABEL, await client.tpm.createAttestationKey());
    expect(json.credential).toBeTypeOf('string');
    const guessed = await site.ask(AK_LABEL, 'secret', { secret: new Uint8Array(32) });
    expect(guessed.status).toBe(403);
    expect(guessed.json.findings).toEqual(['ak-activation-unknown']);
  });

  it('is refused without evidence', async () => {
    const key = await newKey();
    for (const attempt of [
      await client.byEst(LABEL, key, `CN=${newName()}`),
      await client.byP10cr(LABEL, key, `CN=${newName()}`),
      await client.byIr(LABEL, key, `CN=${newName()}`),
    ]) {
      expect(attempt.certificate).toBeUndefined();
      expect(attempt.told).toMatch(/asks for attestation evidence/);
    }
  });

  it('gets its certificate by ACME device-attest-01', async () => {
    const key = await newKey();
    const { certificate, told } = await client.byAcme(LABEL, key, ak, certificates());
    expect(certificate, told).toBeDefined();
    expect(publicKeysEqual(parseCertificate(certificate!).publicKey, key.publicKey)).toBe(true);
  });

  it.each<readonly [string, string, () => Promise<Attempt>]>([
    [
      'a wrong attestation key',
      'tpm-signature',
      async () => client.byAcme(LABEL, await newKey(), await client.tpm.createAttestationKey(), certificates()),
    ],
    [
      'an old nonce',
      'nonce-mismatch',
      async () => client.byAcme(LABEL, await newKey(), ak, certificates(), { keyAuthorization: 'of.another-order' }),
    ],
    [
      'another key in the request',
      'badCSR',
      async () => client.byAcme(LABEL, await newKey(), ak, certificates(), { attested: await newKey() }),
    ],
  ])('is refused by ACME with %s', async (_what, code, attempt) => {
    const { certificate, told } = await attempt();
    expect(certificate).toBeUndefined();
    expect(told).toContain(code);
  });

  it('may carry its evidence in the request of SCEP itself', async () => {
    const key = await newKey();
    const bundle = await client.bundle(key, ak, await site.nonce(LABEL));
    const name = newName();
    const challenge = await site.server.password(LABEL);
    const { certificate, told } = await client.scepWith(LABEL, key, `CN=${name}`, challenge, bundle);
    expect(certificate, told).toBeDefined();
    const without = await site.server.password(LABEL);
    expect((await client.scepWith(LABEL, await newKey(), `CN=${newName()}`, without)).certificate).toBeUndefined();
  });

  it.each(['lightweight', 'tolerant'])(
    'asks for its nonce by CMP, and goes on in the same transaction (%s)',
    async (conformance) => {
      const label = `cmp-${conformance}`;
      await site.endpoint({
        label,
        protocols: { cmp: { conformance, nonceTypes: NONCE_TYPES } },
        attestation: 'enforce',
      });
      const protect = passwordBasedMac(await site.cmp.secret(label, 'one-time'), { iterations: 500 });
      const transaction = site.cmp.transaction(label, protect, { implicitConfirm: true });
      const asked = await transaction.send(genm(info(NONCE_TYPES.request, sequence(integer(32)))));
      const [nonce, expiry] = asked.infos.get(NONCE_TYPES.response)!.children;
      expect(nonce!.contents).toHaveLength(32);
      expect(expiry!.contents.readUIntBE(0, expiry!.contents.length)).toBe(600);
      const key = await newKey();
      const bundle = await client.bundle(key, ak, nonce!.contents);
      const request = await tpmRequest(client.tpm, key, { subject: `CN=${newName()}`, bundle });
      const answer = await transaction.send(p10cr(request));
      expect(answer.status?.status, answer.summary).toBe('accepted');
      const wrong = await site.cmp
        .transaction(label, protect)
        .send(genm(info(NONCE_TYPES.request, sequence(integer(4)))));
      expect(wrong.summary).toMatch(/badDataFormat/);
    },
  );

  it('gets tickets for EST and CMP, too', async () => {
    const key = await newKey();
    const ticketFor = async (protocol: string) => {
      const bundle = await client.bundle(key, ak, await site.nonce(LABEL));
      const evidence = { type: 'tpm-certify', bytes: encodeAttestationBundle(bundle) };
      return (await site.ask(LABEL, 'ticket', { evidence, publicKey: key.publicKey.der, protocol })).json;
    };
    const forEst = await ticketFor('est');
    const byEst = await client.estWith(LABEL, key, subjectOf(forEst.device), forEst.challengePassword);
    expect(byEst.certificate, byEst.told).toBeDefined();
    const forCmp = await ticketFor('cmp');
    const secret = { reference: forCmp.reference, secret: forCmp.challengePassword };
    const transaction = site.cmp.transaction(LABEL, passwordBasedMac(secret, { iterations: 500 }), {
      implicitConfirm: true,
    });
    const answer = await transaction.send(
      p10cr(await tpmRequest(client.tpm, key, { subject: subjectOf(forCmp.device) })),
    );
    expect(answer.status?.status, answer.summary).toBe('accepted');
  });

  it('is refused without evidence by a registration authority, too, and let in with it', async () => {
    const gateway = makeCsr({ subject: 'CN=gateway' });
    const enrolled = await estPost('default-ra', gateway.der, { password: await site.server.password('default-ra') });
    const [der] = certificatesOf(enrolled);
    const chain = [parseCertificate(akPath[1]!).der];
    const forwarded = { client: { der: der!, privateKey: gateway.privateKey, chain } };
    const key = await newKey();
    const bare = await estPost(LABEL, await tpmRequest(client.tpm, key, { subject: `CN=${newName()}` }), forwarded);
    expect(bare.status).toBe(403);
    expect(bare.text).toMatch(/asks for attestation evidence/);
    const bundle = await client.bundle(key, ak, await site.nonce(LABEL));
    const request = await tpmRequest(client.tpm, key, { subject: `CN=${newName()}`, bundle });
    expect((await estPost(LABEL, request, forwarded)).status).toBe(200);
  });

  const certificatesOf = ({ text }: Answer) => decodeCertsOnly(Buffer.from(text, 'base64')).certificates;

  async function estPost(
    label: string,
    body: Uint8Array,
    by: { readonly password?: string; readonly client?: ClientCertificate },
  ): Promise<Answer> {
    const agent = connection(site.server, by.client);
    const authorization = by.password && `Basic ${Buffer.from(`any:${by.password}`).toString('base64')}`;
    const headers = { 'Content-Type': 'application/pkcs10', ...(authorization && { Authorization: authorization }) };
    const url = `${site.server.mtls}/.well-known/est/${label}/simpleenroll`;
    const answer = await send(site.server, url, { method: 'POST', body, headers, agent });
    agent.destroy();
    return answer;
  }

  it('cannot give its ticket to another key or name', async () => {
    const key = await newKey();
    const bundle = await client.bundle(key, ak, await site.nonce(LABEL));
    const evidence = { type: 'tpm-certify', bytes: encodeAttestationBundle(bundle) };
    const { json } = await site.ask(LABEL, 'ticket', { evidence, publicKey: key.publicKey.der });
    const other = await client.scepWith(LABEL, await newKey(), subjectOf(json.device), json.challengePassword);
    expect(other.told).toContain('key-is-another');
    const renamed = await client.scepWith(LABEL, key, 'CN=somebody-else', json.challengePassword);
    expect(renamed.certificate).toBeUndefined();
    const own = await client.scepWith(LABEL, key, subjectOf(json.device), json.challengePassword);
    expect(own.certificate, own.told).toBeDefined();
  });
});
