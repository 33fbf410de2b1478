import { PolicyError } from '../errors/muster-error.ts';
import type { Unit } from '../store/store.ts';
import { publicKeysEqual, spkiSha256 } from '../x509/public-key.ts';
import { deviceName, type Principal } from './accept.ts';
import { printable } from './excerpt.ts';
import type { Appraisal, AttestationGate, Candidate, EvidenceDecision } from './ports.ts';
import type { EnrollmentRequest } from './request.ts';

/** What attestation says of a request. */
export interface Attestation {
  /** Undefined where none was asked for, or none came. */
  readonly appraisal: Appraisal | undefined;
  /** What speaks against admitting it by its evidence; empty where nothing does, or none was asked for. */
  readonly faults: readonly string[];
  /** Whether the faults refuse it: they do not where the endpoint only observes. */
  readonly enforced: boolean;
  /** What keeps the evidence that let it in from being a credential for this very request: refuses everywhere. */
  readonly credentialFaults: readonly string[];
  /** Evidence the certificate rests on: the one appraised now, or the one of the certificate that is renewed. */
  readonly restsOn: string | undefined;
}

const NOT_ASKED: Attestation = {
  appraisal: undefined,
  faults: [],
  enforced: false,
  credentialFaults: [],
  restsOn: undefined,
};

/** The request names another device than its evidence. */
const OTHER_DEVICE = 'device-name-mismatch';
const CREDENTIAL_FAULTS: ReadonlySet<string> = new Set([
  OTHER_DEVICE,
  'key-is-another',
  'key-none-attested',
  'key-not-proved',
]);

/**
 * What the evidence of a request says, held against the request. It refuses nobody yet, so that the verdict is recorded
 * whatever becomes of the request.
 */
export async function attest(
  request: EnrollmentRequest,
  principal: Principal,
  gate: AttestationGate | undefined,
): Promise<Attestation> {
  const { mode } = request.endpoint.attestation;
  const credential = isNamedByEvidence(principal) ? credentialOf(request) : undefined;
  const standing = mode === 'off' ? NOT_ASKED : await renewalStands(request, principal, gate);
  // Who is let in by evidence alone is held against it everywhere.
  if (standing !== undefined && credential === undefined) return standing;
  const asked = { request, principal, gate };
  const appraisal = (await carriedAppraisal(asked)) ?? credential ?? identityOf(request);
  const enforced = mode === 'enforce';
  if (!gate || !appraisal) return { ...NOT_ASKED, faults: [absence(request, principal)], enforced };
  const faults = await faultsOf(asked, gate, appraisal);
  const ofCredential =
    credential === undefined || credential === appraisal ? faults : await faultsOf(asked, gate, credential);
  return {
    appraisal,
    faults,
    enforced,
    credentialFaults: credential === undefined ? [] : ofCredential.filter((fault) => CREDENTIAL_FAULTS.has(fault)),
    restsOn: faults.length === 0 ? appraisal.evidenceId : undefined,
  };
}

/**
 * Refuses by what attestation said.
 * @throws PolicyError `evidence-required`, `evidence-refused`, or `subject-mismatch` where the evidence is the credential.
 */
export function requireAttested({ appraisal, faults, enforced, credentialFaults }: Attestation): void {
  if (credentialFaults.includes(OTHER_DEVICE))
    throw new PolicyError('subject-mismatch', 'the request must name the device that its evidence proves');
  if (credentialFaults.length === 0 && (faults.length === 0 || !enforced)) return;
  throw appraisal
    ? new PolicyError('evidence-refused', `attestation refused: ${faults.join(', ')}`)
    : new PolicyError('evidence-required', 'this endpoint asks for attestation evidence and none was accepted');
}

/** Records, in the unit that decides, what became of a request whose evidence was appraised. */
export async function recordEvidence(
  tx: Unit,
  gate: AttestationGate | undefined,
  { appraisal, faults }: Attestation,
  decided: { readonly request: EnrollmentRequest; readonly principal: Principal } & Pick<
    EvidenceDecision,
    'enrollment' | 'at'
  > & { readonly admitted: boolean },
): Promise<void> {
  if (!gate || !appraisal) return;
  const { request, principal, admitted, enrollment, at } = decided;
  const decision = !admitted ? 'refused' : faults.length > 0 ? 'observed' : 'admitted';
  const candidate = candidateOf(request, principal);
  await gate.record(tx, appraisal, request.endpoint, { ...candidate, decision, faults, enrollment, at });
}

/** What is known of a renewal that needs no evidence of its own; undefined where evidence is asked for. */
async function renewalStands(
  request: EnrollmentRequest,
  principal: Principal,
  gate: AttestationGate | undefined,
): Promise<Attestation | undefined> {
  const { renewal } = request.endpoint.attestation;
  // An ACME account proves its names anew, and brings its evidence with the order.
  const renews = principal.continuity === undefined ? principal.renews : undefined;
  if (renews === undefined || renewal === 'every') return undefined;
  const standing = await gate?.standing(request.endpoint.tenant, renews);
  const unbound = standing !== undefined && !standing.boundKey;
  // What was given to a device on its identity alone, the certificate presented stands for, whatever key comes.
  if (renewal === 'none' || unbound || keepsKey(request, renews))
    return { ...NOT_ASKED, restsOn: standing?.evidenceId };
  return undefined;
}

function keepsKey({ facts, publicKey }: EnrollmentRequest, renews: string): boolean {
  return facts.some(
    (fact) =>
      (fact.kind === 'tls-certificate' || fact.kind === 'signed-by') &&
      fact.certificateId === renews &&
      publicKeysEqual(fact.certificate.publicKey, publicKey),
  );
}

interface Asked {
  readonly request: EnrollmentRequest;
  readonly principal: Principal;
  readonly gate: AttestationGate | undefined;
}

/** Evidence in the message comes before what was appraised beforehand. */
async function carriedAppraisal({ request, principal, gate }: Asked): Promise<Appraisal | undefined> {
  const { endpoint, evidence } = request;
  if (evidence) return gate?.appraise(evidence, endpoint);
  const evidenceId = keptEvidence(request, principal);
  return evidenceId === undefined ? undefined : gate?.recall(evidenceId, endpoint);
}

function keptEvidence({ evidenceId }: EnrollmentRequest, { secret }: Principal): string | undefined {
  return evidenceId ?? secret?.attested?.evidenceId;
}

/** What was named and is no more was used, or has expired. */
function absence(request: EnrollmentRequest, principal: Principal): string {
  return keptEvidence(request, principal) === undefined ? 'evidence-absent' : 'evidence-used';
}

/** What the gate made of the credential that let the request in. */
function credentialOf(request: EnrollmentRequest): Appraisal | undefined {
  const fact = request.facts.find(({ kind }) => kind === 'evidence');
  return fact?.kind === 'evidence' ? fact.appraisal : identityOf(request);
}

/** What the gate made of a manufacturer's certificate that came with the request. */
function identityOf({ facts }: EnrollmentRequest): Appraisal | undefined {
  const fact = facts.find(({ kind }) => kind === 'tls-certificate' || kind === 'signed-by');
  return fact && 'identity' in fact ? fact.identity : undefined;
}

/** Everything that keeps evidence from being accepted; empty when nothing does. */
async function faultsOf({ request, principal }: Asked, gate: AttestationGate, appraisal: Appraisal) {
  if (appraisal.verdict !== 'affirmed')
    return appraisal.findings.length > 0 ? appraisal.findings : ['evidence-refused'];
  const unfit = await gate.match(appraisal, candidateOf(request, principal), request.endpoint);
  return [...keyFaults(appraisal, request), ...unfit];
}

/** The one place where evidence is bound to the key: the attested public key is the requested public key. */
function keyFaults(
  { attestedPublicKey: attested, requesterProved }: Appraisal,
  { publicKey, proofOfPossession }: EnrollmentRequest,
): readonly string[] {
  if (attested) return publicKeysEqual(attested, publicKey) ? [] : ['key-is-another'];
  // It speaks of the device alone: then who asks has to be the device, and to hold the key it asks for.
  if (!requesterProved) return ['key-none-attested'];
  return proofOfPossession === 'signature' ? [] : ['key-not-proved'];
}

function candidateOf(request: EnrollmentRequest, principal: Principal): Candidate {
  return {
    name: printable(deviceName(request)),
    namedByEvidence: isNamedByEvidence(principal),
    renews: principal.renews,
    continuity: principal.continuity,
    spkiSha256: spkiSha256(request.publicKey),
  };
}

function isNamedByEvidence({ kind }: Principal): boolean {
  return kind === 'idevid' || kind === 'evidence';
}
