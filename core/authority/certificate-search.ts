import { sql, type SelectQueryBuilder } from 'kysely';

import type { Store } from '../store/store.ts';
import { searchKey } from './certificates.ts';
import type { AuthorityTables, CertificateRow } from './tables.ts';

/** Which certificates of a tenant are meant. */
export interface CertificateQuery {
  readonly device?: string | undefined;
  /** Id of the authority that issued it. */
  readonly authority?: string | undefined;
  readonly profile?: string | undefined;
  readonly status?: CertificateRow['status'] | undefined;
  readonly serialNumber?: string | undefined;
  /** Lower-case hex SHA-256. */
  readonly fingerprint?: string | undefined;
  readonly keyAlgorithm?: string | undefined;
  readonly source?: CertificateRow['source'] | undefined;
  /** Equals a common name or a subjectAltName (as text), without case; of long ones the first 255 characters count. */
  readonly name?: string | undefined;
  readonly expiresBefore?: number | undefined;
  readonly expiresAfter?: number | undefined;
  readonly issuedBefore?: number | undefined;
}

/** In which order: of their making, or of their end. */
export type CertificateOrder = 'id' | 'notAfter';

/** What a list of certificates may be narrowed by. */
export interface CertificateFilter extends CertificateQuery {
  /** {@link certificateCursor} of the last one before. */
  readonly after?: string | undefined;
  readonly limit: number;
  /** Default: id, which is the order they were made in. */
  readonly order?: CertificateOrder | undefined;
}

/** A name is found with and without the kind that its text starts with. */
const NAME_KINDS = ['dns', 'ip', 'email', 'uri'] as const;

type Selection<O> = SelectQueryBuilder<AuthorityTables, 'certificates', O>;

/** The certificates of a tenant, after `after`. */
export function listCertificates(store: Store, tenant: string, filter: CertificateFilter): Promise<CertificateRow[]> {
  const all = narrowed(store.forTenant<AuthorityTables>(tenant).selectFrom('certificates').selectAll(), tenant, filter);
  const query = filter.after === undefined ? all : after(all, filter.order ?? 'id', filter.after);
  return inOrder(query, filter).limit(filter.limit).execute();
}

/**
 * What a fingerprint finds is sorted by an expression: by the column itself, SQLite would walk all certificates in their order
 * instead of looking the one up (689 ms in a million).
 */
function inOrder<O>(query: Selection<O>, { order, fingerprint }: CertificateFilter): Selection<O> {
  if (fingerprint !== undefined) return query.orderBy(sql`id || ''`);
  return order === 'notAfter' ? query.orderBy('not_after').orderBy('id') : query.orderBy('id');
}

/** Where a list goes on after this certificate. */
export function certificateCursor(row: Pick<CertificateRow, 'id' | 'not_after'>, order: CertificateOrder): string {
  return order === 'id' ? row.id : `${row.not_after}:${row.id}`;
}

/** What an export holds of a certificate: everything but its octets. */
export type ListedCertificate = Omit<CertificateRow, 'der'>;

const LISTED = [
  'id',
  'tenant',
  'kind',
  'authority',
  'serial_number',
  'device',
  'profile',
  'enrollment',
  'subject',
  'fingerprint',
  'spki_sha256',
  'key_algorithm',
  'not_before',
  'not_after',
  'status',
  'revoked_at',
  'revocation_reason',
  'replaced_by',
  'source',
  'created_at',
] as const satisfies readonly (keyof CertificateRow)[];

/** All of them, row by row from one consistent view, in order of id. */
export function streamCertificates(
  store: Store,
  tenant: string,
  filter: CertificateQuery,
): AsyncIterable<ListedCertificate> {
  return store.stream<AuthorityTables, ListedCertificate>((db) =>
    narrowed(db.selectFrom('certificates').select(LISTED).where('tenant', '=', tenant), tenant, filter).orderBy('id'),
  );
}

/** A query for certificates of a tenant, narrowed to those meant. Status and source are literals: their indexes are partial. */
export function narrowed<O>(selection: Selection<O>, tenant: string, filter: CertificateQuery): Selection<O> {
  let query = selection;
  if (filter.device !== undefined) query = query.where('device', '=', filter.device);
  if (filter.authority !== undefined) query = query.where('authority', '=', filter.authority);
  if (filter.profile !== undefined) query = query.where('profile', '=', filter.profile);
  if (filter.status !== undefined) query = query.where('status', '=', sql.lit(filter.status));
  if (filter.source !== undefined) query = query.where('source', '=', sql.lit(filter.source));
  if (filter.fingerprint !== undefined) query = query.where('fingerprint', '=', filter.fingerprint);
  if (filter.keyAlgorithm !== undefined) query = query.where('key_algorithm', '=', filter.keyAlgorithm);
  if (filter.expiresBefore !== undefined) query = query.where('not_after', '<', filter.expiresBefore);
  if (filter.expiresAfter !== undefined) query = query.where('not_after', '>=', filter.expiresAfter);
  if (filter.issuedBefore !== undefined) query = query.where('created_at', '<', filter.issuedBefore);
  if (filter.serialNumber !== undefined) query = withSerial(query, tenant, filter.serialNumber);
  return filter.name === undefined ? query : named(query, tenant, filter.name);
}

function named<O>(query: Selection<O>, tenant: string, name: string): Selection<O> {
  const text = searchKey(name);
  const values = [text, ...NAME_KINDS.map((kind) => `${kind}:${text}`)];
  return query.where('id', 'in', (eb) =>
    eb.selectFrom('certificate_names').select('certificate').where('tenant', '=', tenant).where('value', 'in', values),
  );
}

/** By the key of (authority, serial number), and what no authority of ours issued: an index on all would cost each a page. */
function withSerial<O>(query: Selection<O>, tenant: string, serialNumber: string): Selection<O> {
  return query.where('id', 'in', (eb) =>
    eb
      .selectFrom('certificates as ours')
      .select('ours.id')
      .where('ours.serial_number', '=', serialNumber)
      .where('ours.authority', 'in', (inner) =>
        inner.selectFrom('authorities').select('authorities.id').where('authorities.tenant', '=', tenant),
      )
      .unionAll(
        eb
          .selectFrom('certificates as foreign')
          .select('foreign.id')
          .where('foreign.tenant', '=', tenant)
          .where('foreign.serial_number', '=', serialNumber)
          .where('foreign.authority', 'is', null),
      ),
  );
}

function after<O>(query: Selection<O>, order: CertificateOrder, cursor: string): Selection<O> {
  if (order === 'id') return query.where('id', '>', cursor);
  const [end = '', id = ''] = cursor.split(':', 2);
  const notAfter = Number(end);
  return query
    .where('not_after', '>=', notAfter)
    .where((eb) => eb.or([eb('not_after', '>', notAfter), eb('id', '>', id)]));
}
