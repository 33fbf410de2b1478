import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { ID_IT } from '../fakes/cmp-message.ts';
import type { MacSecret } from '../fakes/cmp-protection.ts';
import { CmpResponse } from '../fakes/cmp-response.ts';
import { type CommandResult, run } from '../support/est-fixture.ts';
import { api, type Listed, type ListedCertificate } from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';

const CLI = fileURLToPath(new URL('../../server/cli/main.ts', import.meta.url));

interface Enrollment {
  readonly id: string;
  readonly status: string;
  readonly deviceName: string;
}

/** Files of a device: its key and, once it has one, its certificate. */
interface Device {
  readonly name: string;
  readonly key: string;
  readonly certificate: string;
}

describe('openssl cmp against the whole product', () => {
  let server: MusterServer;
  let secret: MacSecret;
  let chain: string;

  beforeAll(async () => {
    server = await MusterServer.start();
    await api(server, 'PATCH', '/endpoints/default', { retryAfterSeconds: 1 });
    secret = await macSecret();
    const first = await newDevice('first');
    expect((await cmp('ir', ...byMac(), ...asks(first), '-implicit_confirm', ...saves(first))).said).not.toContain(
      'CMP error',
    );
    chain = path('first.chain');
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const path = (name: string): string => join(server.folder, name);

  const macSecret = (usage = 'device'): Promise<MacSecret> =>
    api<MacSecret>(server, 'POST', '/secrets', { kind: 'mac', usage });

  const muster = (...args: string[]): Promise<CommandResult> =>
    run(process.execPath, [CLI, '--data', server.dataFolder, ...args]);

  /** Everything it says, on whichever output. */
  async function cmp(command: string, ...args: string[]): Promise<{ status: number; said: string }> {
    const url = new URL(server.plain);
    const target = ['-server', url.host, '-path', '.well-known/cmp/p/default'];
    // Nothing is taken on trust: no -unprotected_errors, and new certificates must lead to the root.
    const trust = ['-trusted', server.ready.rootCertificate, '-out_trusted', server.ready.rootCertificate];
    const limits = ['-msg_timeout', '10', '-total_timeout', '15', '-batch'];
    const options = ['-config', '', '-cmd', command, ...target, ...trust, ...limits, ...args];
    const { status, stdout, stderr } = await run('openssl', ['cmp', ...options]);
    return { status, said: stdout.toString() + stderr };
  }

  const byMac = ({ reference, secret: value }: MacSecret = secret): string[] => [
    '-ref',
    reference,
    '-secret',
    `pass:${String(value)}`,
  ];
  const bySignature = (device: Device): string[] => [
    '-cert',
    device.certificate,
    '-key',
    device.key,
    '-untrusted',
    chain,
  ];
  const asks = (device: Device): string[] => ['-newkey', device.key, '-subject', `/CN=${device.name}`];
  const saves = (device: Device): string[] => [
    '-certout',
    device.certificate,
    '-chainout',
    path(`${device.name}.chain`),
  ];

  async function newDevice(name: string, algorithm = 'ec'): Promise<Device> {
    const device = { name, key: path(`${name}.key`), certificate: path(`${name}.pem`) };
    const kind =
      algorithm === 'ec' ? ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-algorithm', algorithm];
    const made = await run('openssl', ['genpkey', ...kind, '-out', device.key]);
    expect(made.status, made.stderr).toBe(0);
    return device;
  }

  async function enrolled(name: string): Promise<Device> {
    const device = await newDevice(name);
    const result = await cmp('ir', ...byMac(), ...asks(device), '-implicit_confirm', ...saves(device));
    expect(result.status, result.said).toBe(0);
    return device;
  }

  async function request(device: Device, san?: string): Promise<string> {
    const file = path(`${device.name}.csr`);
    const extensions = san === undefined ? [] : ['-addext', `subjectAltName=${san}`];
    const made = await run('openssl', [
      'req',
      '-new',
      '-key',
      device.key,
      '-subj',
      `/CN=${device.name}`,
      '-out',
      file,
      ...extensions,
    ]);
    expect(made.status, made.stderr).toBe(0);
    return file;
  }

  const certificateIn = async (file: string): Promise<X509Certificate> => new X509Certificate(await readFile(file));

  async function statusesOf(name: string): Promise<string[]> {
    const { items } = await api<Listed<ListedCertificate>>(server, 'GET', `/certificates?name=${name}`);
    return items.map(({ status }) => status);
  }

  describe.each([
    ['implicit confirmation', ['-implicit_confirm']],
    ['explicit confirmation', []],
  ] as const)('%s', (title, confirmation) => {
    const suffix = title.slice(0, 2);

    it.each(['ir', 'cr'])('%s with a MAC', async (command) => {
      const device = await newDevice(`mac-${command}-${suffix}`);
      const result = await cmp(
        command,
        ...byMac(),
        ...asks(device),
        '-sans',
        'mac.example',
        ...confirmation,
        ...saves(device),
      );
      expect(result.status, result.said).toBe(0);
      const certificate = await certificateIn(device.certificate);
      expect([certificate.subject, certificate.subjectAltName]).toEqual([`CN=${device.name}`, 'DNS:mac.example']);
      expect(result.said.includes('CERTCONF')).toBe(confirmation.length === 0);
    });

    it('p10cr with a MAC', async () => {
      const device = await newDevice(`mac-p10-${suffix}`);
      const csr = await request(device, 'DNS:ten.example');
      const result = await cmp('p10cr', ...byMac(), '-csr', csr, ...confirmation, ...saves(device));
      expect(result.status, result.said).toBe(0);
      expect((await certificateIn(device.certificate)).subjectAltName).toBe('DNS:ten.example');
    });

    it('ir, cr, p10cr and kur with a signature', async () => {
      const device = await enrolled(`signer-${suffix}`);
      const before = await certificateIn(device.certificate);
      const out = ['-certout', path(`${device.name}.new`)];
      const csr = await request(device);
      for (const [command, ...what] of [
        ['ir', ...asks(device)],
        ['cr', ...asks(device)],
        ['p10cr', '-csr', csr],
        ['kur', '-oldcert', device.certificate, '-newkey', (await newDevice(`${device.name}-2`)).key],
      ] as [string, ...string[]][]) {
        const result = await cmp(command, ...bySignature(device), ...what, ...confirmation, ...out);
        expect(result.status, `${command}: ${result.said}`).toBe(0);
        const after = await certificateIn(path(`${device.name}.new`));
        expect([after.subject, after.serialNumber === before.serialNumber]).toEqual([before.subject, false]);
      }
    });
  });

  it('takes SHA-1 and SHA-512 in PBM, and RSA and Ed25519 keys', async () => {
    const weak = await newDevice('pbm-sha1', 'RSA');
    // -digest is also that of a proof of possession, where SHA-1 is refused: the PKCS #10 request has its own.
    const sha1 = [...byMac(), '-digest', 'sha1', '-mac', 'hmac-sha1', '-csr', await request(weak)];
    const first = await cmp('p10cr', ...sha1, ...saves(weak));
    expect(first.status, first.said).toBe(0);
    const strong = await newDevice('pbm-sha512', 'ED25519');
    const sha512 = [...byMac(), '-digest', 'sha512', '-mac', 'hmacWithSHA512', ...asks(strong)];
    const second = await cmp('ir', ...sha512, ...saves(strong));
    expect(second.status, second.said).toBe(0);
  });

  it('decrypts its certificate where the key does not sign', async () => {
    const device = await newDevice('popo', 'RSA');
    const result = await cmp('ir', ...byMac(), ...asks(device), '-popo', '2', ...saves(device));
    expect(result.status, result.said).toBe(0);
    expect((await certificateIn(device.certificate)).subject).toBe('CN=popo');
  });

  it('is told what is wrong: a wrong secret, an unknown reference, a subject that is not its own', async () => {
    const device = await enrolled('refused');
    // Who has another secret, or none, cannot verify a MAC: these two refusals are taken without.
    for (const credential of [
      { ...secret, secret: 'wrong' },
      { reference: 'nobody', secret: 'wrong' },
    ]) {
      const refused = await cmp('ir', ...byMac(credential), ...asks(device), ...saves(device), '-unprotected_errors');
      expect([refused.status, refused.said]).toEqual([1, expect.stringContaining('badMessageCheck')]);
    }
    const otherSubject = ['-newkey', device.key, '-subject', '/CN=somebody-else', '-certout', path('none')];
    const other = await cmp('cr', ...bySignature(device), ...otherSubject);
    expect([other.status, other.said]).toEqual([1, expect.stringContaining('notAuthorized')]);
  });

  it('revokes its certificate, is refused with it from then on, and is told so', async () => {
    const device = await enrolled('revoked');
    const named = ['-oldcert', device.certificate, '-revreason', '4'];
    const revoked = await cmp('rr', ...bySignature(device), ...named);
    expect(revoked.status, revoked.said).toBe(0);
    expect(await statusesOf('revoked')).toEqual(['revoked']);
    const kur = await cmp(
      'kur',
      ...bySignature(device),
      '-newkey',
      device.key,
      '-oldcert',
      device.certificate,
      '-certout',
      path('none'),
    );
    expect([kur.status, kur.said]).toEqual([1, expect.stringContaining('certRevoked')]);
    const again = await cmp('rr', ...bySignature(device), ...named);
    expect([again.status, again.said]).toEqual([1, expect.stringContaining('certRevoked')]);
  });

  it('gets its information by genm, as far as -infotype names it', async () => {
    const device = await enrolled('curious');
    for (const credential of [byMac(), bySignature(device)]) {
      for (const [type, name] of [
        ['caCerts', ID_IT.caCerts],
        ['signKeyPairTypes', ID_IT.signKeyPairTypes],
        ['encKeyPairTypes', ID_IT.encKeyPairTypes],
        ['preferredSymmAlg', ID_IT.preferredSymmAlg],
        ['currentCRL', ID_IT.currentCrl],
        ['certReqTemplate', ID_IT.certReqTemplate],
      ] as const) {
        const file = path(`genp-${type}`);
        const result = await cmp('genm', ...credential, '-infotype', type, '-rspout', file);
        expect(result.status, `${type}: ${result.said}`).toBe(0);
        const response = new CmpResponse(await readFile(file));
        expect([...response.infos.keys()], type).toContain(name);
      }
    }
    const { infos } = new CmpResponse(await readFile(path('genp-caCerts')));
    const certificates = infos.get(ID_IT.caCerts)!.children.map(({ der }) => new X509Certificate(der));
    expect(certificates.map(({ fingerprint256 }) => fingerprint256)).toContain(
      (await certificateIn(chain)).fingerprint256,
    );
  });

  it('a certificate that its device rejects is revoked', async () => {
    const stranger = path('stranger.pem');
    const made = await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ed25519',
      '-noenc',
      '-keyout',
      path('x'),
      '-subj',
      '/CN=x',
      '-out',
      stranger,
    ]);
    expect(made.status, made.stderr).toBe(0);
    const device = await newDevice('picky');
    const result = await cmp('ir', ...byMac(), ...asks(device), ...saves(device), '-out_trusted', stranger);
    expect([result.status, result.said]).toEqual([1, expect.stringContaining('rejecting newly enrolled cert')]);
    expect(await statusesOf('picky')).toEqual(['revoked']);
  });

  it('over TLS at the other listener, and without a label at the default endpoint', async () => {
    const device = await newDevice('tls');
    const url = new URL(server.mtls);
    const tls = ['-tls_used', '-tls_trusted', server.ready.rootCertificate, '-tls_host', 'localhost'];
    const target = ['-server', `https://localhost:${url.port}`, '-path', '.well-known/cmp'];
    const result = await cmp('ir', ...byMac(), ...asks(device), ...saves(device), ...tls, ...target);
    expect(result.status, result.said).toBe(0);
  });

  it('enrols with the command that the server prints at its start', async () => {
    const commands = server.ready.commands as Readonly<Record<string, string>>;
    const result = await run('sh', ['-c', commands['cmp']!]);
    expect(result.status, result.stderr).toBe(0);
  });

  describe('while an operator approves each request', () => {
    beforeAll(() => api(server, 'PATCH', '/endpoints/default', { approval: 'manual' }));
    afterAll(() => api(server, 'PATCH', '/endpoints/default', { approval: 'automatic' }));

    const waitingOf = (deviceName: string): Promise<Enrollment> =>
      vi.waitFor(
        async () => {
          const { items } = await api<Listed<Enrollment>>(server, 'GET', '/enrollments?endpoint=default&limit=500');
          const found = items.find((enrollment) => enrollment.deviceName === deviceName);
          expect(found?.status).toBe('pending');
          return found!;
        },
        { timeout: 10_000, interval: 100 },
      );

    it('ir, cr and p10cr poll until the approval, each with a one-time secret', async () => {
      const devices = new Map<string, Device>();
      for (const command of ['ir', 'cr', 'p10cr']) devices.set(command, await newDevice(`polls-${command}`));
      const polling = [...devices].map(async ([command, device]) => {
        const what = command === 'p10cr' ? ['-csr', await request(device)] : asks(device);
        return cmp(command, ...byMac(await macSecret('one-time')), ...what, ...saves(device));
      });
      const waiting = await Promise.all([...devices.values()].map(({ name }) => waitingOf(name)));
      const [first, ...others] = waiting.map(({ id }) => id);
      const approved = await muster('enrollment', 'approve', first!);
      expect(approved.status, approved.stderr).toBe(0);
      for (const id of others) await api(server, 'POST', `/enrollments/${id}/approve`, {});
      for (const { status, said } of await Promise.all(polling)) expect(status, said).toBe(0);
      for (const { name, certificate } of devices.values()) {
        expect((await certificateIn(certificate)).subject).toBe(`CN=${name}`);
        expect(await statusesOf(name)).toEqual(['active']);
      }
    });

    it('is told when the operator rejects it', async () => {
      const device = await newDevice('unwanted');
      const polling = cmp('ir', ...byMac(), ...asks(device), ...saves(device));
      await api(server, 'POST', `/enrollments/${(await waitingOf('unwanted')).id}/reject`, { comment: 'not ours' });
      const result = await polling;
      expect([result.status, result.said]).toEqual([1, expect.stringContaining('notAuthorized')]);
      expect(await statusesOf('unwanted')).toEqual([]);
    });
  });

  it('has left nothing secret in the log', () => {
    expect(server.output).toContain('"event":"enrollment.pending"');
    expect(server.output).not.toContain(secret.secret);
  });
});
