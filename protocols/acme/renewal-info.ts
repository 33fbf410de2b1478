import type { FoundCertificate } from '../../core/authority/revocation.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { certificateOfId } from './certificate-id.ts';
import type { AcmeDependencies, Answer, OpenEndpoint, Question } from './dependencies.ts';
import { AcmeProblem } from './problem.ts';
import { renewalWindowOf } from './renewal-windows.ts';
import type { RenewalWindowRow } from './tables.ts';

/** Without a window of the endpoint's own, the last third of its life is the time to renew a certificate. */
const LAST_PART = 3;
/** The part of the window from its begin in which clients spread themselves. */
const SPREAD = 2 / 3;
const MINUTE_MS = 60_000;
const MINUTE_SECONDS = 60;

/** renewalInfo (RFC 9773 §4): when to renew a certificate. @throws AcmeProblem with status 404 for one that is not ours, `rateLimited`. */
export async function renewalInfo(
  parts: Pick<AcmeDependencies, 'store' | 'authorities' | 'shortLived'>,
  question: Question,
  name: string,
): Promise<Answer> {
  await limitQuestions(parts, question);
  const found = await certificateOfId(parts, question.endpoint.tenant, name);
  if (found === undefined) throw new AcmeProblem('malformed', 'no such certificate', { status: 404 });
  const [moved] = await parts.store.query(renewalWindowOf, {
    tenant: question.endpoint.tenant,
    certificate: found.certificateId,
  });
  const { start, end, explanation } = suggestedWindow(question, found, moved);
  return {
    status: 200,
    body: {
      suggestedWindow: { start: new Date(start).toISOString(), end: new Date(end).toISOString() },
      ...(explanation !== undefined && { explanationURL: explanation }),
    },
    retryAfterSeconds: question.settings.renewalPollSeconds,
  };
}

/** V46: nobody authenticated asks, and each question costs the store a look. */
async function limitQuestions(
  { shortLived }: Pick<AcmeDependencies, 'shortLived'>,
  { endpoint, settings, sourceAddress }: Question,
): Promise<void> {
  const asked = await shortLived.increment(`acme-renewal-info:${endpoint.id}:${sourceAddress}`, MINUTE_SECONDS);
  if (asked > settings.renewalInfoPerMinute)
    throw new AcmeProblem('rateLimited', 'too many questions from this address', { retryAfterSeconds: MINUTE_SECONDS });
}

interface Window {
  readonly start: number;
  readonly end: number;
  readonly explanation: string | undefined;
}

/** What counts first: the certificate is revoked, or a campaign replaces it; an operator moved its window; its age. */
function suggestedWindow(
  { endpoint, settings }: OpenEndpoint,
  found: FoundCertificate,
  moved: RenewalWindowRow | undefined,
): Window {
  const { notBefore, notAfter } = parseCertificate(found.der);
  const [begin, end] = [notBefore.getTime(), notAfter.getTime()];
  const { renewIssuedBefore, renewalExplanation: explanation } = settings;
  const replacedNow = renewIssuedBefore !== undefined && begin < Date.parse(renewIssuedBefore);
  // RFC 9773 §4.2: a window in the past means at once.
  if (found.status !== 'active' || replacedNow) return { start: begin, end: begin + MINUTE_MS, explanation };
  if (moved !== undefined)
    return { start: moved.starts_at, end: moved.ends_at, explanation: moved.explanation ?? undefined };
  const lastMs = Math.min(
    endpoint.renewalWindowSeconds === undefined ? Infinity : endpoint.renewalWindowSeconds * 1000,
    (end - begin) / LAST_PART,
  );
  return { start: end - lastMs, end: end - lastMs * (1 - SPREAD) + 1000, explanation: undefined };
}
