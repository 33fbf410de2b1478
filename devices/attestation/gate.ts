import { hash } from 'node:crypto';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { EvidenceType } from '../../core/enrollment/attestation-policy.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type {
  Appraisal,
  AttestationGate,
  Candidate,
  EvidenceDecision,
  PreAppraisalBinding,
  Standing,
} from '../../core/enrollment/ports.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import { InternalError, MusterError, PolicyError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { type Certificate, parseCertificate } from '../../core/x509/certificate.ts';
import { parseSubjectPublicKeyInfo, spkiSha256 } from '../../core/x509/public-key.ts';
import { expectationOf, expectedKey, noteAttested } from '../inventory/expectations.ts';
import { earlierEnrollments, type IdentityScope } from '../inventory/identities.ts';
import { type CloneAlarm, raiseIfCloned, wasUsedBefore } from './clones.ts';
import { decideKept, waitingEvidence, writeEvidence } from './evidence-records.ts';
import { EvidenceFault, type FindingCode } from './findings.ts';
import { identityOf } from './identity.ts';
import { AttestationNonces, type NonceParts } from './nonces.ts';
import { isRevoked } from './revoked-certificates.ts';
import { standingOf } from './standing.ts';
import type { AttestationKeyOffice } from './tpm/attestation-key-office.ts';
import type { WrappedCredential } from './tpm/make-credential.ts';
import type { AttestationKeyRegistration } from './tpm/registration.ts';
import type { EvidenceRow } from './tables.ts';
import { TrustStore } from './trust-store.ts';
import type { AppraisalContext, EvidenceVerifier, Identifiers, VerifiedEvidence } from './verifier.ts';

/** Judges a manufacturer's certificate whose key the carrier has proved: undefined when it leads to no anchor of `idevid`. */
export type IdentityVerifier = (
  chain: readonly Certificate[],
  context: AppraisalContext,
) => Promise<VerifiedEvidence | undefined>;

/** What the gate stands on. */
export interface GateParts {
  readonly store: Store;
  readonly shortLived: NonceParts['shortLived'];
  readonly nonceKey: Uint8Array;
  /** Which kinds of evidence there are: a visible list. */
  readonly verifiers: readonly EvidenceVerifier[];
  readonly identify: IdentityVerifier;
  /** Activates attestation keys of TPMs, and knows them afterwards. */
  readonly attestationKeys: Pick<AttestationKeyOffice, 'begin' | 'activate' | 'find'>;
  /** Told, after commit, of an identity that a second device seems to show. */
  readonly onClone: (alarm: CloneAlarm) => void;
}

/** More than any evidence of the kinds there are needs. */
const MAX_EVIDENCE_OCTETS = 256 * 1024;
const DAY_MS = 86_400_000;

/** What of a verdict is written down and nobody else's business. */
interface Unwritten {
  readonly sha256: string;
  readonly octets: number;
  readonly bytes: Uint8Array;
  readonly detail: string | null;
  /** The verdict stands in the store already, and waits for its request. */
  readonly kept: boolean;
  /** The row of the manifest that the evidence proves the device to be. */
  expected?: string | undefined;
}

/** A part of an appraisal that a verifier is responsible for. */
type Judged = VerifiedEvidence & { readonly refused: { readonly code: string; readonly detail: string } | undefined };

/** The attestation gate over the store: dispatches evidence by its type, and keeps what became of it. */
export class StoredGate implements AttestationGate {
  readonly #parts: GateParts;
  readonly #nonces: AttestationNonces;
  readonly #trust: TrustStore;
  readonly #unwritten = new WeakMap<Appraisal, Unwritten>();

  constructor(parts: GateParts) {
    this.#parts = parts;
    const { nonceKey: key, shortLived, store } = parts;
    this.#nonces = new AttestationNonces({ key, shortLived, clock: store.clock });
    this.#trust = new TrustStore(store);
  }

  async challenge({ id }: Endpoint, octets?: number): Promise<Uint8Array> {
    return this.#nonces.issue(id, octets);
  }

  async appraise(evidence: Evidence, endpoint: Endpoint): Promise<Appraisal> {
    const judged = await this.#judge(evidence, endpoint);
    return this.#verdict(evidence, judged, { requesterProved: false, kept: false });
  }

  async identify(chain: readonly Uint8Array[], endpoint: Endpoint): Promise<Appraisal | undefined> {
    const trust = await this.#trust.of(endpoint.tenant);
    if (trust.anchors('idevid').length === 0) return undefined;
    const judged = await orRefused(async () => {
      const context = await this.#appraisalContext(endpoint, 'idevid', undefined);
      return this.#parts.identify(chain.map(parseCertificate), context);
    });
    if (judged === undefined) return undefined;
    const evidence = { type: 'idevid', bytes: chain[0] ?? new Uint8Array() };
    const accepted = requireAccepted(endpoint, 'idevid', judged);
    return this.#verdict(evidence, accepted, { requesterProved: true, kept: false });
  }

  async preAppraise(evidence: Evidence, endpoint: Endpoint, bound: PreAppraisalBinding): Promise<Appraisal> {
    const judged = await this.#judge(evidence, endpoint);
    const attestedPublicKey = judged.attestedPublicKey ?? bound.publicKey;
    const standing = { requesterProved: attestedPublicKey === undefined, kept: true };
    const appraisal = this.#verdict(evidence, { ...judged, attestedPublicKey }, standing);
    const now = this.#parts.store.clock.now();
    const row: EvidenceRow = {
      ...this.#row(appraisal, endpoint, now),
      expires_at: now + bound.lifetimeSeconds * 1000,
    };
    await this.#parts.store.unit((tx) => writeEvidence(tx, row));
    return appraisal;
  }

  async recall(evidenceId: string, { tenant, id: endpoint }: Endpoint): Promise<Appraisal | undefined> {
    const { store } = this.#parts;
    const row = await waitingEvidence(store, { tenant, endpoint, id: evidenceId, now: store.clock.now() });
    if (row === undefined) return undefined;
    const appraisal: Appraisal = {
      evidenceId,
      type: row.type,
      identity: row.identity ?? undefined,
      verdict: row.verdict,
      attestedPublicKey: row.attested_key === null ? undefined : parseSubjectPublicKeyInfo(row.attested_key),
      requesterProved: row.requester_proved === 1,
      identifiers: JSON.parse(row.identifiers) as Appraisal['identifiers'],
      claims: JSON.parse(row.claims) as Appraisal['claims'],
      findings: JSON.parse(row.findings) as string[],
    };
    const { sha256, octets, detail } = row;
    this.#unwritten.set(appraisal, { sha256, octets, detail, bytes: new Uint8Array(), kept: true });
    return appraisal;
  }

  standing(tenant: string, certificateId: string): Promise<Standing | undefined> {
    return standingOf(this.#parts.store, tenant, certificateId);
  }

  async match(appraisal: Appraisal, candidate: Candidate, endpoint: Endpoint): Promise<readonly FindingCode[]> {
    const { store } = this.#parts;
    const { tenant, attestation } = endpoint;
    const { identifiers, identity } = appraisal;
    const { device, faults } = await expectationOf(store, tenant, candidate.name, provedBy(identifiers));
    this.#unwrittenOf(appraisal).expected = device?.id;
    const found: FindingCode[] = [...faults];
    if (device === undefined && attestation.expectedDevice === 'required') found.push('device-not-expected');
    if (candidate.namedByEvidence && !provesName(candidate.name, identifiers, device))
      found.push('device-name-mismatch');
    if (attestation.oneTime && identity !== undefined) {
      const earlier = await earlierEnrollments(store, scopeOf(endpoint, identity), store.clock.now());
      if (wasUsedBefore(earlier, candidate)) found.push('identity-used');
    }
    return [...new Set(found)];
  }

  async nameOf({ identifiers }: Appraisal, { tenant }: Endpoint): Promise<string | undefined> {
    const { device } = await expectationOf(this.#parts.store, tenant, NOBODY, provedBy(identifiers));
    return device?.name ?? device?.serial_number ?? namesIn(identifiers)[0];
  }

  async record(tx: Unit, appraisal: Appraisal, endpoint: Endpoint, decision: EvidenceDecision): Promise<void> {
    const { tenant, profile, attestation } = endpoint;
    const { kept, expected } = this.#unwrittenOf(appraisal);
    const { at, enrollment = null } = decision;
    // First the alarm: the enrolment of this unit does not rest on its evidence yet as far as the look-up sees.
    await raiseIfCloned(tx, {
      tenant,
      profile,
      appraisal,
      decision,
      oneTime: attestation.oneTime,
      tell: this.#parts.onClone,
    });
    if (!kept) await writeEvidence(tx, this.#decidedRow(appraisal, endpoint, decision));
    else if (!(await decideKept(tx, tenant, appraisal.evidenceId, decision)) && decision.decision !== 'refused')
      throw new PolicyError('evidence-refused', 'attestation refused: evidence-used');
    if (expected !== undefined && decision.decision !== 'refused')
      await noteAttested(tx, { tenant, id: expected, enrollment, at });
  }

  /**
   * Begins the activation of an attestation key by what the tenant of an endpoint trusts.
   * @throws EvidenceFault; StateError `quota-exceeded` while too many wait.
   */
  async beginActivation(endpoint: Endpoint, registration: AttestationKeyRegistration): Promise<WrappedCredential> {
    const context = await this.#appraisalContext(endpoint, 'tpm-activation', undefined);
    const scope = { tenant: endpoint.tenant, endpoint: endpoint.id };
    return this.#parts.attestationKeys.begin(scope, registration, context);
  }

  /** What a verifier goes by at an endpoint, with the nonce that the evidence must hold where the carrier knows it. */
  async #appraisalContext(
    { id, tenant, attestation: policy }: Endpoint,
    type: EvidenceType,
    nonce: Uint8Array | undefined,
  ): Promise<AppraisalContext> {
    const { store, attestationKeys } = this.#parts;
    const trust = await this.#trust.of(tenant);
    return {
      type,
      now: new Date(store.clock.now()),
      nonce,
      policy,
      takeNonce: (presented) => this.#nonces.take(id, presented),
      anchors: (purpose) => trust.anchors(purpose),
      referenceValues: (model) => trust.referenceValues(model),
      isAllowedKey: async (kind, sha256) => (await expectedKey(store, tenant, kind, sha256)) !== undefined,
      expectedModel: async (kind, sha256) => (await expectedKey(store, tenant, kind, sha256))?.model ?? undefined,
      isRevoked: (issuerKeyId, serialNumber) => isRevoked(store, tenant, issuerKeyId, serialNumber),
      knownAttestationKey: (name) => attestationKeys.find(tenant, name),
      activatedKey: (secret) => attestationKeys.activate({ tenant, endpoint: id }, secret),
    };
  }

  async #judge({ type, bytes, nonce }: Evidence, endpoint: Endpoint): Promise<Judged> {
    const judged = await orRefused(async () => {
      const [verifier, known] = this.#verifierOf(type);
      if (!endpoint.attestation.accepts.includes(known))
        throw new EvidenceFault('evidence-type-not-accepted', `the endpoint does not accept ${known}`);
      if (bytes.length > MAX_EVIDENCE_OCTETS)
        throw new EvidenceFault('evidence-too-large', `${bytes.length} octets, more than ${MAX_EVIDENCE_OCTETS}`);
      return verifier.appraise(bytes, await this.#appraisalContext(endpoint, known, nonce));
    });
    if (judged === undefined) throw new InternalError(`the verifier of ${type} came to no verdict`);
    return judged;
  }

  #verifierOf(type: string): readonly [EvidenceVerifier, EvidenceType] {
    for (const verifier of this.#parts.verifiers) {
      const known = verifier.types.find((candidate) => candidate === type);
      if (known !== undefined) return [verifier, known];
    }
    throw new EvidenceFault('evidence-type-unknown', `no verifier for ${type.slice(0, 64)}`);
  }

  #verdict(
    { type, bytes }: Evidence,
    { refused, ...verified }: Judged,
    { requesterProved, kept }: { readonly requesterProved: boolean; readonly kept: boolean },
  ): Appraisal {
    const appraisal: Appraisal = {
      evidenceId: newId(this.#parts.store.clock.now()),
      type: type.slice(0, 64),
      identity: identityOf(verified.identifiers),
      verdict: refused ? 'refused' : 'affirmed',
      requesterProved,
      ...verified,
      findings: refused ? [refused.code, ...verified.findings] : verified.findings,
    };
    const detail = refused?.detail.slice(0, 1000) ?? null;
    this.#unwritten.set(appraisal, { sha256: hash('sha256', bytes), octets: bytes.length, bytes, detail, kept });
    return appraisal;
  }

  #unwrittenOf(appraisal: Appraisal): Unwritten {
    const unwritten = this.#unwritten.get(appraisal);
    if (unwritten === undefined) throw new InternalError('the appraisal is not one of this gate');
    return unwritten;
  }

  #decidedRow(appraisal: Appraisal, endpoint: Endpoint, decision: EvidenceDecision): EvidenceRow {
    return {
      ...this.#row(appraisal, endpoint, decision.at),
      decision: decision.decision,
      faults: JSON.stringify(decision.faults),
      enrollment: decision.enrollment ?? null,
      device_name: decision.name,
      continuity: decision.continuity ?? null,
      decided_at: decision.at,
    };
  }

  #row(appraisal: Appraisal, { id: endpoint, tenant, attestation }: Endpoint, now: number): EvidenceRow {
    const { sha256, octets, bytes, detail } = this.#unwrittenOf(appraisal);
    const { attestedPublicKey: key } = appraisal;
    const days = attestation.retainEvidenceDays;
    return {
      id: appraisal.evidenceId,
      tenant,
      endpoint,
      type: appraisal.type,
      verdict: appraisal.verdict,
      findings: JSON.stringify(appraisal.findings),
      detail,
      identifiers: JSON.stringify(appraisal.identifiers),
      claims: JSON.stringify(appraisal.claims),
      identity: appraisal.identity ?? null,
      sha256,
      octets,
      attested_key: key?.der ?? null,
      attested_key_sha256: key ? spkiSha256(key) : null,
      requester_proved: appraisal.requesterProved ? 1 : 0,
      evidence: days > 0 ? bytes : null,
      keep_until: days > 0 ? now + days * DAY_MS : null,
      decision: null,
      mode: attestation.mode,
      faults: '[]',
      enrollment: null,
      device_name: null,
      continuity: null,
      expires_at: null,
      used_at: null,
      created_at: now,
      decided_at: null,
    };
  }
}

/** Faults of the evidence become a refused verdict with their code; a part that is away, or a fault of ours, stays what it is. */
async function orRefused(verify: () => Promise<VerifiedEvidence | undefined>): Promise<Judged | undefined> {
  try {
    const verified = await verify();
    return verified && { ...verified, refused: undefined };
  } catch (error) {
    if (error instanceof EvidenceFault) return refusedFor(error.code, error.detail);
    // A codec that a verifier left to speak for itself.
    if (error instanceof Asn1Error) return refusedFor('evidence-malformed', error.message);
    if (error instanceof MusterError) throw error;
    throw new InternalError('a verifier of evidence failed', { cause: error });
  }
}

function refusedFor(code: FindingCode, detail: string): Judged {
  return { attestedPublicKey: undefined, identifiers: {}, claims: {}, findings: [], refused: { code, detail } };
}

function requireAccepted({ attestation }: Endpoint, type: EvidenceType, judged: Judged): Judged {
  if (judged.refused !== undefined || attestation.accepts.includes(type)) return judged;
  return { ...judged, refused: { code: 'evidence-type-not-accepted', detail: `the endpoint does not accept ${type}` } };
}

function scopeOf({ tenant, profile }: Endpoint, identity: string): IdentityScope {
  return { tenant, profile, identity };
}

/** Where the manifest names the device it has the word; otherwise what the evidence calls it itself. */
function provesName(
  name: string,
  identifiers: Identifiers,
  expected: { readonly name: string | null; readonly serial_number: string | null } | undefined,
): boolean {
  const given = expected?.name ?? expected?.serial_number ?? undefined;
  if (given !== undefined) return given === name;
  return namesIn(identifiers).includes(name);
}

/** No device goes by it. */
const NOBODY = '';

/** What the evidence itself calls the device, the best name first; one that nothing names goes by the hash of its key. */
function namesIn(identifiers: Identifiers): readonly string[] {
  const { 'serial-number': serialNumber, 'permanent-identifier': permanent } = identifiers;
  const all = [serialNumber, permanent, identifiers['ek-sha256'], identifiers['idevid-sha256']];
  return all.filter((name) => name !== undefined);
}

function provedBy(identifiers: Identifiers): Parameters<typeof expectationOf>[3] {
  return {
    serialNumber: identifiers['serial-number'],
    permanentIdentifier: identifiers['permanent-identifier'],
    ekSha256: identifiers['ek-sha256'],
    idevidSha256: identifiers['idevid-sha256'],
    vendorId: identifiers['vendor-id'],
    productId: identifiers['product-id'],
    model: identifiers['model'],
  };
}
