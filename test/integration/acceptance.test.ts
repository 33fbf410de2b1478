import { webcrypto, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import 'reflect-metadata';
import * as peculiar from '@peculiar/x509';
import * as pkijs from 'pkijs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeCertsOnly } from '../../core/cms/signed-data.ts';
import { describeKey } from '../../core/authority/profile.ts';
import {
  assembleSigned,
  type Certificate,
  encodeTbsCertificate,
  parseCertificate,
  subjectAltName,
} from '../../core/x509/certificate.ts';
import { type Extension, EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { encodeName } from '../../core/x509/name.ts';
import { decodePem, encodePem } from '../../core/x509/pem.ts';
import { verifySignature } from '../../core/x509/signature-algorithm.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { run } from '../support/est-fixture.ts';
import { basic, certificateOf, enroll, est } from '../support/installation.ts';
import { makeCsr, type TestKeyKind } from '../support/test-pki.ts';

peculiar.cryptoProvider.set(webcrypto as never);
pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }) as never);

/** One certificate that the product made, and the certificates from its issuer to the root; none above a root. */
interface Made {
  readonly what: string;
  readonly certificate: Certificate;
  readonly above: readonly Certificate[];
}

const KEYS: readonly TestKeyKind[] = ['rsa-2048', 'ec-p256', 'ec-p384', 'ec-p521', 'ed25519'];

/** One of every kind that the profile allows. */
const NAMES = [
  'dns:router1.example',
  'dns:*.lab.example',
  'ip:192.0.2.1',
  'ip:2001:db8::1',
  'uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  'email:noc@example.com',
  'hwmodule:1.2.3.4;0a0b0c',
  'upn:router1@example.com',
  'dirname:CN=router1,O=Example GmbH,C=DE',
  'rid:1.2.3.4.5',
];

const SUBJECTS = [
  'CN=router1',
  'serialNumber=FOC1234X,CN=Prüfstand ☃,OU=Netz,O=Example GmbH,L=Wien,ST=Wien,C=AT',
  'UID=4711,DC=example,DC=com',
];

describe.each([
  ['P-256', 'ec-p256', 'ec-p256'],
  ['RSA', 'rsa-3072', 'rsa-2048'],
] as const)('every certificate made under %s authorities', (_kind, rootAlgorithm, issuingAlgorithm) => {
  let server: ComposedServer;
  const made: Made[] = [];

  beforeAll(async () => {
    server = await ComposedServer.start({ rootAlgorithm, issuingAlgorithm });
    const [issuing, root] = await authorities();
    made.push({ what: 'root', certificate: root!, above: [] });
    made.push({ what: 'issuing', certificate: issuing!, above: [root!] });
    const above = [issuing!, root!];
    for (const kind of ['rsa', 'ec']) {
      const pem = readFileSync(join(server.folder, 'data', 'tls', `${kind}.pem`), 'utf8');
      made.push({ what: `TLS server ${kind}`, certificate: parseCertificate(decodePem(pem)[0]!.der), above });
    }
    for (const key of KEYS) {
      made.push({ what: `device ${key}`, certificate: await issued({ key, subject: 'CN=device', san: NAMES }), above });
    }
    for (const subject of SUBJECTS) {
      made.push({ what: subject, certificate: await issued({ subject, san: ['dns:router1.example'] }), above });
    }
    for (const name of NAMES) {
      made.push({ what: `only ${name}`, certificate: await issued({ subject: '', san: [name] }), above });
    }
    made.push({ what: 'registration authority', certificate: await issued({ subject: 'CN=ra' }, 'default-ra'), above });
    made.push({ what: 'server-made key', certificate: await generated(), above });
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  async function authorities(): Promise<Certificate[]> {
    const { text } = await est(server, 'cacerts');
    return decodeCertsOnly(Buffer.from(text, 'base64')).certificates.map(parseCertificate);
  }

  async function issued(csr: Parameters<typeof makeCsr>[0], label = 'default'): Promise<Certificate> {
    const headers = basic('any', await server.password(label));
    return certificateOf(await enroll(server, `${label}/simpleenroll`, makeCsr(csr).der, { headers }));
  }

  /** The certificate of a key that the server made: the second part of its multipart answer. */
  async function generated(): Promise<Certificate> {
    const headers = basic('any', await server.password('default'));
    const { text } = await enroll(server, 'serverkeygen', makeCsr({ subject: 'CN=generated' }).der, { headers });
    const [, body = ''] = /certs-only[^]*?\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n--/.exec(text) ?? [];
    return parseCertificate(decodeCertsOnly(Buffer.from(body, 'base64')).certificates[0]!);
  }

  /** Runs a check on each and names those that fail it. */
  async function failures(check: (one: Made) => Promise<string | undefined>): Promise<string[]> {
    const found = [];
    for (const one of made) {
      const fault = await check(one).catch(String);
      if (fault !== undefined) found.push(`${one.what}: ${fault}`);
    }
    return found;
  }

  it('is there: authorities, our own TLS, every key, every kind of name, every profile', () => {
    expect(made).toHaveLength(4 + KEYS.length + SUBJECTS.length + NAMES.length + 2);
    const keys = made
      .filter(({ what }) => what.startsWith('device '))
      .map(({ certificate }) => certificate.publicKey.algorithm);
    expect(keys.map(describeKey)).toEqual(['RSA 2048', 'EC P-256', 'EC P-384', 'EC P-521', 'Ed25519']);
    for (const { what, certificate } of made.filter((one) => one.what.startsWith('device '))) {
      expect(subjectAltName(certificate).map(generalNameToText), what).toEqual(NAMES);
    }
    expect(new Set(made.map(({ certificate }) => certificate.serialNumber)).size).toBe(made.length);
    expect(new Set(made.map(({ certificate }) => certificate.signatureAlgorithm)).size).toBe(1);
  });

  it('is accepted by openssl, strictly', async () => {
    const file = (name: string): string => join(server.folder, name);
    const pem = ({ der }: Certificate): string => encodePem('CERTIFICATE', der);
    const [root, issuing] = made.map(({ certificate }) => pem(certificate));
    await writeFile(file('root.pem'), root!);
    await writeFile(file('issuing.pem'), issuing!);
    const files = made.map((_one, index) => file(`${index}.pem`));
    await Promise.all(made.map(({ certificate }, index) => writeFile(files[index]!, pem(certificate))));
    const strict = ['verify', '-x509_strict', '-check_ss_sig', '-CAfile', file('root.pem')];
    const verified = await run('openssl', [...strict, '-untrusted', file('issuing.pem'), ...files]);
    expect(verified.stdout.toString(), verified.stderr).toBe(files.map((name) => `${name}: OK\n`).join(''));

    await writeFile(file('all.pem'), made.map(({ certificate }) => pem(certificate)).join(''));
    const text = await run('openssl', ['storeutl', '-certs', '-text', '-noout', file('all.pem')]);
    expect(text.stdout.toString(), text.stderr).toContain(`Total found: ${made.length}`);
    expect(text.stdout.toString()).not.toMatch(/<parse error>|<invalid|unable to load/i);
  });

  it('is accepted by @peculiar/x509, which reads the same from it', async () => {
    expect(
      await failures(async ({ certificate, above }) => {
        const theirs = new peculiar.X509Certificate(certificate.der as Uint8Array<ArrayBuffer>);
        const issuer = new peculiar.X509Certificate((above[0] ?? certificate).der as Uint8Array<ArrayBuffer>);
        if (!(await theirs.verify({ publicKey: issuer.publicKey, signatureOnly: true }))) return 'signature refused';
        if (theirs.serialNumber !== certificate.serialNumber) return `serial number ${theirs.serialNumber}`;
        if (theirs.notAfter.getTime() !== certificate.notAfter.getTime())
          return `notAfter ${theirs.notAfter.toISOString()}`;
        if (theirs.extensions.length !== certificate.extensions.length) return `${theirs.extensions.length} extensions`;
        return Buffer.from(theirs.rawData).equals(certificate.der) ? undefined : 'other octets';
      }),
    ).toEqual([]);
  });

  it('is accepted by pkijs, which encodes the same octets from what it read', async () => {
    expect(
      await failures(async ({ certificate, above }) => {
        const theirs = pkijs.Certificate.fromBER(certificate.der as Uint8Array<ArrayBuffer>);
        const issuer = pkijs.Certificate.fromBER((above[0] ?? certificate).der as Uint8Array<ArrayBuffer>);
        if (!(await theirs.verify(issuer))) return 'signature refused';
        const encoded = Buffer.from(theirs.toSchema(true).toBER(false));
        return encoded.equals(certificate.der) ? undefined : 'other octets';
      }),
    ).toEqual([]);
  });

  it('is accepted by OpenSSL in Node, as issued by its issuer', async () => {
    expect(
      await failures(async ({ certificate, above }) => {
        const theirs = new X509Certificate(certificate.der);
        const issuer = new X509Certificate((above[0] ?? certificate).der);
        return theirs.checkIssued(issuer) && theirs.verify(issuer.publicKey) ? undefined : 'not issued by its issuer';
      }),
    ).toEqual([]);
  });

  it('is byte-identical after decode and encode by our codec, down to each name and extension', async () => {
    expect(
      await failures(async ({ certificate, above }) => {
        const { publicKey } = above[0] ?? certificate;
        const { signatureAlgorithm, signature, tbsDer, der } = certificate;
        if (!verifySignature(publicKey, signatureAlgorithm, tbsDer, signature)) return 'signature refused';
        const again = assembleSigned(encodeTbsCertificate(recoded(certificate)), signatureAlgorithm, signature);
        return Buffer.from(again).equals(der) ? undefined : 'other octets';
      }),
    ).toEqual([]);
  });
});

const CODECS = new Map(Object.values(EXTENSIONS).map((codec) => [codec.oid, codec]));

/** The parts of a certificate, names and extensions each decoded and encoded again. */
function recoded(certificate: Certificate): Parameters<typeof encodeTbsCertificate>[0] {
  const { serialNumber, signatureAlgorithm, issuer, subject, notBefore, notAfter, publicKey, extensions } = certificate;
  return {
    serialNumber,
    signatureAlgorithm,
    issuer: encodeName(issuer.rdns),
    subject: encodeName(subject.rdns),
    validity: { notBefore, notAfter },
    publicKey,
    extensions: extensions.map(recodedExtension),
  };
}

function recodedExtension({ oid, critical, value }: Extension): Extension {
  const codec = CODECS.get(oid);
  if (codec === undefined) throw new TypeError(`no codec for the extension ${oid}`);
  return codec.encode(codec.decode(value) as never, critical);
}
