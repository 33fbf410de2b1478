import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { EXTENSIONS, rawExtension } from '../../core/x509/extensions.ts';
import { encodeName, type Name } from '../../core/x509/name.ts';
import { ATTRIBUTE_TYPE, EXTENSION } from '../../core/x509/oids.ts';
import { ENGINES } from '../support/stores.ts';
import { type CsrOptions, makeCsr, makeKey } from '../support/test-pki.ts';
import { approve } from '../../core/enrollment/enrollments.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

const key = makeKey();
type Attribute = readonly [keyof typeof ATTRIBUTE_TYPE, string];
const named = (...texts: readonly Attribute[]): Name =>
  encodeName(texts.map(([type, value]) => [{ type: ATTRIBUTE_TYPE[type], value: { kind: 'utf8String', value } }]));

const long = 'x'.repeat(60_000);

/** Requests that are DER and mean no good: to indexes, to columns, to logs, to whoever reads them. */
const HOSTILE: readonly (readonly [string, CsrOptions])[] = [
  ['a NUL in the CN', { subject: named(['commonName', 'a\0b']) }],
  ['a NUL in the serialNumber', { subject: named(['serialNumber', 'a\0b'], ['commonName', 'a']) }],
  ['a NUL in an attribute beside', { subject: named(['commonName', 'a'], ['organizationName', 'b\0c']) }],
  ['line feeds and escapes in the CN', { subject: named(['commonName', 'a\r\n\u001b[2J{"level":60}']) }],
  ['a CN of 60,000 characters', { subject: named(['commonName', long]) }],
  ['a description of 60,000 quotes', { subject: named(['commonName', 'a'], ['title', '"'.repeat(60_000)]) }],
  [
    'a subject of 20 attributes of 1,000 characters',
    {
      subject: named(
        ['commonName', 'many'],
        ...Array.from({ length: 19 }, () => ['title', '\u20ac'.repeat(1000)] as const),
      ),
    },
  ],
  ['two names', { subject: named(['commonName', 'one'], ['commonName', 'two']) }],
  ['no subject and a URI of 60,000 characters', { subject: '', san: [`uri:urn:${long}`] }],
  ['a URI of 60,000 characters', { subject: 'CN=long-uri', san: [`uri:urn:${long}`] }],
  [
    'an otherName of 20,000 octets',
    {
      subject: 'CN=other',
      san: [`othername:1.2.3;0482${(20_000).toString(16).padStart(4, '0')}${'00'.repeat(20_000)}`],
    },
  ],
  [
    '32 URIs of 2,000 characters',
    { subject: 'CN=uris', san: Array.from({ length: 32 }, (_, index) => `uri:urn:${index}:${long.slice(0, 2000)}`) },
  ],
  [
    '1,000 host names',
    { subject: 'CN=hosts', san: Array.from({ length: 1000 }, (_, index) => `dns:h${index}.example`) },
  ],
  [
    'a NUL in a URI',
    { subject: 'CN=nul', extensions: [EXTENSIONS.subjectAltName.encode([{ kind: 'uri', value: 'urn:a\0b' }])] },
  ],
  [
    'a NUL in a mailbox',
    { subject: 'CN=nul', extensions: [EXTENSIONS.subjectAltName.encode([{ kind: 'rfc822Name', value: 'a\0@b' }])] },
  ],
  ['an emoji cut in two by whoever cuts', { subject: 'CN=emoji', san: [`uri:urn:${'a'.repeat(246)}`], extensions: [] }],
  [
    'an extension that is no DER',
    {
      subject: 'CN=bad',
      extensions: [rawExtension(EXTENSION.extendedKeyUsage, Uint8Array.of(0x04, 0x01, 0xff), false)],
    },
  ],
  [
    'a basicConstraints with rubbish',
    {
      subject: 'CN=bad',
      extensions: [rawExtension(EXTENSION.basicConstraints, Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x07), true)],
    },
  ],
];

describe.each(ENGINES)('hostile requests on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  it.each([...HOSTILE])('%s: is refused or issued, and recorded either way', async (_, names) => {
    const before = (await site.audit(acme.id)).length;
    const outcome = await site.enroll(acme.endpoint, { csr: makeCsr({ ...names, key }).der });
    expect(['issued', 'rejected']).toContain(outcome.kind);
    expect((await site.enrollment(acme.endpoint, outcome.enrollmentId))?.status).toBe(outcome.kind);
    expect((await site.audit(acme.id)).length).toBe(before + 1);
    expect(await site.hall.resumeInterrupted(true)).toBe(0);
  });

  it('and any other: none is left half done', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.constantFrom('\0', '\u202e', "'; drop table enrollments; --", '%', '\ufffe'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.constantFrom<Attribute[0]>('commonName', 'serialNumber', 'organizationName', 'title'), text),
          { maxLength: 4 },
        ),
        async (attributes) => {
          const wellFormed = attributes.map(([type, value]) => [type, value.toWellFormed()] as const);
          const outcome = await site.enroll(acme.endpoint, {
            csr: makeCsr({ subject: named(...wellFormed), key }).der,
          });
          expect((await site.enrollment(acme.endpoint, outcome.enrollmentId))?.status).toBe(outcome.kind);
        },
      ),
      { numRuns: 25 },
    );
    expect((await site.enrollments(acme.endpoint)).filter(({ status }) => status === 'signing')).toEqual([]);
  });

  it('no secret is in any row of any table, nor in any outcome', async () => {
    const manual = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual' });
    const { enrollmentId } = await site.enroll(manual);
    await site.store.unit((tx) =>
      approve(tx, { tenant: acme.id, id: enrollmentId!, actor: 'user:a', comment: '', now: Date.now() }),
    );
    await site.secret(acme.endpoint, { usage: 'device', username: 'r1' });
    const dump = await dumpOf(site);
    // The dump holds what is no secret: it looks into every kind of column.
    expect(dump).toContain('user:test');
    expect(dump).toContain('enrollment.pending');
    expect(dump).toContain(Buffer.from('user:a').toString('latin1'));
    expect(site.secrets.length).toBeGreaterThan(20);
    const told = JSON.stringify(site.decided);
    for (const secret of site.secrets) {
      expect(dump).not.toContain(secret);
      expect(told).not.toContain(secret);
    }
  });
});

/** Every value of every row of every table, blobs as Latin-1 text. */
async function dumpOf({ store }: Site): Promise<string> {
  const list =
    store.engine === 'sqlite'
      ? sql<{ name: string }>`select name from sqlite_master where type = 'table'`
      : sql<{ name: string }>`select tablename as name from pg_tables where schemaname = 'public'`;
  const names = (await list.execute(store.read())).rows.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(['enrollments', 'shared_secrets', 'certificates', 'audit_entries', 'devices']),
  );
  const parts: string[] = [];
  for (const name of names) {
    const rows = await store.read<Record<string, Record<string, unknown>>>().selectFrom(name).selectAll().execute();
    for (const value of rows.flatMap((row) => Object.values(row))) {
      parts.push(value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value));
    }
  }
  return parts.join('\n');
}
