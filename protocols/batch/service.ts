import { createHash } from 'node:crypto';

import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { BatchFact } from '../../core/enrollment/facts.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import { PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Store } from '../../core/store/store.ts';
import { requestToKeep, verifyCertificationRequestAsync } from '../../core/x509/certification-request.ts';
import { encodePem } from '../../core/x509/pem.ts';
import { noteAnswered } from './batches.ts';
import { type BatchAnswer, type BatchRequest, decodeBatchRequest } from './messages.ts';
import type { BatchRow } from './tables.ts';

/** What batches stand on. */
export interface BatchDependencies {
  readonly store: Store;
  readonly credentials: Pick<CredentialVerifier, 'batch'>;
  readonly hall: Pick<Hall, 'enroll'>;
}

/** A part of a batch, and on whose behalf it is asked. */
export interface BatchPart {
  readonly batch: BatchRow;
  readonly endpoint: Endpoint;
  /** Lines that come before these. */
  readonly after: number;
  readonly lines: readonly string[];
  readonly actor: string;
  readonly requestId: string;
  readonly sourceAddress: string;
}

/** Requests of one part that are in the hall at a time: enough for its units to be grouped, few enough for devices to pass. */
const AT_A_TIME = 16;

/**
 * Asks for the certificates of some lines. The same line of the same batch asked again gets the same certificate, for as long as
 * a repeat does: so a part that was interrupted is handed in once more.
 * @throws PolicyError `protocol-not-open`; UpstreamError when a part is away: then nothing is answered, and what was issued stays
 */
export async function enrollBatch(dependencies: BatchDependencies, part: BatchPart): Promise<readonly BatchAnswer[]> {
  const { store, credentials } = dependencies;
  const { batch, endpoint, after, lines, actor } = part;
  if (endpoint.protocols.batch === undefined)
    throw new PolicyError('protocol-not-open', 'this endpoint is not open for batches');
  const fact = credentials.batch(batch.id, actor);
  const answers: BatchAnswer[] = [];
  const waiting = lines.entries();
  const work = async (): Promise<void> => {
    for (const [index, text] of waiting) {
      if (text.trim() !== '') answers.push(await answerOf(dependencies, part, fact, { line: after + index + 1, text }));
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  const answered = { tenant: batch.tenant, id: batch.id, lines: after + lines.length, now: store.clock.now() };
  await store.unit((tx) => noteAnswered(tx, answered));
  return answers.toSorted((a, b) => a.line - b.line);
}

async function answerOf(
  { hall }: BatchDependencies,
  part: BatchPart,
  fact: BatchFact,
  { line, text }: { readonly line: number; readonly text: string },
): Promise<BatchAnswer> {
  let named: Pick<BatchAnswer, 'line' | 'id'> = { line };
  try {
    const decoded = decodeBatchRequest(text);
    if (decoded.id !== undefined) named = { line, id: decoded.id };
    if (!(await verifyCertificationRequestAsync(decoded.request)))
      throw new PeerError('bad-signature', 'the signature of the request does not verify with the public key in it');
    return { ...named, ...answered(await hall.enroll(enrollmentRequest(part, fact, decoded))) };
  } catch (error) {
    // What is wrong with one line is that line's answer; what is wrong with us is not.
    if (error instanceof PeerError)
      return { ...named, outcome: 'refused', reason: error.reason, message: error.message };
    throw error;
  }
}

function answered(outcome: Outcome): Omit<BatchAnswer, 'line'> {
  switch (outcome.kind) {
    case 'issued':
      return {
        outcome: 'issued',
        enrollment: outcome.enrollmentId,
        certificate: encodePem('CERTIFICATE', outcome.certificate),
      };
    case 'pending':
      return { outcome: 'pending', enrollment: outcome.enrollmentId, retryAfterSeconds: outcome.retryAfterSeconds };
    case 'rejected': {
      const { enrollmentId, reason, message } = outcome;
      return { outcome: 'refused', ...(enrollmentId !== undefined && { enrollment: enrollmentId }), reason, message };
    }
  }
}

function enrollmentRequest(part: BatchPart, fact: BatchFact, decoded: BatchRequest): EnrollmentRequest {
  const { endpoint, requestId, sourceAddress } = part;
  const { request, subjectAltName, otherExtensions, evidence } = decoded;
  return {
    requestId,
    endpoint,
    protocol: 'batch',
    operation: 'enroll',
    // Batch and endpoint are the hall's to add.
    requestKey: createHash('sha256').update(request.der).digest(),
    subject: request.subject,
    subjectAltName,
    requestedExtensions: otherExtensions,
    publicKey: request.publicKey,
    proofOfPossession: 'signature',
    der: requestToKeep(request),
    received: request.der,
    facts: [fact],
    ...(evidence && { evidence }),
    sourceAddress,
  };
}
