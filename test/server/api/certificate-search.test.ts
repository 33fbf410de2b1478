import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuthorityTables } from '../../../core/authority/tables.ts';
import { ENGINES } from '../../support/stores.ts';
import { ApiServer } from '../support/api-server.ts';
import { seedCertificate, seeded } from '../support/seed.ts';

const ours = seeded('default');
const DAY = 86_400_000;
const COUNT = 60;

describe.each(ENGINES)('searching certificates on %s', (engine) => {
  let server: ApiServer;
  let admin: string;
  const now = Date.now();

  beforeAll(async () => {
    server = await ApiServer.start(0, engine);
    admin = await server.token('admin');
    await server.store.unit(async (tx) => {
      const mine = tx.forTenant<AuthorityTables>('default');
      for (let index = 0; index < COUNT; index += 1) {
        const row = {
          id: `c-${String(index).padStart(4, '0')}`,
          kind: 'x509' as const,
          authority: index % 10 === 9 ? null : ours.authority,
          serial_number: `aa${index.toString(16).padStart(4, '0')}`,
          device: null,
          profile: null,
          enrollment: null,
          subject: index === 7 ? '=HYPERLINK("x"),CN=é' : `CN=router${index}`,
          der: seedCertificate,
          fingerprint: index.toString(16).padStart(64, '0'),
          spki_sha256: 'bb',
          key_algorithm: index % 6 === 0 ? 'Ed25519' : 'EC P-256',
          not_before: now - 100 * DAY,
          // Ends in the opposite order, some of them on the same day, a third of them past.
          not_after: now + (40 - Math.floor(index / 2) * 2) * DAY,
          status: index % 20 === 0 ? ('revoked' as const) : ('active' as const),
          revoked_at: null,
          revocation_reason: null,
          replaced_by: null,
          source: index % 10 === 9 ? ('imported' as const) : ('issued' as const),
          created_at: now + index,
        };
        await mine.insertInto('certificates', row).execute();
        const name = { certificate: row.id, kind: 'dnsName', value: `dns:router${index}.example` };
        await mine.insertInto('certificate_names', name).execute();
      }
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const get = (path: string) => server.request(admin, 'GET', `/api/v1/certificates${path}`);
  const ids = async (query: string): Promise<string[]> => {
    const found: string[] = [];
    let cursor = '';
    do {
      const answer = await get(`?limit=7&${query}${cursor}`);
      expect(answer.statusCode, answer.body).toBe(200);
      const page = answer.json() as { items: { id: string }[]; nextCursor?: string };
      found.push(...page.items.map(({ id }) => id).filter((id) => id.startsWith('c-')));
      cursor = page.nextCursor === undefined ? '' : `&cursor=${page.nextCursor}`;
    } while (cursor !== '');
    return found;
  };
  const all = Array.from({ length: COUNT }, (_, index) => index);
  const named = (indexes: readonly number[]) => indexes.map((index) => `c-${String(index).padStart(4, '0')}`);

  it.each<[string, (index: number) => boolean]>([
    ['name=ROUTER12.example', (index) => index === 12],
    ['serialNumber=AA:00:0C', (index) => index === 12],
    ['serialNumber=aa0009', (index) => index === 9],
    [`fingerprint=${'0'.repeat(62)}0C`, (index) => index === 12],
    ['keyAlgorithm=Ed25519', (index) => index % 6 === 0],
    ['status=revoked', (index) => index % 20 === 0],
    ['source=imported', (index) => index % 10 === 9],
    [`authority=${ours.authority}`, (index) => index % 10 !== 9],
    ['keyAlgorithm=Ed25519&status=revoked', (index) => index % 60 === 0],
  ])('%s', async (query, fits) => {
    expect(await ids(query)).toEqual(named(all.filter(fits)));
  });

  it('what is narrowed by its end comes in that order, over every page once', async () => {
    const byEnd = [...all].sort((a, b) => Math.floor(b / 2) - Math.floor(a / 2) || a - b);
    const isPast = (index: number) => Math.floor(index / 2) * 2 >= 40;
    expect(await ids('status=expired')).toEqual(named(byEnd.filter((index) => isPast(index) && index % 20 !== 0)));
    expect(await ids('status=active')).toEqual(named(byEnd.filter((index) => !isPast(index) && index % 20 !== 0)));
    const from = encodeURIComponent(new Date(now + DAY).toISOString());
    const ending = byEnd.filter((index) => 40 - Math.floor(index / 2) * 2 >= 1);
    expect(await ids(`expiresAfter=${from}`)).toEqual(named(ending));
    expect((await get('?authority=nobody')).statusCode).toBe(400);
  });

  it('exports what a search finds, as CSV that no spreadsheet runs, and as JSON lines', async () => {
    const csv = await get('/export?keyAlgorithm=EC%20P-256');
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8');
    const lines = csv.body.split('\r\n');
    expect(lines[0]).toMatch(/^id,serialNumber,subject,/);
    expect(lines.filter((line) => line.startsWith('c-'))).toHaveLength(50);
    expect(csv.body).toContain('c-0007,aa0007,"\'=HYPERLINK(""x""),CN=é",active');
    const json = await get('/export?format=ndjson&status=revoked');
    const rows = json.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; status: string });
    expect(rows.map(({ id }) => id)).toEqual(named([0, 20, 40]));
    expect(rows[0]).toMatchObject({ serialNumber: 'aa0000', status: 'revoked' });
  });
});
