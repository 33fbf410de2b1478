import { NO_ATTESTATION } from '../../core/enrollment/attestation-policy.ts';
import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import { DEFAULT_KEY_RULES } from '../../core/authority/profile.ts';
import type { Endpoint, EndpointDirectory, EstSettings } from '../../core/enrollment/endpoint.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { estPlugin } from '../../protocols/est/http.ts';
import type { KeyPackageSigner } from '../../protocols/est/key-package.ts';
import type { EstDependencies } from '../../protocols/est/service.ts';
import { createMutualTlsListener } from '../../server/http/listener.ts';
import { Pressure } from '../../server/http/pressure.ts';
import { InMemoryCredentials, InMemoryHall } from './est-hall.ts';
import { type IssuedCertificate, signWith, TestAuthority } from './test-pki.ts';

/** What a test changes of an endpoint. */
interface EndpointChanges extends Partial<Omit<Endpoint, 'protocols'>> {
  readonly est?: Partial<EstSettings> | 'closed';
}

/** What a test changes of the server. */
export interface EstFixtureOptions {
  /** Changes of the default endpoint. */
  readonly defaultEndpoint?: EndpointChanges;
  /** Further endpoints. */
  readonly endpoints?: readonly EndpointChanges[];
  readonly templates?: EstDependencies['templates'];
  readonly gate?: EstDependencies['gate'];
  readonly withoutSigner?: boolean;
}

/** EST on a real listener on loopback, over a hall in memory, with a folder for the files of its clients. */
export interface EstFixture extends AsyncDisposable {
  readonly port: number;
  /** `https://localhost:port/.well-known/est`. */
  readonly url: string;
  readonly root: TestAuthority;
  readonly issuing: TestAuthority;
  /** An authority of factory certificates, trusted for clients. */
  readonly factory: TestAuthority;
  /** The certificate that signs key packages. */
  readonly keyAuthority: IssuedCertificate;
  readonly credentials: InMemoryCredentials;
  readonly hall: InMemoryHall;
  /** What the server logged, as JSON lines. */
  readonly logged: string[];
  /** A temporary folder; `root.pem` in it is the root's certificate. */
  readonly folder: string;
  /** Puts a file into the folder and answers its path. */
  file(name: string, content: string | Uint8Array): Promise<string>;
}

const DEFAULT_SETTINGS: EstSettings = {
  authenticators: ['password', 'certificate', 'anchored-certificate', 'ra'],
  channelBinding: 'optional',
  wrapping: 'auto',
  serverKeyGeneration: true,
  csrAttributes: 'none',
};

/** Starts it on a free port. */
export async function startEst(options: EstFixtureOptions = {}): Promise<EstFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-est-'));
  const root = TestAuthority.root();
  const issuing = root.intermediate();
  const factory = TestAuthority.root({ name: 'CN=Factory Root,O=Vendor' });
  const keyAuthority = issuing.leaf({ subject: 'CN=key packages' });
  const credentials = new InMemoryCredentials(issuing, factory);
  const hall = new InMemoryHall(issuing);
  hall.credentials = credentials;
  const logged: string[] = [];
  const pressure = new Pressure(0);
  const { app } = createMutualTlsListener(
    {
      logger: pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }),
      limits: LIMITS,
      pressure,
      observe: () => undefined,
    },
    { certificates: [serverCertificate(issuing, 'rsa-2048'), serverCertificate(issuing, 'ec-p256')] },
  );
  const authorities = { caCertificates: async () => [issuing.der, root.der] };
  const defaultEndpoint = { label: 'default', isDefault: true, ...options.defaultEndpoint };
  const endpoints = directory([defaultEndpoint, ...(options.endpoints ?? [])].map(endpointWith));
  await app.register(
    estPlugin({
      endpoints,
      credentials,
      hall,
      authorities,
      ...(options.templates && { templates: options.templates }),
      ...(options.gate && { gate: options.gate }),
      ...(!options.withoutSigner && { keyPackageSigner: async () => signerOf(keyAuthority) }),
    }),
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  await writeFile(join(folder, 'root.pem'), encodePem('CERTIFICATE', root.der));
  return {
    port,
    url: `https://localhost:${port}/.well-known/est`,
    root,
    issuing,
    factory,
    keyAuthority,
    credentials,
    hall,
    logged,
    folder,
    file: (name, content) => writeInto(folder, name, content),
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
      pressure[Symbol.dispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What a command wrote and how it ended. */
export interface CommandResult {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a client without a shell; never rejects for its exit status. */
export function run(command: string, args: readonly string[], input?: string | Uint8Array): Promise<CommandResult> {
  const { promise, resolve } = Promise.withResolvers<CommandResult>();
  const child = execFile(command, args, { encoding: 'buffer', timeout: 20_000 }, (error, stdout, stderr) => {
    resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr: stderr.toString() });
  });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return promise;
}

/** A private key as PEM. */
export function pemOfKey(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

const LIMITS = {
  bodyBytes: 1024 * 1024,
  headersTimeoutSeconds: 10,
  requestTimeoutSeconds: 10,
  keepAliveSeconds: 10,
  connections: 0,
  connectionsPerSource: 0,
};

function endpointWith({ est = {}, ...changes }: EndpointChanges): Endpoint {
  const label = changes.label ?? 'default';
  return {
    id: label,
    tenant: 'default',
    label,
    profile: 'device',
    authority: 'issuing',
    revision: 1,
    isDefault: false,
    keyRules: DEFAULT_KEY_RULES,
    protocols: est === 'closed' ? {} : { est: { ...DEFAULT_SETTINGS, ...est } },
    attestation: NO_ATTESTATION,
    admission: [],
    approval: 'automatic',
    registrationAuthorities: [],
    retryAfterSeconds: 120,
    pendingLifetimeSeconds: 3600,
    ...changes,
  };
}

function directory(endpoints: readonly Endpoint[]): EndpointDirectory {
  return {
    resolve: async (label) =>
      endpoints.find((endpoint) => (label === undefined ? endpoint.isDefault : endpoint.label === label)),
  };
}

function serverCertificate(issuing: TestAuthority, kind: 'rsa-2048' | 'ec-p256'): { key: string; chain: string } {
  const leaf = issuing.leaf({
    subject: 'CN=localhost',
    key: kind,
    san: ['dns:localhost', 'ip:127.0.0.1'],
    eku: ['1.3.6.1.5.5.7.3.1'],
    keyUsage: kind === 'rsa-2048' ? ['digitalSignature', 'keyEncipherment'] : ['digitalSignature'],
  });
  const chain = encodePem('CERTIFICATE', leaf.der) + encodePem('CERTIFICATE', issuing.der);
  return { key: pemOfKey(leaf.privateKey), chain };
}

function signerOf({ der, privateKey }: IssuedCertificate): KeyPackageSigner {
  const signatureAlgorithm = 'ecdsa-with-SHA256';
  return { certificate: der, signatureAlgorithm, sign: async (data) => signWith(privateKey, signatureAlgorithm, data) };
}

async function writeInto(folder: string, name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}
