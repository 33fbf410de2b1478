import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { type CommandResult, run } from '../support/est-fixture.ts';
import { api } from '../support/installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { CiscoRouter } from '../fakes/scep-cisco-router.ts';
import { Certmonger, ScepClient, StrongSwan, type StrongSwanTrust } from './scep-clients.ts';
import {
  addScepEndpoint,
  challenge,
  enrollmentsOf,
  openScep,
  type ScepEnrollment,
  scepUrl,
} from './scep-installation.ts';

const CLI = fileURLToPath(new URL('../../server/cli/main.ts', import.meta.url));
/** micromdm's client knows nothing but single DES. */
const LEGACY = { legacy: { until: '2099-01-01T00:00:00Z' } };

describe('SCEP with clients nobody here wrote', () => {
  let folder: string;
  let server: MusterServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'muster-scep-'));
    server = await MusterServer.start({ folder });
    await openScep(server, 'default');
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const read = async (file: string): Promise<X509Certificate> => new X509Certificate(await readFile(file));
  /** What openssl says of certificates, with the chain that the server itself published. */
  async function verify(trust: Pick<StrongSwanTrust, 'root' | 'issuing'>, ...files: string[]): Promise<void> {
    const chain = ['-CAfile', trust.root, '-untrusted', trust.issuing];
    const verified = await run('openssl', ['verify', '-x509_strict', ...chain, ...files]);
    expect(verified.stdout.toString(), verified.stderr).toBe(files.map((file) => `${file}: OK\n`).join(''));
  }

  describe('strongSwan pki', () => {
    let swan: StrongSwan;
    let trust: StrongSwanTrust;

    beforeAll(async () => {
      swan = new StrongSwan(join(server.folder, 'swan'), scepUrl(server, 'default'));
      await mkdir(swan.folder);
      const fetched = await swan.authorities();
      expect(fetched.result.status, fetched.result.stderr).toBe(0);
      trust = fetched.trust;
    });

    const newKey = async (name: string): Promise<string> => {
      const { stdout } = await run('pki', ['--gen', '--type', 'rsa', '--size', '2048', '--outform', 'pem']);
      return server.file(`swan/${name}.key`, stdout);
    };
    const written = (name: string, { stdout }: CommandResult): Promise<string> =>
      server.file(`swan/${name}.pem`, stdout);

    it('fetches root, issuing CA and RA with --scepca', async () => {
      const [root, issuing, ra] = await Promise.all([trust.root, trust.issuing, trust.ra].map(read));
      expect(root!.fingerprint256).toBe(new X509Certificate(server.ca).fingerprint256);
      expect(issuing!.verify(root!.publicKey)).toBe(true);
      expect(ra!.verify(issuing!.publicKey)).toBe(true);
      expect(ra!.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
      expect(ra!.ca).toBe(false);
    });

    it('enrols with a challenge and renews with RenewalReq; openssl accepts both', async () => {
      const dn = 'CN=swan';
      const key = await newKey('swan');
      const enrolled = await swan.ask(trust, key, dn, '--password', await challenge(server), '--san', 'swan.example');
      expect(enrolled.status, enrolled.stderr).toBe(0);
      const certificate = await written('swan', enrolled);
      const nextKey = await newKey('swan2');
      const renewing = ['--san', 'swan.example', '--cert', certificate, '--key', key];
      const renewed = await swan.ask(trust, nextKey, dn, ...renewing);
      expect(renewed.status, renewed.stderr).toBe(0);
      const renewal = await written('swan2', renewed);
      await verify(trust, certificate, renewal);
      const [first, second] = [await read(certificate), await read(renewal)];
      expect(second.subject).toBe('CN=swan');
      expect(second.subjectAltName).toBe('DNS:swan.example');
      expect(second.serialNumber).not.toBe(first.serialNumber);
      expect(second.publicKey.equals(first.publicKey)).toBe(false);
    });

    it.each([
      ['aes', 'sha256'],
      ['aes', 'sha512'],
      ['des3', 'sha256'],
      ['des3', 'sha1'],
    ])('enrols with %s and %s, and reads the reply', async (cipher, digest) => {
      const name = `swan-${cipher}-${digest}`;
      const algorithms = ['--cipher', cipher, '--digest', digest];
      const secret = await challenge(server);
      const enrolled = await swan.ask(trust, await newKey(name), `CN=${name}`, '--password', secret, ...algorithms);
      expect(enrolled.status, enrolled.stderr).toBe(0);
      expect(new X509Certificate(enrolled.stdout).subject).toBe(`CN=${name}`);
    });

    it('is refused with a wrong challenge, with one that was used, and for another name than its certificate has', async () => {
      const key = await newKey('refused');
      const secret = await challenge(server);
      const enrolled = await swan.ask(trust, key, 'CN=swan-once', '--password', secret);
      expect(enrolled.status, enrolled.stderr).toBe(0);
      const certificate = await written('once', enrolled);
      const other = await newKey('other');
      const renewing = ['--cert', certificate, '--key', key];
      for (const refused of [
        await swan.ask(trust, other, 'CN=swan-wrong', '--password', 'wrong'),
        await swan.ask(trust, other, 'CN=swan-again', '--password', secret),
        await swan.ask(trust, other, 'CN=swan-other', ...renewing),
      ]) {
        expect(refused.status).not.toBe(0);
        expect(refused.stderr).toMatch(/fail/i);
        expect(refused.stdout.toString()).toBe('');
      }
      for (const name of ['swan-wrong', 'swan-again', 'swan-other']) {
        expect((await enrollmentsOf(server, 'default', name)).filter(({ status }) => status === 'issued')).toEqual([]);
      }
    });

    describe('while an operator approves each request', () => {
      let waiting: StrongSwan;
      beforeAll(async () => {
        const url = await addScepEndpoint(server, 'manual', {}, { approval: 'manual', retryAfterSeconds: 1 });
        waiting = new StrongSwan(swan.folder, url);
      });

      const poll = ['--interval', '1', '--maxpolltime', '20'];
      const pendingOf = (name: string): Promise<string> =>
        vi.waitFor(
          async () => {
            const [enrollment] = await enrollmentsOf(server, 'manual', name);
            expect(enrollment?.status).toBe('pending');
            return enrollment!.id;
          },
          { timeout: 10_000, interval: 100 },
        );

      it('polls until the command line approves, and gets one certificate', async () => {
        const secret = await challenge(server, 'manual');
        const polling = waiting.ask(trust, await newKey('waits'), 'CN=waits', '--password', secret, ...poll);
        const id = await pendingOf('waits');
        const approved = await run(process.execPath, [CLI, '--data', server.dataFolder, 'enrollment', 'approve', id]);
        expect(approved.status, approved.stderr).toBe(0);
        const issued = await polling;
        expect(issued.status, issued.stderr).toBe(0);
        const { serialNumber } = new X509Certificate(issued.stdout);
        const enrollments = await enrollmentsOf(server, 'manual', 'waits');
        expect(enrollments.map((each) => [each.status, each.serialNumber])).toEqual([
          ['issued', serialNumber.toLowerCase()],
        ]);
      });

      it('is told when the API rejects it', async () => {
        const secret = await challenge(server, 'manual');
        const polling = waiting.ask(trust, await newKey('unwanted'), 'CN=unwanted', '--password', secret, ...poll);
        const id = await pendingOf('unwanted');
        await api(server, 'POST', `/enrollments/${id}/reject`, { comment: 'not ours' });
        const refused = await polling;
        expect(refused.status).not.toBe(0);
        expect(refused.stdout.toString()).toBe('');
        expect((await enrollmentsOf(server, 'manual', 'unwanted')).map(({ status }) => status)).toEqual(['rejected']);
      });
    });
  });

  describe("Debian's scepclient", () => {
    let url: string;
    beforeAll(async () => {
      url = await addScepEndpoint(server, 'legacy', LEGACY);
    });

    it('enrols, and renews its certificate when it is run again', async () => {
      const device = await ScepClient.create(join(server.folder, 'micromdm'), url);
      const enrolled = await device.ask('micromdm', await challenge(server, 'legacy'));
      expect(enrolled.status, enrolled.stderr).toBe(0);
      const first = await read(device.certificate);
      expect(first.subject).toContain('CN=micromdm');
      const renewed = await device.ask('micromdm');
      expect(renewed.status, renewed.stderr).toBe(0);
      const second = await read(device.certificate);
      expect(second.serialNumber).not.toBe(first.serialNumber);
      expect(second.subject).toBe(first.subject);
      expect((await enrollmentsOf(server, 'legacy', 'micromdm')).map(({ status }) => status)).toEqual([
        'issued',
        'issued',
      ]);
    });

    it('is refused with a wrong challenge, and with one that was used', async () => {
      const secret = await challenge(server, 'legacy');
      const device = await ScepClient.create(join(server.folder, 'micromdm-once'), url);
      expect((await device.ask('micromdm-once', secret)).status).toBe(0);
      for (const wrong of ['wrong', secret]) {
        const folder = join(server.folder, `micromdm-${wrong === secret ? 'again' : 'wrong'}`);
        const refused = await (await ScepClient.create(folder, url)).ask('micromdm-refused', wrong);
        expect(refused.status).not.toBe(0);
        expect(refused.stdout.toString() + refused.stderr).toContain('badRequest (2)');
      }
      expect(await enrollmentsOf(server, 'legacy', 'micromdm-refused')).toEqual([]);
    });

    it('is refused where single DES is not allowed, with badAlg', async () => {
      const device = await ScepClient.create(join(server.folder, 'micromdm-des'), scepUrl(server, 'default'));
      const refused = await device.ask('micromdm-des', await challenge(server));
      expect(refused.status).not.toBe(0);
      expect(refused.stdout.toString() + refused.stderr).toContain('badAlg (0)');
    });
  });

  describe('certmonger', () => {
    let certmonger: Certmonger;
    const file = (name: string): string => join(server.folder, 'certmonger', name);
    const ask = (name: string, secret: string): Promise<CommandResult> => {
      const files = ['-k', file(`${name}.key`), '-f', file(`${name}.pem`)];
      return certmonger.getcert('request', '-c', 'muster', ...files, '-L', secret, '-N', `CN=${name}`);
    };
    const settled = (name: string, status: string): Promise<string | undefined> =>
      vi.waitFor(
        async () => {
          const state = await certmonger.state(file(`${name}.pem`));
          expect(state.status, state.error).toBe(status);
          return state.error;
        },
        { timeout: 15_000, interval: 200 },
      );

    beforeAll(async () => {
      certmonger = await Certmonger.start(join(server.folder, 'certmonger'));
      await vi.waitFor(
        async () => {
          const added = await certmonger.addAuthority('muster', scepUrl(server, 'default'));
          expect(added.status, added.stderr).toBe(0);
        },
        { timeout: 10_000, interval: 100 },
      );
    });
    afterAll(async () => certmonger[Symbol.asyncDispose]());

    let spent: string;

    it('enrols over GET, and renews with a new key', async () => {
      const name = 'monger';
      spent = await challenge(server);
      const asked = await ask(name, spent);
      expect(asked.status, asked.stderr).toBe(0);
      await settled(name, 'MONITORING');
      const first = await read(file(`${name}.pem`));
      expect(first.subject).toBe('CN=monger');
      const again = await certmonger.getcert('rekey', '-f', file(`${name}.pem`));
      expect(again.status, again.stderr).toBe(0);
      const second = await vi.waitFor(
        async () => {
          const certificate = await read(file(`${name}.pem`));
          expect(certificate.serialNumber).not.toBe(first.serialNumber);
          return certificate;
        },
        { timeout: 15_000, interval: 200 },
      );
      expect(second.subject).toBe('CN=monger');
      expect(second.publicKey.equals(first.publicKey)).toBe(false);
    });

    it('is rejected with a wrong challenge, and with one that was used', async () => {
      await Promise.all([ask('monger-wrong', 'wrong'), ask('monger-again', spent)]);
      for (const name of ['monger-wrong', 'monger-again']) {
        await settled(name, 'CA_REJECTED');
        expect(await enrollmentsOf(server, 'default', name)).toEqual([]);
      }
    });
  });

  it('has left no challenge in the log', async () => {
    const secret = await challenge(server);
    const swan = new StrongSwan(join(server.folder, 'swan'), scepUrl(server, 'default'));
    const { trust } = await swan.authorities();
    const key = await server.file(
      'swan/log.key',
      (await run('pki', ['--gen', '--type', 'rsa', '--size', '2048', '--outform', 'pem'])).stdout,
    );
    expect((await swan.ask(trust, key, 'CN=quiet', '--password', secret)).status).toBe(0);
    expect((await swan.ask(trust, key, 'CN=quiet2', '--password', `${secret}x`)).status).not.toBe(0);
    expect(server.output).not.toContain(secret);
    expect(server.output).not.toContain(server.adminToken);
  });

  it('remembers over a restart who waits, whom it knows and which challenge was used', async () => {
    const label = 'restarts';
    const url = await addScepEndpoint(server, label, LEGACY, { approval: 'manual' });
    const secret = await challenge(server, label);
    const router = (at: string): Promise<CiscoRouter> =>
      CiscoRouter.create({ url: at, hostname: 'restarts', commonName: 'restarts' });
    const before = await router(url);
    const known = await before.authenticate();
    expect(await before.enroll(secret)).toEqual({ status: 'pending' });
    const [{ id }] = (await enrollmentsOf(server, label, 'restarts')) as [ScepEnrollment];
    expect(await server.stop()).toBe(0);
    server = await MusterServer.start({ folder });
    const after = await router(scepUrl(server, label));
    after.adopt(before);
    // The RA is the same: its key and certificate are not made anew at each start.
    expect(await after.authenticate()).toEqual(known);
    expect(await after.poll()).toEqual({ status: 'pending' });
    await api(server, 'POST', `/enrollments/${id}/approve`, {});
    expect(await after.poll()).toMatchObject({ status: 'granted' });
    const thief = await router(scepUrl(server, label));
    await thief.authenticate();
    expect(await thief.enroll(secret)).toMatchObject({ status: 'rejected', failInfo: '2' });
  });
});
