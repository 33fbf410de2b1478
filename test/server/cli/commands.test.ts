import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditSequencer } from '../../../core/audit/audit-sequencer.ts';
import { checkpointDirectory } from '../../../core/audit/checkpoint-memory.ts';
import { appendAudit } from '../../../core/audit/log.ts';
import { EXIT, EXIT_MEANINGS } from '../../../server/cli/exit-code.ts';
import { ApiServer } from '../support/api-server.ts';
import { seeded } from '../support/seed.ts';
import { selfSigned } from '../support/tls-identity.ts';
import { muster } from '../support/terminal.ts';

const ours = seeded('default');

describe('the command line', () => {
  let server: ApiServer;
  let data: string;
  beforeAll(async () => {
    server = await ApiServer.start();
    data = await server.listen(await server.token('admin'));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cli = (...argv: string[]) => muster(argv, { environment: { MUSTER_DATA: data } });
  const json = async (...argv: string[]) => {
    const { code, out, err } = await cli(...argv, '--json');
    expect(code, err).toBe(EXIT.ok);
    return JSON.parse(out) as unknown;
  };

  it('finds the server by the data folder, by flags and by the environment', async () => {
    expect((await muster(['status', '--data', data])).out).toMatch(/^role +admin$/m);
    const { admin } = JSON.parse(readFileSync(join(data, 'server.json'), 'utf8')) as { admin: string };
    const flags = ['--server', admin, '--token-file', join(data, 'admin-token'), '--ca-file', join(data, 'root.pem')];
    expect((await muster(['status', ...flags])).code).toBe(EXIT.ok);
    const environment = { MUSTER_SERVER: admin, MUSTER_TOKEN_FILE: flags[3]!, MUSTER_CA_FILE: flags[5]! };
    expect((await muster(['status'], { environment })).code).toBe(EXIT.ok);
  });

  it('says what is missing when there is no server, and never sends a token to one it cannot trust', async () => {
    const nowhere = await muster(['status'], { folder: '/nowhere' });
    expect(nowhere).toMatchObject({ code: EXIT.unreachable, out: '' });
    expect(nowhere.err).toContain('/nowhere/data');
    const { admin } = JSON.parse(readFileSync(join(data, 'server.json'), 'utf8')) as { admin: string };
    expect((await muster(['status', '--server', admin, '--data', data])).err).toContain('--token-file');
    const other = join(data, 'other.pem');
    writeFileSync(other, selfSigned('ec', 'other').chain);
    const untrusted = await cli('status', '--ca-file', other);
    expect(untrusted).toMatchObject({ code: EXIT.unreachable });
    expect(untrusted.err).toContain('cannot be trusted');
    expect(
      (await muster(['status', '--server', 'http://127.0.0.1:1', '--token-file', join(data, 'admin-token')])).code,
    ).toBe(EXIT.usage);
  });

  it('tells unknown commands, flags and values from each other, with what was meant', async () => {
    expect(await cli('endpiont', 'list')).toMatchObject({ code: EXIT.usage, err: expect.stringContaining('endpoint') });
    expect(await cli('device', 'list', '--sate', 'x')).toMatchObject({
      code: EXIT.usage,
      err: expect.stringContaining('--state'),
    });
    expect(await cli('device', 'list', '--state', 'x')).toMatchObject({ code: EXIT.usage });
    expect(await cli('secret', 'create', '--lifetime', 'soon')).toMatchObject({
      code: EXIT.usage,
      err: expect.stringContaining('24h'),
    });
    expect(await cli('endpoint', 'set', 'x', 'novalue')).toMatchObject({ code: EXIT.usage });
  });

  it('names servers by contexts, which hold no token', async () => {
    const { admin } = JSON.parse(readFileSync(join(data, 'server.json'), 'utf8')) as { admin: string };
    const environment = { XDG_CONFIG_HOME: join(data, 'config') };
    const run = (...argv: string[]) => muster(argv, { folder: data, environment });
    const flags = ['--server', admin, '--token-file', 'admin-token', '--ca-file', 'root.pem', '--tenant', 'acme'];
    expect((await run('context', 'add', 'lab', ...flags)).code).toBe(EXIT.ok);
    const devices = await run('device', 'list', '--json');
    expect(devices.out).toContain('device-acme');
    expect((await run('device', 'list', '--json', '--tenant', 'default')).out).toContain('device-default');
    expect((await run('status', '--context', 'other')).code).toBe(EXIT.usage);
    expect((await run('context', 'list', '--json')).out).toContain('"current": true');
    const file = readFileSync(join(data, 'config', 'muster', 'contexts.yaml'), 'utf8');
    expect(file).not.toContain(readFileSync(join(data, 'admin-token'), 'utf8').trim());
    expect((await run('context', 'remove', 'lab')).code).toBe(EXIT.ok);
    expect((await muster(['status'], { folder: '/nowhere', environment })).code).toBe(EXIT.unreachable);
  });

  it('completes commands, flags and choices', async () => {
    expect((await cli('complete', '--', 'tenan')).out).toBe('tenant\n');
    expect((await cli('complete', '--', 'ca', '')).out).toMatch(/^adopt\ncreate\n/);
    expect((await cli('complete', '--', 'cert', 'list', '--sta')).out).toBe('--status\n');
    expect((await cli('complete', '--', 'certificate', 'list', '--status', 'r')).out).toBe('revoked\n');
    for (const shell of ['bash', 'zsh', 'fish'])
      expect((await cli('completion', shell)).out).toContain('muster complete');
  });

  it('every command has a help with an example', async () => {
    for (const line of [
      'status',
      'doctor',
      'endpoint list',
      'endpoint create',
      'endpoint set',
      'endpoint delete',
      'secret create',
      'secret derive',
      'device block',
      'enrollment approve',
      'certificate export',
      'audit verify',
      'audit export',
      'token create',
    ]) {
      const { code, out } = await cli(...line.split(' '), '--help');
      expect(code, line).toBe(EXIT.ok);
      expect(out, line).toMatch(/Examples?:\n {2}muster/);
    }
  });

  it('endpoint: create, set, show, list, delete', async () => {
    await json('endpoint', 'create', 'branch', 'protocols.est={}');
    expect(
      await json(
        'endpoint',
        'set',
        'branch',
        'approval=manual',
        'protocols.est.authenticators=[password]',
        'retryAfterSeconds=30',
      ),
    ).toMatchObject({
      approval: 'manual',
      retryAfterSeconds: 30,
      protocols: { est: { authenticators: ['password'], wrapping: 'auto' } },
    });
    expect((await cli('endpoint', 'list')).out).toMatch(/^LABEL .*\n[^]*branch +est +off +manual +2/);
    expect((await cli('endpoint', 'set', 'branch', 'aproval=manual')).err).toContain('did you mean "approval"?');
    expect((await cli('endpoint', 'delete', 'branch')).out).toBe('endpoint branch deleted\n');
    expect(await cli('endpoint', 'show', 'branch')).toMatchObject({ code: EXIT.notFound });
  });

  it('secret, device, enrollment: create, block, approve, and conflicts by exit code', async () => {
    const made = await cli('secret', 'create', '--endpoint', ours.endpoint, '--subject', 'router9');
    expect(made.out).toMatch(/^id +\S+\nexpiresAt +\S+\nsecret +[0-9a-z]{32}\n/);
    expect(await json('secret', 'list')).toMatchObject([{ subject: 'router9', state: 'free' }]);
    expect((await cli('device', 'block', ours.device)).out).toContain('is blocked');
    expect((await cli('device', 'unblock', ours.device)).out).toContain('is enrolled');
    expect((await cli('enrollment', 'approve', ours.enrollment, '--comment', 'seen')).out).toContain('is approved');
    expect(await cli('enrollment', 'reject', ours.enrollment)).toMatchObject({ code: EXIT.conflict });
  });

  it('secret: kinds with their flags, a chosen one from a file, a derived challenge', async () => {
    const at = ['--endpoint', ours.endpoint];
    expect(await json('secret', 'create', ...at, '--kind', 'mac', '--usage', 'device')).toMatchObject({
      reference: expect.stringMatching(/^[0-9a-z]{12}$/),
      secret: expect.any(String),
    });
    const file = join(data, 'challenge.txt');
    writeFileSync(file, 'correct horse battery\nsecond line\n');
    const chosen = ['--kind', 'static', '--allow', 'branch-*', 'hub', '--secret-file', file];
    expect(await json('secret', 'create', ...at, ...chosen)).not.toHaveProperty('secret');
    expect((await cli('secret', 'list')).out).toMatch(/KIND +REFERENCE[^]*static/);
    const key = (await json('secret', 'create', ...at, '--kind', 'derived')) as { id: string };
    expect(await json('secret', 'derive', key.id, '--subject', 'router1', '--lifetime', '1d')).toMatchObject({
      challenge: expect.stringMatching(/^\d{8}-[0-9a-z]{32}$/),
    });
    const missing = await cli('secret', 'create', ...at, '--kind', 'static', '--secret-file', join(data, 'none'));
    expect(missing).toMatchObject({ code: EXIT.usage });
    expect(await cli('secret', 'create', '--secret', 'on the command line')).toMatchObject({ code: EXIT.usage });
  });

  it('certificate export writes what openssl reads', async () => {
    const file = join(data, 'router.pem');
    expect((await cli('certificate', 'export', ours.certificate, '--out', file)).code).toBe(EXIT.ok);
    expect(execFileSync('openssl', ['x509', '-in', file, '-noout', '-subject'], { encoding: 'utf8' })).toContain(
      'Test CA',
    );
    expect((await cli('certificate', 'export', ours.certificate)).out).toBe(readFileSync(file, 'utf8'));
  });

  it('token: create narrow, list, revoke; a narrow token is refused elsewhere', async () => {
    const { id, token } = (await json(
      'token',
      'create',
      '--label',
      'scraper',
      '--role',
      'auditor',
      '--scope',
      'metrics:read',
    )) as { id: string; token: string };
    const file = join(data, 'narrow-token');
    writeFileSync(file, token);
    expect(await cli('device', 'list', '--token-file', file)).toMatchObject({ code: EXIT.refused });
    expect((await cli('token', 'list')).out).not.toContain(token);
    expect((await cli('token', 'revoke', id)).code).toBe(EXIT.ok);
  });

  it('token create --offline tells that a running server keeps its database', async () => {
    const refused = await cli('token', 'create', '--label', 'rescue', '--role', 'admin', '--offline');
    expect(refused).toMatchObject({ code: EXIT.unavailable, err: expect.stringContaining('stop the server') });
  });

  it('doctor and exit-codes', async () => {
    expect((await cli('doctor')).out).toContain('ok       well');
    expect((await cli('exit-codes')).out).toMatch(/^CODE +NAME +MEANING\n0 +ok/);
  });

  it('documents each exit code as it is', () => {
    const readme = readFileSync('server/cli/README.md', 'utf8');
    for (const [name, code] of Object.entries(EXIT)) {
      expect(readme).toContain(`| ${code} | ${EXIT_MEANINGS[name as keyof typeof EXIT]} |`);
    }
  });

  it('shows no control character of a device to the terminal', async () => {
    await server.store.unit(async (tx) => {
      await tx
        .db<{ devices: { name: string; id: string } }>()
        .updateTable('devices')
        .set({ name: 'r\u001b[2Jouter' })
        .where('id', '=', ours.device)
        .execute();
    });
    const { out } = await cli('device', 'list');
    expect(out).not.toContain('\u001b');
    expect(out).toContain('r\\u{1b}[2Jouter');
  });

  it('fits tables into the terminal and never cuts an id', async () => {
    const { out } = await muster(['enrollment', 'list', '--data', data], { columns: 60 });
    expect(out).toContain(ours.enrollment);
    expect(out).toContain('…');
  });

  it('audit: export and verify offline, by the database and by the export, and find what was changed', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    writeFileSync(join(data, 'key.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    const signer = { publicKey: spki, sign: (bytes: Uint8Array) => Promise.resolve(sign(null, bytes, privateKey)) };
    const signing = { originBase: 'test.example', signer, memory: checkpointDirectory(join(data, 'checkpoints')) };
    const sequencer = new AuditSequencer({
      store: server.store,
      signing,
      onAlarm: ({ error }) => expect.fail(String(error)),
    });
    await sequencer.pass({ signAll: true });
    const since = join(data, 'since');
    writeFileSync(since, (await cli('audit', 'checkpoint')).out);
    const entry = {
      tenant: 'default',
      at: 1,
      actor: 'test:t',
      action: 'test.done',
      object: 'test:1',
      outcome: 'success' as const,
      details: {},
    };
    await server.store.unit((tx) => appendAudit(tx, entry));
    await sequencer.pass({ signAll: true });
    expect((await cli('audit', 'list', '--limit', '1')).out).toContain('test.done');

    const key = ['--key', join(data, 'key.pem'), '--since', since];
    const stored = await cli('audit', 'verify', ...key);
    expect(stored, stored.err).toMatchObject({
      code: EXIT.ok,
      out: expect.stringContaining('the log is what was signed'),
    });
    const file = join(data, 'audit.ndjson');
    expect((await cli('audit', 'export', '--out', file)).code).toBe(EXIT.ok);
    expect((await cli('audit', 'verify', ...key, '--entries', file)).code).toBe(EXIT.ok);

    const lines = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [lines[1], lines[0], ...lines.slice(2)].join('\n'));
    const swapped = await cli('audit', 'verify', ...key, '--entries', file);
    expect(swapped).toMatchObject({ code: EXIT.findings, out: expect.stringContaining('missing or moved') });
  });
});

it('token create --offline makes an admin token while no server runs', async () => {
  const server = await ApiServer.start();
  const data = await server.listen('x');
  await server.store.close();
  const made = await muster([
    'token',
    'create',
    '--label',
    'rescue',
    '--role',
    'admin',
    '--offline',
    '--data',
    data,
    '--json',
  ]);
  expect(made.code, made.err).toBe(EXIT.ok);
  expect(JSON.parse(made.out)).toMatchObject({ token: expect.stringMatching(/^mst_/) });
  await server[Symbol.asyncDispose]();
});
