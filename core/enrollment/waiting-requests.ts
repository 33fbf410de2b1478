import { columnTypes } from '../store/column-types.ts';
import type { Migration } from '../store/migrations.ts';
import type { Store, Unit } from '../store/store.ts';
import { type Fingerprints, fingerprintsOf } from '../x509/fingerprints.ts';
import type { EnrollmentRequest } from './request.ts';

/**
 * What an operator compares with what the device shows: fingerprints of the request exactly as it came, which cannot be
 * computed from what is kept, and of its public key.
 */
interface WaitingRequestRow {
  tenant: string;
  enrollment: string;
  request_md5: string;
  request_sha1: string;
  request_sha256: string;
  /** Null where the key is made here: each time another. */
  key_md5: string | null;
  key_sha1: string | null;
  key_sha256: string | null;
}

interface WaitingRequestTables {
  waiting_requests: WaitingRequestRow;
}

/** The fingerprints of requests that an operator was asked about. */
export const waitingRequestMigrations: readonly Migration[] = [
  {
    id: 'enrollment-waiting-requests-0001',
    async up(db, engine) {
      const { textKey, text } = columnTypes(engine);
      await db.schema
        .createTable('waiting_requests')
        .addColumn('tenant', textKey, (column) => column.notNull())
        .addColumn('enrollment', textKey, (column) => column.notNull())
        .addColumn('request_md5', text, (column) => column.notNull())
        .addColumn('request_sha1', text, (column) => column.notNull())
        .addColumn('request_sha256', text, (column) => column.notNull())
        .addColumn('key_md5', text)
        .addColumn('key_sha1', text)
        .addColumn('key_sha256', text)
        .addPrimaryKeyConstraint('waiting_requests_key', ['tenant', 'enrollment'])
        .execute();
    },
  },
];

/** Remembers the fingerprints of a request that waits, in the unit that inserts its enrolment. */
export async function rememberWaiting(tx: Unit, enrollment: string, request: EnrollmentRequest): Promise<void> {
  const { endpoint, der, received = der, publicKey, proofOfPossession } = request;
  const { md5, sha1, sha256 } = fingerprintsOf(received);
  const key = proofOfPossession === 'server-generated' ? undefined : fingerprintsOf(publicKey.der);
  const row = {
    enrollment,
    request_md5: md5,
    request_sha1: sha1,
    request_sha256: sha256,
    key_md5: key?.md5 ?? null,
    key_sha1: key?.sha1 ?? null,
    key_sha256: key?.sha256 ?? null,
  };
  await tx.forTenant<WaitingRequestTables>(endpoint.tenant).insertInto('waiting_requests', row).execute();
}

/** The fingerprints of a request that waits, or once did. */
export interface WaitingRequest {
  readonly request: Fingerprints;
  /** Of the SubjectPublicKeyInfo; undefined where the key is made here. */
  readonly publicKey: Fingerprints | undefined;
}

/** What was remembered of an enrolment's request; undefined where no operator was ever asked. */
export async function waitingRequest(
  store: Store,
  tenant: string,
  enrollment: string,
): Promise<WaitingRequest | undefined> {
  const row = await store
    .forTenant<WaitingRequestTables>(tenant)
    .selectFrom('waiting_requests')
    .selectAll()
    .where('enrollment', '=', enrollment)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { request_md5: md5, request_sha1: sha1, request_sha256: sha256 } = row;
  return { request: { md5, sha1, sha256 }, publicKey: keyOf(row) };
}

function keyOf({ key_md5: md5, key_sha1: sha1, key_sha256: sha256 }: WaitingRequestRow): Fingerprints | undefined {
  return md5 === null || sha1 === null || sha256 === null ? undefined : { md5, sha1, sha256 };
}
