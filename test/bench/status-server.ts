import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import type { AuthorityTables } from '../../core/authority/tables.ts';
import { statement } from '../../core/store/statement.ts';
import { serve } from '../../server/composition/serve.ts';
import { loadConfiguration } from '../../server/configuration/load.ts';
import { parseServeArguments } from '../../server/configuration/serve-arguments.ts';

/** What the child tells its parent once it listens. */
export interface StatusServerReady {
  readonly port: number;
  /** The port of a bare HTTP server in the same process: the limit. */
  readonly barePort: number;
  readonly authority: string;
  /** DER of the authority's certificate, base64. */
  readonly issuer: string;
  /** Serial numbers of certificates in the store. */
  readonly serialNumbers: readonly string[];
}

const CERTIFICATES = 5_000;
const SIGN_MS = 1_000;

/**
 * Run as a child of the bench: the whole server with P-256 CAs, certificates in its store, and a bare HTTP server beside it.
 */
async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'muster-bench-'));
  const flags = parseServeArguments(['--data', folder, '--port-base', process.argv[2]!]);
  const configuration = loadConfiguration({ arguments: flags, environment: { MUSTER_LOG_LEVEL: 'error' }, folder });
  const server = await serve(configuration, { algorithms: { rootAlgorithm: 'ec-p256', issuingAlgorithm: 'ec-p256' } });
  const { store, endpoints, authorities, crls } = server.kernel;
  const { tenant, authority } = (await endpoints.resolve(undefined))!;
  const serialNumbers = Array.from({ length: CERTIFICATES }, () => `4${randomBytes(20).toString('hex').slice(1)}`);
  await seed(serialNumbers);
  const [issuer] = await authorities.caCertificates(tenant, authority);
  const bare = createServer((_request, response) => {
    response.writeHead(200, ['Content-Type', 'application/ocsp-response', 'Content-Length', String(BODY.length)]);
    response.end(BODY, 'latin1');
  });
  bare.listen(0, '127.0.0.1');
  await once(bare, 'listening');
  process.on('message', (message: 'sign' | { readonly revoked: number; readonly scope: string }) => {
    const measuring = message === 'sign' ? signingRate() : measureCrl(message);
    void measuring.then((measured) => process.send!(measured));
  });
  process.on('disconnect', () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
  const ready: StatusServerReady = {
    port: Number(new URL(server.urls.plain).port),
    barePort: (bare.address() as { port: number }).port,
    authority,
    issuer: Buffer.from(issuer!).toString('base64'),
    serialNumbers,
  };
  process.send!(ready);

  /** Rows as issuing them leaves them, without the signatures, which nobody asks for here. */
  async function seed(serials: readonly string[]): Promise<void> {
    const now = Date.now();
    for (let at = 0; at < serials.length; at += 500) {
      await store.unit((tx) =>
        tx
          .db<AuthorityTables>()
          .insertInto('certificates')
          .values(
            serials.slice(at, at + 500).map((serial) => ({
              id: randomBytes(16).toString('hex'),
              tenant,
              kind: 'x509' as const,
              authority,
              serial_number: serial,
              device: null,
              profile: null,
              enrollment: null,
              subject: `CN=${serial}`,
              der: new Uint8Array(0),
              fingerprint: '',
              spki_sha256: '',
              key_algorithm: 'EC P-256',
              not_before: now,
              not_after: now + 365 * 86_400_000,
              status: 'active' as const,
              revoked_at: null,
              revocation_reason: null,
              replaced_by: null,
              source: 'issued' as const,
              created_at: now,
            })),
          )
          .execute(),
      );
    }
  }

  async function signingRate(): Promise<number> {
    const { key } = await server.kernel.identities.current(tenant, authority, 'ocsp');
    const octets = new Uint8Array(300);
    const start = performance.now();
    let done = 0;
    const sign = async (): Promise<void> => {
      for (; performance.now() - start < SIGN_MS; done++) await key.sign(octets, { tenant });
    };
    await Promise.all(Array.from({ length: 64 }, sign));
    return done / ((performance.now() - start) / 1000);
  }

  async function measureCrl({ revoked, scope }: { readonly revoked: number; readonly scope: string }) {
    await seedRevocations(revoked, scope);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    let peak = 0;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
    const before = process.memoryUsage.rss();
    const start = performance.now();
    await crls.publish({ tenant, authority, scope }, 'regular');
    const milliseconds = performance.now() - start;
    clearInterval(watch);
    delay.disable();
    const crl = await crls.inForce({ tenant, authority, scope: scope === 'changes' ? 'delta' : scope });
    return {
      milliseconds,
      entries: crl.entries,
      megabytes: crl.size / 1e6,
      before: before / 1e6,
      peak: peak / 1e6,
      delayP99: delay.percentile(99) / 1e6,
      delayMax: delay.max / 1e6,
    };
  }

  async function seedRevocations(count: number, scope: string): Promise<void> {
    const now = Date.now();
    const shard = scope === 'full' ? 1 : scope === 'changes' ? 2 : Number(scope);
    // A delta names what changed since the full one.
    const changedAt = scope === 'changes' ? now : 0;
    for (let done = 0; done < count; done += 2000) {
      await store.unit(async (tx) => {
        for (let index = done; index < Math.min(count, done + 2000); index++) {
          // In their order: the tree grows at its end.
          const serial = `4${shard}${index.toString(16).padStart(8, '0')}`.padEnd(40, '5a');
          await tx.affected(insertRevocation, { tenant, authority, serial, shard, reason: index % 5, now, changedAt });
        }
      });
    }
  }
}

const insertRevocation = statement<AuthorityTables>()(
  'bench-revocation',
  (
    db,
    p: {
      tenant: string;
      authority: string;
      serial: string;
      shard: number;
      reason: number;
      now: number;
      changedAt: number;
    },
  ) =>
    db.insertInto('revocations').values({
      tenant: p.tenant,
      authority: p.authority,
      serial_number: p.serial,
      certificate: '',
      shard: p.shard,
      state: 'revoked',
      reason: p.reason,
      revoked_at: p.now,
      invalidity_date: null,
      not_after: 4_000_000_000_000,
      changed_at: p.changedAt,
    }),
);

const BODY = '0'.repeat(900);

await main();
