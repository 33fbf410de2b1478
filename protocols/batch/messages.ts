import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { carriedEvidence, withoutEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { ReasonCode } from '../../core/errors/reasons.ts';
import { type CertificationRequest, parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { EXTENSIONS, type Extension } from '../../core/x509/extensions.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { decodePem } from '../../core/x509/pem.ts';

/** A request of a batch, decoded; its signature is not verified. */
export interface BatchRequest {
  /** What the operator calls it. */
  readonly id: string | undefined;
  readonly request: CertificationRequest;
  readonly subjectAltName: readonly GeneralName[];
  readonly otherExtensions: readonly Extension[];
  readonly evidence: Evidence | undefined;
}

/** What became of one line. */
export interface BatchAnswer {
  /** From 1. */
  readonly line: number;
  readonly id?: string;
  readonly outcome: 'issued' | 'pending' | 'refused';
  readonly enrollment?: string;
  /** PEM. */
  readonly certificate?: string;
  readonly retryAfterSeconds?: number;
  readonly reason?: ReasonCode;
  readonly message?: string;
}

/** Characters of a line: a request of 64 kB and evidence of 256 kB in base64. */
const MAX_LINE = 450_000;
const MAX_ID = 255;
/** RFC 7468 §7, and the label of the time before. */
const PEM_LABELS: ReadonlySet<string> = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']);

/**
 * Decodes a line: a JSON object with `csr` (PKCS #10, PEM or base64 of DER), and where there are such `id` and `evidence`
 * (`{type, content}`, base64).
 * @throws PeerError `malformed-request` or `bad-encoding`, naming the member at fault
 */
export function decodeBatchRequest(line: string): BatchRequest {
  const { id, csr, evidence, ...rest } = objectOf(line);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined)
    throw new PeerError('malformed-request', `expected id, csr and evidence, found "${unknown.slice(0, 32)}"`);
  if (id !== undefined && (typeof id !== 'string' || id.length > MAX_ID))
    throw new PeerError('malformed-request', `id: expected a text of at most ${MAX_ID} characters`);
  if (typeof csr !== 'string') throw new PeerError('malformed-request', 'csr: expected PEM, or DER in base64');
  const request = requestOf(csr);
  return {
    id,
    request,
    subjectAltName: EXTENSIONS.subjectAltName.find(request.requestedExtensions) ?? [],
    otherExtensions: withoutEvidence(request.requestedExtensions).filter(({ oid }) => oid !== EXTENSION.subjectAltName),
    evidence: evidence === undefined ? carriedEvidence(request) : evidenceOf(evidence),
  };
}

function objectOf(line: string): Readonly<Record<string, unknown>> {
  if (line.length > MAX_LINE) throw new PeerError('too-large', `expected a line of at most ${MAX_LINE} characters`);
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below, like any other value that is no object.
  }
  throw new PeerError('malformed-request', 'expected a JSON object');
}

function requestOf(csr: string): CertificationRequest {
  try {
    return parseCertificationRequest(csr.includes('-----BEGIN') ? pemOf(csr) : base64Of('csr', csr));
  } catch (error) {
    if (error instanceof Asn1Error) throw new PeerError('malformed-request', `csr: ${error.message}`, { cause: error });
    throw error;
  }
}

function pemOf(text: string): Uint8Array {
  const [block, ...more] = decodePem(text);
  if (block === undefined || more.length > 0 || !PEM_LABELS.has(block.label))
    throw new PeerError('bad-encoding', 'csr: expected one PEM certificate request');
  return block.der;
}

function evidenceOf(evidence: unknown): Evidence {
  if (typeof evidence === 'object' && evidence !== null && 'type' in evidence && 'content' in evidence) {
    const { type, content } = evidence;
    if (typeof type === 'string' && type.length <= 64 && typeof content === 'string')
      return { type, bytes: base64Of('evidence.content', content) };
  }
  throw new PeerError('malformed-request', 'evidence: expected an object with type and content');
}

function base64Of(member: string, text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) throw new PeerError('bad-encoding', `${member}: expected base64`);
  return Buffer.from(text, 'base64');
}
