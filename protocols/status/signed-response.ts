import { hash } from 'node:crypto';

import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import type { StatusLifetimes } from '../../core/authority/status-lifetimes.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import { httpDate } from './caching-headers.ts';
import {
  type CertId,
  type CertificateStatus,
  encodeOcspResponse,
  encodeResponseData,
  type SingleResponse,
} from './messages.ts';
import type { CachedResponse } from './response-cache.ts';

/** What an answer is to say. */
export interface ResponseContents {
  readonly tenant: string;
  readonly answers: readonly { readonly id: CertId; readonly status: CertificateStatus }[];
  /** The extnValue of the request's nonce. */
  readonly nonce: Uint8Array | undefined;
  readonly lifetimes: StatusLifetimes;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** A signed answer, with what it says. */
export interface SignedResponse {
  /** DER, one octet a character. */
  readonly body: string;
  readonly responses: readonly SingleResponse[];
  /** Epoch milliseconds. */
  readonly producedAt: number;
  readonly maxAgeSeconds: number;
}

/** Clocks of relying parties that are slow would find an answer not yet valid (V52). */
const BACKDATE_MS = 300_000;

/**
 * Signs an answer by a delegate of the authority; it ends no later than the delegate does.
 * @throws UpstreamError when the token does not sign
 */
export async function signResponse(
  { certificate, key }: ServiceIdentity,
  { tenant, answers, nonce, lifetimes, now }: ResponseContents,
): Promise<SignedResponse> {
  const producedAt = Math.floor(now / 1000) * 1000;
  const nextUpdate = Math.min(producedAt + lifetimes.ocspSeconds * 1000, certificate.notAfter.getTime());
  const responses = answers.map(({ id, status }) => single(id, status, producedAt, nextUpdate));
  const tbs = encodeResponseData({
    responderKeyHash: keyIdentifier(certificate.publicKey),
    producedAt: new Date(producedAt),
    responses,
    nonce,
  });
  const signature = await key.sign(tbs, { tenant });
  const der = encodeOcspResponse(tbs, key.signatureAlgorithm, signature, certificate.der);
  const body = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1');
  return { body, responses, producedAt, maxAgeSeconds: lifetimes.maxAgeSeconds };
}

/** The answer about one certificate of an authority as it is kept: due for a successor when half of its life is over. */
export function cachedResponse(
  authority: string,
  { serialNumber }: CertId,
  { body, responses, producedAt, maxAgeSeconds }: SignedResponse,
): CachedResponse {
  const [{ status, thisUpdate, nextUpdate }] = responses as [SingleResponse];
  const end = nextUpdate.getTime();
  return {
    authority,
    serialNumber,
    status,
    body,
    etag: `"${hash('sha256', Buffer.from(body, 'latin1'), 'hex').slice(0, 32)}"`,
    lastModified: httpDate(thisUpdate.getTime()),
    thisUpdate: thisUpdate.getTime(),
    nextUpdate: end,
    maxAgeSeconds,
    refreshAt: producedAt + (end - producedAt) / 2,
  };
}

function single(id: CertId, status: CertificateStatus, now: number, nextUpdate: number): SingleResponse {
  // RFC 6960 §2.4: thisUpdate is when the status was known to be so; a revocation is no older than itself.
  const since = status.kind === 'revoked' ? Math.min(status.at.getTime(), now) : 0;
  const thisUpdate = Math.floor(Math.max(now - BACKDATE_MS, since) / 1000) * 1000;
  return { certId: id.der, status, thisUpdate: new Date(thisUpdate), nextUpdate: new Date(nextUpdate) };
}
