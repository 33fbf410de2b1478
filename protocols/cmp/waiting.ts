import { setTimeout as delay } from 'node:timers/promises';

import { UpstreamError } from '../../core/errors/muster-error.ts';
import { type CertificateBody, certReqIdOf } from './certificate-wish.ts';
import { waitingResponse } from './enrolment.ts';
import { type Answer, type Exchange, NO_CERT_REQ_ID, type Progress } from './exchange.ts';
import type { PkiBody } from './pki-body.ts';
import { PVNO } from './pki-header.ts';
import { PKI_STATUS } from './pki-status.ts';

/** The bodies whose answers may have to be waited for. */
export type OpeningBody = CertificateBody | Extract<PkiBody, { readonly kind: 'rr' | 'genm' }>;

/** A request that is worked on: not decided yet. */
export type Waiting = Progress & { readonly kind: 'waiting' };

const COME_BACK_SECONDS = 5;

function isForCertificate(body: OpeningBody): body is CertificateBody {
  return body.kind !== 'rr' && body.kind !== 'genm';
}

/** Whether who sent a body can be told to poll: version 2 knows it of certificates alone (RFC 9810 §5.3.22). */
export function mayWait({ message }: Exchange, body: OpeningBody): boolean {
  return isForCertificate(body) || message.header.pvno === PVNO.cmp2021;
}

/** That a request is still worked on. */
export function waitingFor(body: OpeningBody, checkAfterSeconds = COME_BACK_SECONDS): Waiting {
  return { kind: 'waiting', certReqId: idOf(body), checkAfterSeconds };
}

/**
 * While a part of us is away, who asked for a certificate polls and keeps his transaction: a one-time secret is bound to it, and
 * admits no other.
 */
export function comeBackLater(error: unknown, exchange: Exchange, body: OpeningBody): Progress {
  if (!(error instanceof UpstreamError) || !mayWait(exchange, body)) throw error;
  return waitingFor(body, Math.max(COME_BACK_SECONDS, error.retryAfterSeconds ?? 0));
}

/** What `work` gives, undefined when it takes longer than so many seconds; without them it may take any time. */
export async function inTime<T>(work: Promise<T>, seconds: number | undefined): Promise<T | undefined> {
  if (seconds === undefined) return work;
  const patience = new AbortController();
  const late = delay(seconds * 1000, undefined, { signal: patience.signal, ref: false }).catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    patience.abort();
  }
}

/** Whether a poll is for this body; OpenSSL before 3.1 polls for a p10cr with 0. */
export function isIdOf(certReqId: number, body: OpeningBody): boolean {
  return certReqId === idOf(body) || (body.kind === 'p10cr' && certReqId === 0);
}

/** The answer to a request that has to wait, and to a poll for one (RFC 9483 §4.4). */
export function waitingAnswer(
  body: OpeningBody,
  { certReqId, checkAfterSeconds: checkAfter }: Waiting,
  isPoll: boolean,
): Answer {
  if (isPoll) return { body: { kind: 'pollRep', value: [{ certReqId, checkAfter }] } };
  if (isForCertificate(body)) return { body: waitingResponse(body, certReqId) };
  return { body: { kind: 'error', value: { pKIStatusInfo: { status: PKI_STATUS.waiting } } } };
}

function idOf(body: OpeningBody): number {
  return isForCertificate(body) ? certReqIdOf(body) : NO_CERT_REQ_ID;
}
