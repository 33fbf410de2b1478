import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { durableRows } from '../../../core/store/rows.ts';
import { findExpected, listExpected } from '../../../devices/inventory/expected-devices.ts';
import { deviceOfCsv, deviceOfJson, manifestColumns, ManifestFault } from '../../../devices/inventory/manifest-line.ts';
import {
  finishManifest,
  findManifest,
  listManifestFaults,
  openManifest,
  takeLines,
} from '../../../devices/inventory/manifests.ts';
import { Site, type SiteTenant } from '../../enrollment/site.ts';
import { ENGINES } from '../../support/stores.ts';

const HASH = 'ab'.repeat(32);

describe('a line of a manifest', () => {
  const columns = manifestColumns('Serial,EK-SHA256,idevid_hash,VID,PID,Model,Name');

  it('is read from CSV, with and without quotes', () => {
    expect(deviceOfCsv(`SN-1,${HASH.toUpperCase()},,0xfff1,8000,"Edge, ""7""",`, columns)).toEqual({
      serialNumber: 'SN-1',
      ekSha256: HASH,
      idevidSha256: null,
      vendorId: 'FFF1',
      productId: '8000',
      model: 'Edge, "7"',
      name: null,
    });
    expect(manifestColumns('\uFEFFserial')).toEqual(['serialNumber']);
  });

  it('is read from JSON', () => {
    expect(deviceOfJson('{"serialNumber":"SN-2","model":null}')).toMatchObject({ serialNumber: 'SN-2', model: null });
  });

  it.each([
    ['SN-1,,,,,', 'expected 7 fields, found 6'],
    [',,,,,M,', 'expected a serial number or the hash of a key'],
    ['SN-1,abc,,,,,', 'ek-sha256: expected SHA-256 in hex'],
    ['SN-1,,,12345,,,', 'vid: expected four hex digits'],
    ['"SN-1,,,,,,', 'expected a field in whole quotes'],
    [`${'x'.repeat(300)},,,,,,`, 'serial: expected at most 255 characters and none of control'],
    ['x'.repeat(5000), 'expected a line of at most 4096 characters'],
  ])('%.40s is refused: %s', (line, fault) => {
    expect(() => deviceOfCsv(line, columns)).toThrow(new ManifestFault(fault));
  });

  it.each(['[]', '{', '"x"', '{"serial":1}', '{"colour":"red"}'])('%s is refused', (line) => {
    expect(() => deviceOfJson(line)).toThrow(ManifestFault);
  });

  it('is read or refused, whatever it is', () => {
    const reads = (line: string) => {
      for (const read of [() => deviceOfCsv(line, columns), () => deviceOfJson(line), () => manifestColumns(line)]) {
        try {
          read();
        } catch (error) {
          expect(error).toBeInstanceOf(ManifestFault);
        }
      }
    };
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), reads), { numRuns: 300 });
    fc.assert(
      fc.property(fc.array(fc.constantFrom('"', ',', 'a', ' ', '""')), (parts) => reads(parts.join(''))),
      {
        numRuns: 300,
      },
    );
  });
});

describe.each(ENGINES)('manifests on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let other: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    other = await site.tenant('other');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const open = (format: 'csv' | 'ndjson', tenant = acme.id) =>
    site.store.unit((tx) => openManifest(tx, { tenant, name: 'm', format, createdBy: 'user:a' }, site.clock.now()));
  const take = (id: string, after: number, text: string, tenant = acme.id) =>
    takeLines(site.store, { tenant, id, after, text });
  const find = async (id: string) => (await findManifest(durableRows(site.store), acme.id, id))!;
  const expected = (key: string, tenant = acme.id) => findExpected(durableRows(site.store), tenant, key);

  it('take lines in parts, count them, and say which were not taken and why', async () => {
    const id = await open('csv');
    await take(id, 0, `serial,ek-sha256,model\r\nA-1,,M\r\nA-2,zz,M\r\n`);
    expect(await find(id)).toMatchObject({ lines: 3, added: 1, refused: 1 });
    await take(id, 3, `\nA-1,,M\nA-1,,Another\nA-3,${HASH},M\nA-4,${HASH},M`);
    expect(await find(id)).toMatchObject({ lines: 8, added: 2, unchanged: 1, refused: 3, state: 'open' });
    expect(await listManifestFaults(site.store, acme.id, { manifest: id, after: 0, limit: 10 })).toMatchObject([
      { line: 3, fault: 'ek-sha256: expected SHA-256 in hex' },
      { line: 6, fault: 'says otherwise than what is known of this device' },
      { line: 8, fault: 'says otherwise than what is known of this device' },
    ]);
    expect(await expected('A-3')).toMatchObject({ state: 'expected', ek_sha256: HASH, manifest: id });
  });

  it('go on where they stopped, and nowhere else', async () => {
    const id = await open('ndjson');
    const line = (n: number) => JSON.stringify({ serial: `R-${n}` });
    await take(id, 0, [1, 2].map(line).join('\n'));
    await expect(take(id, 0, line(1))).rejects.toMatchObject({ reason: 'conflict' });
    await expect(take(id, 5, line(1))).rejects.toMatchObject({ reason: 'conflict' });
    await take(id, 2, line(3));
    await site.store.unit((tx) => finishManifest(tx, acme.id, id, 1));
    await expect(take(id, 3, line(4))).rejects.toMatchObject({ reason: 'conflict' });
    expect(await find(id)).toMatchObject({ lines: 3, added: 3, state: 'finished' });
  });

  it('are not those of another tenant, nor are their devices', async () => {
    const id = await open('ndjson');
    await expect(take(id, 0, '{"serial":"T-1"}', other.id)).rejects.toMatchObject({ reason: 'not-found' });
    await take(id, 0, '{"serial":"T-1"}');
    const theirs = await open('ndjson', other.id);
    await take(theirs, 0, '{"serial":"T-1","model":"theirs"}', other.id);
    expect(await expected('T-1')).toMatchObject({ model: null });
    expect(await expected('T-1', other.id)).toMatchObject({ model: 'theirs' });
  });

  it('take thousands of lines in units that others get between', async () => {
    const id = await open('csv');
    const lines = Array.from({ length: 3_000 }, (_, n) => `B-${n},M`);
    const units = site.store.statistics.committedUnits;
    let between = 0;
    const counting = setInterval(() => {
      between += 1;
    }, 0);
    await take(id, 0, ['serial,model', ...lines].join('\n'));
    clearInterval(counting);
    expect(await find(id)).toMatchObject({ lines: 3_001, added: 3_000, refused: 0 });
    expect(site.store.statistics.committedUnits - units).toBeGreaterThanOrEqual(2);
    expect(between).toBeGreaterThan(0);
    expect(await listExpected(durableRows(site.store), acme.id, { limit: 10, manifest: id })).toHaveLength(10);
  });

  it('refuse a CSV whose first line names no columns', async () => {
    const id = await open('csv');
    await expect(take(id, 0, 'A-9,x\n')).rejects.toMatchObject({ reason: 'malformed-request' });
    expect(await find(id)).toMatchObject({ lines: 0 });
  });
});
