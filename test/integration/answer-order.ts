import { descriptorOf, octetsOf, type SystemCall, targetOf } from './system-calls.ts';

/** What a client got on one connection, one request after the other: fingerprints of certificates, lower-case hex. */
export type AnswersByPort = ReadonlyMap<number, readonly string[]>;

/** An answer that went out before what it says was durable. */
export interface PrematureAnswer {
  readonly fingerprint: string;
  readonly because:
    | 'its transaction was never written'
    | 'its transaction was written after it'
    | 'its transaction was not synced before it';
}

/** The trace does not show what it must for a judgement. */
export class TraceIncomplete extends Error {}

/**
 * The answers that were sent before the COMMIT they report was on disk: before a sync of the write-ahead log that began
 * after the last frame of their transaction was written had returned.
 *
 * @param calls of the server, with `-yy -xx`, and strings long enough for a page of the database
 */
export function prematureAnswers(calls: readonly SystemCall[], answers: AnswersByPort): PrematureAnswer[] {
  const writtenAt = commitPlaces(calls, [...answers.values()].flat());
  const syncs = calls.filter((call) => isSync(call) && isWriteAheadLog(call) && call.result === 0);
  const found: PrematureAnswer[] = [];
  for (const [port, fingerprints] of answers) {
    for (const [index, sentAt] of answerPlaces(calls, port, fingerprints.length).entries()) {
      const fingerprint = fingerprints[index]!;
      const because = fault(writtenAt.get(fingerprint), sentAt, syncs);
      if (because) found.push({ fingerprint, because });
    }
  }
  return found;
}

/** COMMITs in the trace: frames of the write-ahead log that end a transaction. */
export function countCommits(calls: readonly SystemCall[]): number {
  return calls.filter((call) => isWriteAheadLog(call) && endsTransaction(call)).length;
}

function fault(
  written: number | undefined,
  sentAt: number,
  syncs: readonly SystemCall[],
): PrematureAnswer['because'] | undefined {
  if (written === undefined) return 'its transaction was never written';
  if (written >= sentAt) return 'its transaction was written after it';
  return syncs.some(({ start, end }) => start > written && end < sentAt)
    ? undefined
    : 'its transaction was not synced before it';
}

/** Where the last frame of the transaction was written that first holds each fingerprint. */
function commitPlaces(calls: readonly SystemCall[], fingerprints: readonly string[]): Map<string, number> {
  const places = new Map<string, number>();
  const wanted = new Set(fingerprints);
  let inTransaction: string[] = [];
  let lastFrame = false;
  for (const call of calls) {
    if (call.name !== 'pwrite64' || !isWriteAheadLog(call)) continue;
    const octets = octetsOf(call);
    if (octets.length === FRAME_HEADER_OCTETS) {
      lastFrame = endsTransaction(call);
      continue;
    }
    for (const fingerprint of wanted) if (octets.includes(fingerprint, 0, 'latin1')) inTransaction.push(fingerprint);
    for (const fingerprint of inTransaction) wanted.delete(fingerprint);
    if (!lastFrame) continue;
    for (const fingerprint of inTransaction) places.set(fingerprint, call.end);
    inTransaction = [];
    lastFrame = false;
  }
  return places;
}

/** Where the first octets of each of the last `count` answers on a connection were sent. */
function answerPlaces(calls: readonly SystemCall[], port: number, count: number): number[] {
  const answers: { readonly start: number; octets: number }[] = [];
  let descriptor: number | undefined;
  let asked = false;
  for (const call of calls) {
    if (call.name === 'read') {
      asked ||= descriptorOf(call) === descriptor && call.result > 0;
      continue;
    }
    if (!SENDS.has(call.name) || !targetOf(call)?.endsWith(`:${port}]`)) continue;
    descriptor = descriptorOf(call);
    if (asked) answers.push({ start: call.start, octets: 0 });
    asked = false;
    const last = answers.at(-1);
    if (last) last.octets += Math.max(0, call.result);
  }
  // The end of a TLS session is an alert of a few octets, no answer.
  const whole = answers.filter(({ octets }) => octets >= LEAST_ANSWER_OCTETS);
  if (whole.length < count)
    throw new TraceIncomplete(`expected ${count} answers to port ${port}, found ${whole.length}`);
  return whole.slice(-count).map(({ start }) => start);
}

const SENDS: ReadonlySet<string> = new Set(['write', 'writev', 'sendto', 'sendmsg']);
/** A certificate alone has more. */
const LEAST_ANSWER_OCTETS = 300;
/** https://sqlite.org/fileformat2.html#walformat */
const FRAME_HEADER_OCTETS = 24;

function isWriteAheadLog(call: SystemCall): boolean {
  return targetOf(call)?.endsWith('-wal') ?? false;
}

/** "For commit records, the size of the database file in pages after the commit. For all other records, zero." */
function endsTransaction(call: SystemCall): boolean {
  if (call.name !== 'pwrite64') return false;
  const octets = octetsOf(call);
  return octets.length === FRAME_HEADER_OCTETS && octets.readUInt32BE(4) !== 0;
}

function isSync({ name }: SystemCall): boolean {
  return name === 'fsync' || name === 'fdatasync';
}
