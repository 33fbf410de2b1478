import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { encodePem } from '../../core/x509/pem.ts';
import { takeLines } from '../../devices/inventory/manifests.ts';
import { EXIT } from '../../server/cli/exit-code.ts';
import { makePaa } from '../fakes/matter-authority.ts';
import { TestManufacturer } from '../fakes/test-manufacturer.ts';
import { muster } from '../server/support/terminal.ts';
import { ComposedServer } from '../support/composed-server.ts';
import { api, certificateOf, connection, enroll, rest } from '../support/installation.ts';
import { makeCsr } from '../support/test-pki.ts';

describe('the administration of attestation', () => {
  let server: ComposedServer;
  const maker = new TestManufacturer();

  beforeAll(async () => {
    server = await ComposedServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cli = (...argv: string[]) => muster([...argv, '--data', join(server.folder, 'data')]);
  const json = async <T>(...argv: string[]): Promise<T> => {
    const { code, out, err } = await cli(...argv, '--json');
    expect(code, err).toBe(EXIT.ok);
    return JSON.parse(out) as T;
  };
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(server.folder, name);
    await writeFile(path, content);
    return path;
  };

  it('trusts an anchor, with the settings of its purpose and no other', async () => {
    const file = await write('example-root.pem', encodePem('CERTIFICATE', maker.root.der));
    const settings = ['manufacturer=Example', 'expiry=ignore-device'];
    expect(await json('anchor', 'add', file, '--purpose', 'idevid', ...settings)).toMatchObject({
      name: 'example-root',
      purpose: 'idevid',
      settings: { manufacturer: 'Example', expiry: 'ignore-device', allowSha1: false },
    });
    expect((await cli('anchor', 'add', file, '--purpose', 'idevid')).code).toBe(EXIT.conflict);
    expect((await cli('anchor', 'add', file, '--purpose', 'ek', 'expirey=enforce')).err).toContain('expiry');
    expect((await cli('anchor', 'add', file, '--purpose', 'client', 'expiry=enforce')).code).toBe(EXIT.invalid);
    const key = await write('key.pem', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');
    expect((await cli('anchor', 'add', key, '--purpose', 'ek')).code).toBe(EXIT.invalid);
    expect((await cli('anchor', 'add', key, '--purpose', 'eat')).code).toBe(EXIT.invalid);
    expect(await json('anchor', 'set', 'example-root', 'settings={allowSha1: true}')).toMatchObject({
      settings: { manufacturer: 'Example', expiry: 'ignore-device', allowSha1: true },
    });
  });

  it('imports the authorities of a folder and lists of what was revoked', async () => {
    const folder = join(server.folder, 'paas');
    await mkdir(folder);
    await writeFile(join(folder, 'one.der'), makePaa().der);
    await writeFile(join(folder, 'bad.pem'), 'nothing');
    expect(await json('anchor', 'import-paa', folder)).toMatchObject({ added: 1, known: 0 });
    expect(await json('anchor', 'import-paa', folder)).toMatchObject({ added: 0, known: 1 });
    expect(await json('anchor', 'list', '--purpose', 'paa')).toHaveLength(1);
    const list = [{ issuer_subject_key_id: 'AB'.repeat(20), revoked_serial_numbers: ['01', '02'] }];
    const file = await write('revoked.json', JSON.stringify(list));
    expect(await json('anchor', 'revocations', file)).toEqual({ added: 2 });
    expect(await json('anchor', 'revocations', file)).toEqual({ added: 0 });
  });

  it('keeps reference values', async () => {
    const file = await write(
      'values.yaml',
      `model: M1\nfirmware: '4.2'\npcrs: {sha256: {"0": [${'9f'.repeat(32)}]}}\n`,
    );
    const { id } = await json<{ id: string }>('reference-value', 'add', file);
    expect(await json('reference-value', 'list', '--model', 'M1')).toMatchObject([{ id, firmware: '4.2' }]);
    expect((await cli('reference-value', 'delete', id)).code).toBe(EXIT.ok);
    expect(await json('reference-value', 'list')).toEqual([]);
  });

  it('imports manifests: CSV, NDJSON and JSON, and says which lines were not taken', async () => {
    const csv = await write('lot.csv', 'serial,model\nSN-1,M1\nSN-2,M1\n,\n');
    const imported = await cli('manifest', 'import', csv, '--json');
    expect(imported.code, imported.err).toBe(EXIT.ok);
    expect(JSON.parse(imported.out)).toMatchObject({ lines: 4, added: 2, refused: 1, state: 'finished' });
    expect(imported.err).toContain('line 4: expected a serial number or the hash of a key');
    const { id } = JSON.parse(imported.out) as { id: string };
    expect(await json('manifest', 'faults', id)).toMatchObject([{ line: 4 }]);
    expect((await cli('manifest', 'import', csv, '--resume', id)).code).toBe(EXIT.conflict);
    const array = await write('lot.json', JSON.stringify([{ serial: 'SN-1', model: 'M1' }, { serial: 'SN-3' }]));
    expect(await json('manifest', 'import', array)).toMatchObject({ added: 1, unchanged: 1, refused: 0 });
    // What was interrupted after its first line goes on behind it.
    const lines = [4, 5, 6].map((n) => JSON.stringify({ serial: `SN-${n}` }));
    const ndjson = await write('lot.ndjson', lines.join('\n'));
    const begun = await api<{ id: string }>(server, 'POST', '/manifests', { name: 'lot', format: 'ndjson' });
    const { store, endpoints } = server.server.kernel;
    const { tenant } = (await endpoints.resolve('default'))!;
    await takeLines(store, { tenant, id: begun.id, after: 0, text: lines[0]! });
    const resumed = await json('manifest', 'import', ndjson, '--resume', begun.id);
    expect(resumed).toMatchObject({ id: begun.id, lines: 3, added: 3 });
    expect(await json('manifest', 'device', 'show', 'SN-5')).toMatchObject({ state: 'expected' });
    expect(await json('manifest', 'device', 'add', 'serialNumber=SN-9', 'model=M2')).toMatchObject({ model: 'M2' });
    expect((await cli('manifest', 'device', 'add', 'serialNumber=SN-9', 'model=M3')).code).toBe(EXIT.conflict);
    expect(await json('manifest', 'device', 'block', 'SN-9')).toMatchObject({ state: 'blocked' });
  });

  it('shows verdicts and alarms of devices that enrolled by their IDevID', async () => {
    const settings = ['attestation={mode: enforce, expectedDevice: required}', 'protocols.est.authenticators=[idevid]'];
    expect(await json('endpoint', 'create', 'factory', 'protocols.est={}')).toMatchObject({
      attestation: { mode: 'off', renewal: 'new-key' },
    });
    expect(await json('endpoint', 'set', 'factory', ...settings)).toMatchObject({
      attestation: { mode: 'enforce', expectedDevice: 'required', oneTime: false },
    });
    const device = maker.device('SN-1');
    const client = { der: device.idevid.der, privateKey: device.idevid.privateKey, chain: [maker.intermediate.der] };
    const ask = () =>
      enroll(server, 'factory/simpleenroll', makeCsr({ subject: 'CN=SN-1' }).der, {
        agent: connection(server, client),
      });
    certificateOf(await ask());
    certificateOf(await ask());
    const stranger = maker.device('SN-77');
    const other = { der: stranger.idevid.der, privateKey: stranger.idevid.privateKey, chain: [maker.intermediate.der] };
    const refused = await enroll(server, 'factory/simpleenroll', makeCsr({ subject: 'CN=SN-77' }).der, {
      agent: connection(server, other),
    });
    expect(refused).toMatchObject({ status: 403, text: expect.stringContaining('device-not-expected') });
    const [newest] = await json<{ id: string }[]>('evidence', 'list', '--decision', 'refused');
    expect(await json('evidence', 'show', newest!.id)).toMatchObject({
      type: 'idevid',
      verdict: 'affirmed',
      decision: { mode: 'enforce', outcome: 'refused', faults: [{ code: 'device-not-expected' }] },
    });
    const content = await rest(server, 'GET', `/evidence/${newest!.id}/content`);
    expect(content.status).toBe(404);
    const [alarm] = await json<{ id: string }[]>('alarm', 'list');
    expect(alarm).toMatchObject({ kind: 'identity-cloned', state: 'open' });
    expect(await cli('alarm', 'acknowledge', alarm!.id)).toMatchObject({ code: EXIT.ok, err: '' });
    expect(await json('alarm', 'list', '--state', 'open')).toEqual([]);
    expect(await json('manifest', 'device', 'show', 'SN-1')).toMatchObject({ state: 'enrolled' });
    expect(await json('manifest', 'device', 'release', 'SN-1')).toMatchObject({ state: 'released' });
    expect((await ask()).text).toContain('device-released');
    expect(await json('manifest', 'device', 'expect', 'SN-1')).toMatchObject({ state: 'expected' });
    certificateOf(await ask());
  });

  it('enrols a batch, and goes on with one that was interrupted', async () => {
    await json('endpoint', 'create', 'lot', 'protocols.batch={}');
    const lines = Array.from({ length: 130 }, (_, n) =>
      JSON.stringify({ id: `r${n}`, csr: Buffer.from(makeCsr({ subject: `CN=lot-${n}` }).der).toString('base64') }),
    );
    const file = await write('requests.ndjson', `${lines.join('\n')}\nbad\n`);
    const out = join(server.folder, 'answers.ndjson');
    const done = await json<{ batch: string }>('batch', 'enroll', file, '--endpoint', 'lot', '--out', out);
    expect(done).toMatchObject({ issued: 130, refused: 1, pending: 0 });
    const answers = (await readFile(out, 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(answers.at(-1)!)).toMatchObject({ line: 131, outcome: 'refused', reason: 'malformed-request' });
    // The last part was answered and never written down: asked again, it holds the same certificates.
    await writeFile(out, `${answers.slice(0, 100).join('\n')}\n`);
    const again = await json('batch', 'enroll', file, '--endpoint', 'lot', '--out', out, '--resume', done.batch);
    expect(again).toMatchObject({ issued: 30, refused: 1 });
    expect((await readFile(out, 'utf8')).trimEnd().split('\n')).toEqual(answers);
    expect((await cli('batch', 'enroll', file, '--endpoint', 'lot', '--out', out)).code).toBe(EXIT.usage);
  });
});
