import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ConnectionOptions } from 'node:tls';

import { encodePem } from '../../core/x509/pem.ts';
import { MatterVendor } from '../fakes/matter-device.ts';
import { TestManufacturer } from '../fakes/test-manufacturer.ts';
import { pemOfKey } from '../support/est-fixture.ts';
import { send } from '../support/installation.ts';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import type { BenchServerReady } from './bench-server.ts';
import { bareHandshake, newConnections, startBareServer } from './est.ts';
import { EstConnection } from './est-load.ts';
import { figure, type Figure } from './figure.ts';
import { startBenchServer } from './start-bench-server.ts';

const RUNS = 3;
const RUN_SECONDS = 3;
const CONNECTIONS = 64;
/** Factory devices made ahead for each second of a run. */
const MOST_PER_SECOND = 600;
/** Matter devices made ahead for a run, which ends with them: making one costs as much as certifying it. */
const MATTER_DEVICES = 800;

/** First enrolments by what devices were made with: IDevIDs on connections of their own, and Matter by a gateway. */
export async function measureAttestationDoors(): Promise<Figure[]> {
  const { child, ready } = await startBenchServer();
  try {
    const site = siteOf(ready);
    return [await idevidRate(site), await matterRate(site)];
  } finally {
    child.disconnect();
  }
}

/** The server as the bench uses it. */
interface Site {
  readonly ready: BenchServerReady;
  readonly ca: string;
  readonly tls: (url: string) => ConnectionOptions;
}

function siteOf(ready: BenchServerReady): Site {
  const ca = readFileSync(ready.root, 'utf8');
  const common = { host: '127.0.0.1', servername: 'localhost', ca, ALPNProtocols: ['http/1.1'] };
  return { ready, ca, tls: (url) => ({ ...common, port: Number(new URL(url).port) }) };
}

async function administer({ ready, ca }: Site, path: string, body: object): Promise<void> {
  const { status, text } = await send({ ca }, `${ready.admin}/api/v1${path}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${ready.adminToken}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (status >= 300) throw new RangeError(`${path}: ${status} ${text}`);
}

/** A factory device: handshake with its IDevID, EST simpleenroll, close. Beside it, the handshake and two octets. */
async function idevidRate(site: Site): Promise<Figure> {
  const maker = new TestManufacturer();
  await administer(site, '/trust-anchors', {
    name: 'maker',
    purpose: 'idevid',
    pem: encodePem('CERTIFICATE', maker.root.der),
  });
  await administer(site, '/endpoints', {
    label: 'factory',
    protocols: { est: { authenticators: ['idevid'] } },
    attestation: 'enforce',
  });
  const bareServer = await startBareServer(dirname(site.ready.root));
  const fresh: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < RUNS; round++) {
    const devices = Array.from({ length: RUN_SECONDS * MOST_PER_SECOND }, (_, at) => factoryDevice(maker, round, at));
    const [first] = devices;
    const bareTls = { ...site.tls(site.ready.mtls), ...first!.identity, port: bareServer.port };
    bare.push(await newConnections(() => bareHandshake(bareTls)));
    fresh.push(await newConnections(() => enrolFirst(site, devices.pop())));
  }
  bareServer.child.disconnect();
  const peer = { name: 'bare mTLS handshakes', runs: bare };
  return figure('first enrolments by IDevID, a new mTLS connection each', 'certificates/s', fresh, peer);
}

interface LoadedDevice {
  readonly identity: { readonly cert: string; readonly key: string };
  readonly body: string;
}

/** Keys cost the load more than the server: all devices of a line share theirs, but not their certificates. */
const key = makeKey();

function factoryDevice(maker: TestManufacturer, round: number, at: number): LoadedDevice {
  const { idevid, chain, serialNumber } = maker.device(`R${round}-${at}`, { key });
  return {
    identity: { cert: chain.map((der) => encodePem('CERTIFICATE', der)).join(''), key: pemOfKey(idevid.privateKey) },
    body: Buffer.from(makeCsr({ subject: `CN=${serialNumber}`, key }).der).toString('base64'),
  };
}

async function enrolFirst(site: Site, device: LoadedDevice | undefined): Promise<void> {
  if (device === undefined) throw new RangeError('the bench made too few devices');
  const connection = await EstConnection.open({ ...site.tls(site.ready.mtls), ...device.identity });
  const { status, body } = await connection.enroll('factory', device.body, undefined);
  if (status !== 200) throw new RangeError(`the bench was answered ${status} ${body.toString().slice(0, 200)}`);
  connection.close();
}

/** A gateway that commissions Matter devices: their answers by kept-alive connections, certificates back. */
async function matterRate(site: Site): Promise<Figure> {
  const vendor = new MatterVendor();
  const anchors = { paa: vendor.paa.der, cd: vendor.declarations.certificate.der };
  for (const [purpose, der] of Object.entries(anchors)) {
    await administer(site, '/trust-anchors', { name: purpose, purpose, pem: encodePem('CERTIFICATE', der) });
  }
  await administer(site, '/endpoints', {
    label: 'matter',
    protocols: { attestation: { services: ['matter'], requestsPerMinute: 0 } },
    attestation: { mode: 'enforce', allowTestDevices: true },
  });
  const rates: number[] = [];
  for (let round = 0; round < RUNS; round++) rates.push(await matterRound(site, vendor));
  return figure('first enrolments by the Matter front door, kept-alive connections', 'certificates/s', rates);
}

async function matterRound(site: Site, vendor: MatterVendor): Promise<number> {
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => EstConnection.open(site.tls(site.ready.tls))),
  );
  const bodies: string[] = [];
  for (let made = 0; made < MATTER_DEVICES; made++) {
    bodies.push(await sessionOf(vendor, connections[made % CONNECTIONS]!));
  }
  const start = performance.now();
  const expired = (): boolean => performance.now() - start > RUN_SECONDS * 1000;
  let done = 0;
  await Promise.all(
    connections.map(async (connection) => {
      for (let body = bodies.pop(); body !== undefined && !expired(); body = bodies.pop()) {
        await post(connection, 'matter', body);
        done += 1;
      }
    }),
  );
  const rate = (done * 1000) / (performance.now() - start);
  for (const connection of connections) connection.close();
  return rate;
}

/** What a device answers, in JSON: for a nonce of the server's, as anybody may ask for one. */
async function sessionOf(vendor: MatterVendor, connection: EstConnection): Promise<string> {
  const answer = JSON.parse(await post(connection, 'nonce', '{}')) as { nonce: string };
  const nonce = Buffer.from(answer.nonce, 'base64url');
  const challenge = randomBytes(16);
  const device = vendor.device();
  const nocsr = device.requestCertificate(nonce, challenge);
  const { elements, signature: elementsSignature } = device.attest(nonce, challenge);
  const { dac, pai } = device;
  const members = {
    dac,
    pai,
    challenge,
    nocsr: nocsr.elements,
    nocsrSignature: nocsr.signature,
    elements,
    elementsSignature,
  };
  return JSON.stringify(
    Object.fromEntries(Object.entries(members).map(([name, octets]) => [name, Buffer.from(octets).toString('base64')])),
  );
}

async function post(connection: EstConnection, operation: string, body: string): Promise<string> {
  const answer = await connection.post(`/attestation/matter/${operation}`, body, {
    'Content-Type': 'application/json',
  });
  const text = answer.body.toString();
  if (answer.status === 200) return text;
  throw new RangeError(`the bench was answered ${answer.status} ${text.slice(0, 200)}`);
}
