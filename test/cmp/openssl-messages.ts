import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { encodePem } from '../../core/x509/pem.ts';
import { TestAuthority } from '../support/test-pki.ts';

/** The messages of one run of openssl's client against openssl's own server. */
export interface Conversation {
  readonly requests: readonly Buffer[];
  readonly responses: readonly Buffer[];
  /** What the client reported. */
  readonly output: string;
}

type Options = Readonly<Record<string, string>>;

/** `openssl cmp` on both ends, without a network: messages that this project had no hand in. */
export class OpensslConversations implements Disposable {
  readonly authority = TestAuthority.root({ name: 'CN=Mock CA,O=Test' });
  readonly device = this.authority.leaf({ subject: 'CN=router1' });
  readonly #folder = mkdtempSync(join(tmpdir(), 'muster-cmp-'));
  #runs = 0;

  constructor() {
    const server = this.authority.leaf({ subject: 'CN=Mock server' });
    this.#write('ca.pem', encodePem('CERTIFICATE', this.authority.der));
    this.#write('server.pem', encodePem('CERTIFICATE', server.der));
    this.#write('server.key', pem(server.privateKey));
    this.#write('device.pem', encodePem('CERTIFICATE', this.device.der));
    this.#write('device.key', pem(this.device.privateKey));
  }

  /** Runs a command of the client: protected by a MAC, or by the device's certificate. */
  async run(protection: 'mac' | 'signature', args: readonly string[], messages: number): Promise<Conversation> {
    const run = this.#runs++;
    const names = (kind: string): string[] =>
      Array.from({ length: messages }, (_, at) => this.#path(`${run}-${kind}-${at}.der`));
    const requests = names('req');
    const responses = names('rsp');
    const file = (name: string): string => this.#path(name);
    const credentials: Options =
      protection === 'mac'
        ? { ref: 'ref-1', secret: 'pass:secret-1', srv_ref: 'ref-1', srv_secret: 'pass:secret-1' }
        : {
            cert: file('device.pem'),
            key: file('device.key'),
            trusted: file('ca.pem'),
            srv_cert: file('server.pem'),
            srv_key: file('server.key'),
            srv_trusted: file('ca.pem'),
          };
    const common: Options = {
      config: '',
      rsp_cert: file('device.pem'),
      newkey: file('device.key'),
      recipient: '/CN=Mock CA',
      extracerts: file('ca.pem'),
      certout: file(`${run}-out.pem`),
      reqout: requests.join(','),
      rspout: responses.join(','),
    };
    const named = Object.entries({ ...common, ...credentials }).flatMap(([name, value]) => [`-${name}`, value]);
    const own = args.map((argument) => argument.replace('DEVICE', file('device.pem')));
    const output = await this.#openssl(['cmp', '-use_mock_srv', ...named, ...own]);
    const read = (path: string): Buffer => readFileSync(path);
    return { requests: requests.map(read), responses: responses.map(read), output };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #openssl(args: readonly string[]): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    execFile('openssl', args, { timeout: 20_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
    return promise;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #write(name: string, content: string): void {
    writeFileSync(this.#path(name), content);
  }
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}
