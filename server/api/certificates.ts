import { Type } from 'typebox';
import { certificateCursor, listCertificates } from '../../core/authority/certificate-search.ts';
import { getCertificate } from '../../core/authority/certificates.ts';
import type { CertificateRow } from '../../core/authority/tables.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { tenantIdOf } from './authentication.ts';
import { certificateFilters, queryOf } from './certificate-query.ts';
import type { ApiContext } from './context.ts';
import { listQuery, pageFrom, pageOf, objectQuery, readPage, tenantParameter } from './paging.ts';
import type { ApiScope } from './type-provider.ts';
import { idParameters, present, presentTime, timestamp, timeText } from './views.ts';

type CertificateContext = Pick<ApiContext, 'store' | 'authorities'>;

const tags = ['certificates'];
const certificateView = Type.Object({
  id: Type.String(),
  serialNumber: Type.String({ description: 'Hexadecimal, lower case.' }),
  subject: Type.String({ description: 'RFC 4514.' }),
  authority: Type.Optional(Type.String({ description: 'Id of the authority that issued it.' })),
  profile: Type.Optional(Type.String()),
  device: Type.Optional(Type.String()),
  enrollment: Type.Optional(Type.String()),
  keyAlgorithm: Type.String(),
  fingerprint: Type.String({ description: 'SHA-256 of the certificate, hexadecimal.' }),
  publicKeySha256: Type.String(),
  notBefore: timestamp('Start of validity.'),
  notAfter: timestamp('End of validity.'),
  status: Type.Enum(['active', 'expired', 'revoked']),
  revokedAt: Type.Optional(timestamp('When it was revoked.')),
  revocationReason: Type.Optional(Type.Integer({ description: 'CRLReason of RFC 5280 §5.3.1.' })),
  replacedBy: Type.Optional(Type.String({ description: 'Id of the certificate that took its place.' })),
  source: Type.Enum(['issued', 'imported', 'discovered']),
  createdAt: timestamp('When it was recorded.'),
});

/** Certificates: list, show, export. */
export function certificateRoutes(app: ApiScope, context: CertificateContext): void {
  listRoute(app, context);
  getRoute(app, context);
  exportRoute(app, context);
}

function listRoute(app: ApiScope, { store }: CertificateContext): void {
  const schema = {
    tags,
    summary: 'List certificates, or search them',
    description:
      'In the order they were made, or of their end where narrowed by status `active` or `expired`, or by expiry.',
    querystring: listQuery(certificateFilters),
    response: { 200: pageOf(certificateView) },
  };
  app.get('/certificates', { config: { access: 'certificates:read' }, schema }, async (request) => {
    const tenant = tenantIdOf(request);
    const { query, order } = await queryOf(store, tenant, request.query);
    const now = store.clock.now();
    return readPage(
      pageFrom(request.query),
      (page) => listCertificates(store, tenant, { ...query, ...page, order }),
      (row) => certificateCursor(row, order),
      (row) => viewOf(row, now),
    );
  });
}

function getRoute(app: ApiScope, context: CertificateContext): void {
  const schema = {
    tags,
    summary: 'Show a certificate',
    params: idParameters,
    querystring: objectQuery,
    response: { 200: certificateView },
  };
  app.get('/certificates/:id', { config: { access: 'certificates:read' }, schema }, async (request) =>
    viewOf(await certificateOf(context, tenantIdOf(request), request.params.id), context.store.clock.now()),
  );
}

const exportQuery = Type.Object(
  {
    ...tenantParameter,
    format: Type.Enum(['pem', 'der'], { default: 'pem' }),
    chain: Type.Boolean({
      description: 'With the certificates of its authorities, up to the root (PEM only).',
      default: false,
    }),
  },
  { additionalProperties: false },
);

function exportRoute(app: ApiScope, context: CertificateContext): void {
  const schema = {
    tags,
    summary: 'Export a certificate as PEM (RFC 7468) or DER',
    params: idParameters,
    querystring: exportQuery,
    produces: ['application/x-pem-file', 'application/pkix-cert'],
  };
  app.get('/certificates/:id/export', { config: { access: 'certificates:read' }, schema }, async (request, reply) => {
    const tenant = tenantIdOf(request);
    const row = await certificateOf(context, tenant, request.params.id);
    const { format, chain } = request.query;
    if (format === 'der' && chain) throw new PeerError('malformed-request', 'chain: a DER file holds one certificate');
    reply.header('content-disposition', `attachment; filename="${row.serial_number}.${format}"`);
    // RFC 2585 §4.1.
    if (format === 'der') return reply.type('application/pkix-cert').send(Buffer.from(row.der));
    const authorities =
      chain && row.authority !== null ? await context.authorities.caCertificates(tenant, row.authority) : [];
    const blocks = [row.der, ...authorities].map((der) => encodePem('CERTIFICATE', der));
    return reply.type('application/x-pem-file').send(Buffer.from(blocks.join('')));
  });
}

async function certificateOf({ store }: CertificateContext, tenant: string, id: string): Promise<CertificateRow> {
  const row = await getCertificate(store, tenant, id);
  if (row === undefined) throw new PeerError('not-found', 'no such certificate');
  return row;
}

function viewOf(row: CertificateRow, now: number) {
  const expired = row.status === 'active' && row.not_after < now;
  return {
    id: row.id,
    serialNumber: row.serial_number,
    subject: row.subject,
    ...present('authority', row.authority),
    ...present('profile', row.profile),
    ...present('device', row.device),
    ...present('enrollment', row.enrollment),
    keyAlgorithm: row.key_algorithm,
    fingerprint: row.fingerprint,
    publicKeySha256: row.spki_sha256,
    notBefore: timeText(row.not_before),
    notAfter: timeText(row.not_after),
    status: expired ? ('expired' as const) : row.status,
    ...presentTime('revokedAt', row.revoked_at),
    ...present('revocationReason', row.revocation_reason),
    ...present('replacedBy', row.replaced_by),
    source: row.source,
    createdAt: timeText(row.created_at),
  };
}
