import { statement } from '../store/statement.ts';
import type { Store, Unit } from '../store/store.ts';
import { certificateFingerprint, type Certificate, type TbsCertificate } from '../x509/certificate.ts';
import { generalNameToText, type GeneralName } from '../x509/general-name.ts';
import { commonNames, nameToText } from '../x509/name.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import { describeKey } from './profile.ts';
import type { AuthorityTables, CertificateRow } from './tables.ts';

/** Where an issued certificate belongs. */
export interface CertificateOrigin {
  readonly id: string;
  readonly tenant: string;
  readonly authority: string;
  readonly profile: string | null;
  readonly device: string | null;
  readonly enrollment: string | null;
  readonly at: number;
}

/** Records a certificate of ours and its names, inside the unit that makes it real. */
export async function recordCertificate(
  tx: Unit,
  origin: CertificateOrigin,
  certificate: TbsCertificate & { readonly der: Uint8Array },
  names: readonly GeneralName[],
): Promise<void> {
  await tx.affected(insertCertificate, {
    ...origin,
    serialNumber: certificate.serialNumber,
    subject: nameToText(certificate.subject),
    der: certificate.der,
    fingerprint: certificateFingerprint(certificate.der),
    spkiSha256: spkiSha256(certificate.publicKey),
    keyAlgorithm: describeKey(certificate.publicKey.algorithm),
    notBefore: certificate.notBefore.getTime(),
    notAfter: certificate.notAfter.getTime(),
  });
  const { tenant, id } = origin;
  for (const value of commonNames(certificate.subject)) {
    await tx.affected(insertName, { tenant, certificate: id, kind: 'cn', value: searchKey(value) });
  }
  for (const name of names) {
    const value = searchKey(generalNameToText(name));
    await tx.affected(insertName, { tenant, certificate: id, kind: name.kind, value });
  }
}

const MAX_SEARCH_KEY = 255;

/** A name as it is searched by: a copy without case, cut to what the index of either engine takes. */
export function searchKey(name: string): string {
  return name.toLowerCase().slice(0, MAX_SEARCH_KEY).toWellFormed();
}

/** What decides whether a certificate of ours may still be used. */
export interface CertificateStatus {
  readonly id: string;
  readonly status: CertificateRow['status'];
  readonly device: string | null;
  readonly profile: string | null;
}

/** The status of a certificate that an authority of this tenant issued; `undefined` when the tenant has no such certificate. */
export async function certificateStatus(
  store: Store,
  tenant: string,
  authority: string,
  certificate: Certificate,
): Promise<CertificateStatus | undefined> {
  const [row] = await store.query(statusBySerial, { tenant, authority, serialNumber: certificate.serialNumber });
  // The same serial number in other octets is another certificate.
  return row?.fingerprint === certificateFingerprint(certificate.der) ? row : undefined;
}

/** The DER of a tenant's certificate by id; `undefined` when the tenant has none. */
export async function certificateDer(store: Store, tenant: string, id: string): Promise<Uint8Array | undefined> {
  const [row] = await store.query(derById, { tenant, id });
  return row?.der;
}

/** Notes which certificate took another's place: it needs no alert before it expires. */
export async function markReplaced(tx: Unit, tenant: string, id: string, by: string): Promise<void> {
  await tx.affected(replace, { tenant, id, by });
}

/** Whether the tenant ever certified this key (lower-case hex SHA-256 of its SubjectPublicKeyInfo). */
export async function keyWasCertified(store: Store, tenant: string, spki: string): Promise<boolean> {
  return (await store.query(certificatesOfKey, { tenant, spki })).length > 0;
}

/** One certificate of a tenant. */
export async function getCertificate(store: Store, tenant: string, id: string): Promise<CertificateRow | undefined> {
  return store
    .forTenant<AuthorityTables>(tenant)
    .selectFrom('certificates')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

const insertCertificate = statement<AuthorityTables>()(
  'certificate-insert',
  (
    db,
    p: {
      id: string;
      tenant: string;
      authority: string;
      profile: string | null;
      device: string | null;
      enrollment: string | null;
      at: number;
      serialNumber: string;
      subject: string;
      der: Uint8Array;
      fingerprint: string;
      spkiSha256: string;
      keyAlgorithm: string;
      notBefore: number;
      notAfter: number;
    },
  ) =>
    db.insertInto('certificates').values({
      id: p.id,
      tenant: p.tenant,
      kind: 'x509',
      authority: p.authority,
      serial_number: p.serialNumber,
      device: p.device,
      profile: p.profile,
      enrollment: p.enrollment,
      subject: p.subject,
      der: p.der,
      fingerprint: p.fingerprint,
      spki_sha256: p.spkiSha256,
      key_algorithm: p.keyAlgorithm,
      not_before: p.notBefore,
      not_after: p.notAfter,
      status: 'active',
      revoked_at: null,
      revocation_reason: null,
      replaced_by: null,
      source: 'issued',
      created_at: p.at,
    }),
);

const insertName = statement<AuthorityTables>()(
  'certificate-name-insert',
  (db, p: { tenant: string; certificate: string; kind: string; value: string }) =>
    db
      .insertInto('certificate_names')
      .values({ tenant: p.tenant, certificate: p.certificate, kind: p.kind, value: p.value })
      // A device may name itself twice.
      .onConflict((conflict) => conflict.doNothing()),
);

const statusBySerial = statement<AuthorityTables>()(
  'certificate-status',
  (db, p: { tenant: string; authority: string; serialNumber: string }) =>
    db
      .selectFrom('certificates')
      .select(['id', 'status', 'device', 'profile', 'fingerprint'])
      .where('authority', '=', p.authority)
      .where('serial_number', '=', p.serialNumber)
      .where('tenant', '=', p.tenant),
);

const derById = statement<AuthorityTables>()('certificate-der', (db, p: { tenant: string; id: string }) =>
  db.selectFrom('certificates').select(['der']).where('tenant', '=', p.tenant).where('id', '=', p.id),
);

const certificatesOfKey = statement<AuthorityTables>()(
  'certificates-of-key',
  (db, p: { tenant: string; spki: string }) =>
    db
      .selectFrom('certificates')
      .select('id')
      .where('spki_sha256', '=', p.spki)
      .where('tenant', '=', p.tenant)
      .limit(1),
);

const replace = statement<AuthorityTables>()(
  'certificate-replace',
  (db, p: { tenant: string; id: string; by: string }) =>
    db.updateTable('certificates').set({ replaced_by: p.by }).where('tenant', '=', p.tenant).where('id', '=', p.id),
);
