import { appendAudit } from '../audit/log.ts';
import { newId } from '../store/id.ts';
import type { Store } from '../store/store.ts';
import { parseCertificate, type Certificate } from '../x509/certificate.ts';
import { recordCertificate } from './certificates.ts';
import type { Issuer } from './directory.ts';
import { prepareCertificate, type CertificateRequest } from './prepare.ts';
import type { ProfileSettings } from './profile.ts';
import type { AuthorityTables } from './tables.ts';

/** A certificate Muster needs for itself. */
export interface ServiceCertificateRequest extends Omit<CertificateRequest, 'requestedExtensions'> {
  /** What it is for, with the name of what it serves: `tls:node-1:ec`. */
  readonly purpose: string;
  readonly profile: ProfileSettings;
}

/**
 * Issues a certificate to Muster itself, in the same two units as a device's: no serial number reaches the token that the
 * store does not know.
 * @throws PolicyError when lint refuses; UpstreamError when the token or the store is away.
 */
export async function issueServiceCertificate(
  store: Store,
  issuer: Issuer,
  request: ServiceCertificateRequest,
): Promise<Certificate> {
  const now = store.clock.now();
  const { tenant, id: authority } = issuer;
  const { purpose, profile } = request;
  const linted = prepareCertificate(profile, issuer, { ...request, requestedExtensions: [] }, now);
  const { serialNumber: serial_number, tbsDer: tbs } = linted.certificate;
  const id = newId(now);
  await store.unit(async (tx) => {
    const row = {
      id,
      tenant,
      purpose,
      authority,
      serial_number,
      tbs,
      certificate: null,
      key_uri: null,
      generation: null,
      created_at: now,
    };
    await tx.db<AuthorityTables>().insertInto('service_identities').values(row).execute();
  });
  const certificate = parseCertificate(await (await issuer.caKey()).signCertificate(linted, tenant));
  await store.unit(async (tx) => {
    const certificateId = newId(now);
    const origin = { id: certificateId, tenant, authority, profile: null, device: null, enrollment: null, at: now };
    await recordCertificate(tx, origin, certificate, request.subjectAltName);
    await tx
      .forTenant<AuthorityTables>(tenant)
      .updateTable('service_identities', { certificate: certificateId })
      .where('id', '=', id)
      .execute();
    await appendAudit(tx, {
      tenant,
      at: now,
      actor: 'system:installation',
      action: 'certificate.issued',
      object: `certificate:${certificateId}`,
      outcome: 'success',
      details: { purpose, authority, serialNumber: serial_number, notAfter: certificate.notAfter.getTime() },
    });
  });
  return certificate;
}
