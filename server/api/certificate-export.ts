import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { type ListedCertificate, streamCertificates } from '../../core/authority/certificate-search.ts';
import type { Store } from '../../core/store/store.ts';
import { tenantIdOf } from './authentication.ts';
import { certificateFilters, queryOf } from './certificate-query.ts';
import { tenantParameter } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { timeText } from './views.ts';

const querystring = Type.Object(
  { ...tenantParameter, ...certificateFilters, format: Type.Enum(['csv', 'ndjson'], { default: 'csv' }) },
  { additionalProperties: false },
);

/** What a row of the export holds, in this order. */
const COLUMNS: Readonly<Record<string, (row: ListedCertificate) => string | number | null>> = {
  id: (row) => row.id,
  serialNumber: (row) => row.serial_number,
  subject: (row) => row.subject,
  status: (row) => row.status,
  notBefore: (row) => timeText(row.not_before),
  notAfter: (row) => timeText(row.not_after),
  keyAlgorithm: (row) => row.key_algorithm,
  fingerprint: (row) => row.fingerprint,
  publicKeySha256: (row) => row.spki_sha256,
  authority: (row) => row.authority,
  profile: (row) => row.profile,
  device: (row) => row.device,
  source: (row) => row.source,
  revokedAt: (row) => (row.revoked_at === null ? null : timeText(row.revoked_at)),
  revocationReason: (row) => row.revocation_reason,
  replacedBy: (row) => row.replaced_by,
  createdAt: (row) => timeText(row.created_at),
};
const columns = Object.entries(COLUMNS);

/** `GET /certificates/export`: all that a search finds, as a stream. */
export function certificateExportRoutes(app: ApiScope, store: Store): void {
  const schema = {
    tags: ['certificates'],
    summary: 'Export certificates as CSV (RFC 4180) or newline-delimited JSON',
    querystring,
    produces: ['text/csv', 'application/x-ndjson'],
  };
  app.get('/certificates/export', { config: { access: 'certificates:read' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const { format, ...filters } = request.query;
    const { query } = await queryOf(store, tenant, filters);
    const rows = streamCertificates(store, tenant, query);
    const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
    const name = `attachment; filename="certificates.${format}"`;
    return reply
      .type(type)
      .header('content-disposition', name)
      .send(Readable.from(chunks(rows, format)));
  });
}

/** Characters gathered before they are handed to the socket. */
const CHUNK = 65_536;

async function* chunks(rows: AsyncIterable<ListedCertificate>, format: 'csv' | 'ndjson'): AsyncGenerator<string> {
  let text = format === 'csv' ? `${columns.map(([name]) => name).join(',')}\r\n` : '';
  const line = format === 'csv' ? csvLine : jsonLine;
  for await (const row of rows) {
    text += line(row);
    if (text.length < CHUNK) continue;
    yield text;
    text = '';
  }
  yield text;
}

function jsonLine(row: ListedCertificate): string {
  const members = columns.map(([name, value]) => [name, value(row)] as const).filter(([, value]) => value !== null);
  return `${JSON.stringify(Object.fromEntries(members))}\n`;
}

function csvLine(row: ListedCertificate): string {
  return `${columns.map(([, value]) => csvField(value(row))).join(',')}\r\n`;
}

/** RFC 4180 §2; a spreadsheet must not take what a device named itself for a formula. */
function csvField(value: string | number | null): string {
  if (value === null || typeof value === 'number') return String(value ?? '');
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
