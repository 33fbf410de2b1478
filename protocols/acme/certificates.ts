import type { Store } from '../../core/store/store.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../core/x509/certificate.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { requireDer } from './certificate-id.ts';
import type { AcmeDependencies, Answer, Call } from './dependencies.ts';
import { AcmeUrls } from './path.ts';
import { AcmeProblem } from './problem.ts';
import { type AccountRequest, requireEmptyPayload } from './request-authentication.ts';
import { orderByCertificate } from './statements.ts';

/** The chains of a certificate: without its root (RFC 8555 §7.4.2), and with it for devices that want to be given everything. */
export const CHAINS = ['without-root', 'with-root'] as const;

/** Downloads a certificate (RFC 8555 §7.4.2). */
export async function downloadCertificate(
  { store, authorities }: Pick<AcmeDependencies, 'authorities'> & { readonly store: Store },
  call: Call,
  request: AccountRequest,
  [id, chain]: readonly [string, (typeof CHAINS)[number]],
): Promise<Answer> {
  requireEmptyPayload(request);
  const { tenant } = call.endpoint;
  const [order] = await store.query(orderByCertificate, { tenant, certificate: id });
  if (order?.account !== request.account.id || order.endpoint !== call.endpoint.id)
    throw new AcmeProblem('malformed', 'no such certificate of this account', { status: 404 });
  const der = await requireDer(store, tenant, id);
  const issuer = await authorities.issuerOf(tenant, parseCertificate(der));
  const above = issuer?.chain ?? [];
  const shown = chain === 'with-root' ? above : above.filter((one) => !isSelfIssued(one));
  const urls = new AcmeUrls(call.base, call.endpoint.label);
  const other = chain === 'with-root' ? urls.of('certificate', id) : urls.of('certificate-chain', id, 'with-root');
  return {
    status: 200,
    body: {
      type: 'application/pem-certificate-chain',
      text: [encodePem('CERTIFICATE', der), ...shown.map(pemOf)].join(''),
    },
    links: [`<${other}>;rel="alternate"`],
  };
}

/** Of an authority: the same object for each download. */
function pemOf(certificate: Certificate): string {
  const known = PEM.get(certificate);
  if (known !== undefined) return known;
  const pem = encodePem('CERTIFICATE', certificate.der);
  PEM.set(certificate, pem);
  return pem;
}

const PEM = new WeakMap<Certificate, string>();
