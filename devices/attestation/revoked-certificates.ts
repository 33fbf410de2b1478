import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { AttestationTables } from './tables.ts';

/** Serial numbers that one issuer revoked. Key identifier and serial numbers in lower-case hex, as certificates hold them. */
export interface RevokedSerialNumbers {
  readonly issuerKeyId: string;
  readonly serialNumbers: readonly string[];
}

/** Whether a device certificate was revoked by its manufacturer, as far as it was imported. */
export async function isRevoked(
  store: Store,
  tenant: string,
  issuerKeyId: string,
  serialNumber: string,
): Promise<boolean> {
  return (await store.query(revokedCertificate, { tenant, issuerKeyId, serialNumber })).length > 0;
}

/** Adds revoked device certificates to those that are known; returns how many are new. */
export async function addRevoked(
  tx: Unit,
  { tenant, source, at }: { readonly tenant: string; readonly source: string; readonly at: number },
  { issuerKeyId, serialNumbers }: RevokedSerialNumbers,
): Promise<number> {
  let added = 0;
  for (const serialNumber of serialNumbers)
    added += await tx.affected(insertRevoked, { tenant, issuerKeyId, serialNumber, source, at });
  return added;
}

const revokedCertificate = statement<AttestationTables>()(
  'revoked-device-certificate',
  (db, p: { tenant: string; issuerKeyId: string; serialNumber: string }) =>
    db
      .selectFrom('revoked_device_certificates')
      .select('source')
      .where('tenant', '=', p.tenant)
      .where('issuer_key_id', '=', p.issuerKeyId)
      .where('serial_number', '=', p.serialNumber),
);

const insertRevoked = statement<AttestationTables>()(
  'revoked-device-certificate-insert',
  (db, p: { tenant: string; issuerKeyId: string; serialNumber: string; source: string; at: number }) =>
    db
      .insertInto('revoked_device_certificates')
      .values({
        tenant: p.tenant,
        issuer_key_id: p.issuerKeyId,
        serial_number: p.serialNumber,
        source: p.source,
        created_at: p.at,
      })
      .onConflict((conflict) => conflict.columns(['tenant', 'issuer_key_id', 'serial_number']).doNothing()),
);
