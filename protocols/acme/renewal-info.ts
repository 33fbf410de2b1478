import type { FoundCertificate } from '../../core/authority/revocation.ts';
import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { certificateOfId } from './certificate-id.ts';
import type { AcmeDependencies, Answer, OpenEndpoint } from './dependencies.ts';
import { AcmeProblem } from './problem.ts';

/** Without a window of the endpoint's own, the last third of its life is the time to renew a certificate. */
const LAST_PART = 3;
/** The part of the window from its begin in which clients spread themselves. */
const SPREAD = 2 / 3;
const MINUTE_MS = 60_000;

/** renewalInfo (RFC 9773 §4): when to renew a certificate. @throws AcmeProblem with status 404 for one that is not ours. */
export async function renewalInfo(
  { store }: Pick<AcmeDependencies, 'store'>,
  open: OpenEndpoint,
  name: string,
): Promise<Answer> {
  const found = await certificateOfId(store, open.endpoint.tenant, name);
  if (found === undefined) throw new AcmeProblem('malformed', 'no such certificate', { status: 404 });
  const { renewalPollSeconds, renewalExplanation } = open.settings;
  const certificate = parseCertificate(found.der);
  const { start, end, now } = suggestedWindow(open, found, certificate);
  return {
    status: 200,
    body: {
      suggestedWindow: { start: new Date(start).toISOString(), end: new Date(end).toISOString() },
      ...(now && renewalExplanation !== undefined && { explanationURL: renewalExplanation }),
    },
    retryAfterSeconds: renewalPollSeconds,
  };
}

interface Window {
  readonly start: number;
  readonly end: number;
  /** Whether the time has come: the certificate is revoked, or a campaign replaces it. */
  readonly now: boolean;
}

/** A window in the past means at once (RFC 9773 §4.2). */
function suggestedWindow(
  { endpoint, settings }: OpenEndpoint,
  found: FoundCertificate,
  certificate: Certificate,
): Window {
  const notBefore = certificate.notBefore.getTime();
  const notAfter = certificate.notAfter.getTime();
  const { renewIssuedBefore } = settings;
  const replacedNow = renewIssuedBefore !== undefined && notBefore < Date.parse(renewIssuedBefore);
  if (found.status !== 'active' || replacedNow) return { start: notBefore, end: notBefore + MINUTE_MS, now: true };
  const lastMs = Math.min(
    endpoint.renewalWindowSeconds === undefined ? Infinity : endpoint.renewalWindowSeconds * 1000,
    (notAfter - notBefore) / LAST_PART,
  );
  return { start: notAfter - lastMs, end: notAfter - lastMs * (1 - SPREAD) + 1000, now: false };
}
