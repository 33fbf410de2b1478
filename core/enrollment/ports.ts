import type { Unit } from '../store/store.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { Endpoint } from './endpoint.ts';
import type { Evidence } from './request.ts';

/** Seconds within which a nonce of {@link AttestationGate.challenge} must come back. */
export const NONCE_LIFETIME_SECONDS = 600;

/** What the gate made of evidence: the hall compares `attestedPublicKey` with the requested key, there and nowhere else. */
export interface Appraisal {
  /** Names the verdict; an operator finds it by this. */
  readonly evidenceId: string;
  /** The kind of evidence, as it came. */
  readonly type: string;
  /** What the device is recognised by from then on, `kind:value`: the strongest of its identifiers; undefined where it proves none. */
  readonly identity: string | undefined;
  readonly verdict: 'affirmed' | 'refused';
  /** The key that the evidence attests; undefined where it speaks of the device alone. */
  readonly attestedPublicKey: SubjectPublicKeyInfo | undefined;
  /** Without an attested key: whether who asks has proved, with this very request, to be the device (an IDevID does). */
  readonly requesterProved: boolean;
  /** What the evidence proves of the device, by kind: `serial-number`, `ek-sha256`, `idevid-sha256`, `model`, … */
  readonly identifiers: Readonly<Record<string, string>>;
  /** What else it claims, for admission rules. */
  readonly claims: Readonly<Record<string, string | number | boolean>>;
  /** Codes of the gate, for the operator: why it was refused, or what was noticed. */
  readonly findings: readonly string[];
}

/** Who is about to be admitted by an appraisal. */
export interface Candidate {
  /** As {@link DeviceIdentity} names it. */
  readonly name: string;
  /** Whether the evidence is the only credential: then the name must be one that it proves. */
  readonly namedByEvidence: boolean;
  /** The certificate of ours that is replaced. */
  readonly renews: string | undefined;
  /** A credential that nobody but the device that enrolled before can have; undefined where evidence alone was shown. */
  readonly continuity: string | undefined;
  /** Lower-case hex SHA-256 of the requested SubjectPublicKeyInfo. */
  readonly spkiSha256: string;
}

/** What became of a request whose evidence was appraised. */
export interface EvidenceDecision extends Candidate {
  /** `observed`: let in by an endpoint that only observes, for faults that another would refuse it for. */
  readonly decision: 'admitted' | 'observed' | 'refused';
  /** What spoke against it: findings of a refused verdict, and what did not fit the request or the device. */
  readonly faults: readonly string[];
  readonly enrollment: string | undefined;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The attestation gate (devices/attestation). With none wired, an endpoint that asks for evidence refuses. */
export interface AttestationGate {
  /**
   * A fresh nonce for evidence to this endpoint; it lives {@link NONCE_LIFETIME_SECONDS}.
   * @throws PeerError `malformed-request` for a length that is not between 32 (the default) and 64 octets.
   */
  challenge(endpoint: Endpoint, octets?: number): Promise<Uint8Array>;
  /**
   * Appraises evidence that came with a request. Evidence that does not convince is a verdict; what throws is a part that is
   * away (UpstreamError) or a fault of ours.
   */
  appraise(evidence: Evidence, endpoint: Endpoint): Promise<Appraisal>;
  /**
   * Appraises a certificate (leaf first, DER) whose key the requester has proved to hold.
   * @returns undefined when it leads to no anchor of purpose `idevid`.
   */
  identify(chain: readonly Uint8Array[], endpoint: Endpoint): Promise<Appraisal | undefined>;
  /** Appraises evidence before there is a request, and keeps the verdict, whichever it is, for {@link AttestationGate.recall}. */
  preAppraise(evidence: Evidence, endpoint: Endpoint, bound: PreAppraisalBinding): Promise<Appraisal>;
  /** A kept verdict that nothing was enrolled by yet; undefined when there is none at this endpoint, or it is over. */
  recall(evidenceId: string, endpoint: Endpoint): Promise<Appraisal | undefined>;
  /** How the device of a certificate of ours was attested; undefined where it never was. */
  standing(tenant: string, certificateId: string): Promise<Standing | undefined>;
  /** The name that evidence proves: what the manifest calls the device, else the best that the evidence says itself. */
  nameOf(appraisal: Appraisal, endpoint: Endpoint): Promise<string | undefined>;
  /** What speaks against a candidate that the evidence itself leaves in order: the manifest, an identity used before. */
  match(appraisal: Appraisal, candidate: Candidate, endpoint: Endpoint): Promise<readonly string[]>;
  /**
   * Records verdict and decision in the unit that decides, and with an admission that the identity is in use.
   * @throws PolicyError `evidence-refused` when a kept verdict was used by another request meanwhile.
   */
  record(tx: Unit, appraisal: Appraisal, endpoint: Endpoint, decision: EvidenceDecision): Promise<void>;
}

/** What the certificate of a device rests on. */
export interface Standing {
  readonly evidenceId: string;
  /** Whether the evidence bound the key; otherwise it spoke of the device alone. */
  readonly boundKey: boolean;
}

/** What holds of evidence that is appraised beforehand, besides what it says itself. */
export interface PreAppraisalBinding {
  /** The key it shall stand for where it attests none itself; without it, any key that is proved with the request. */
  readonly publicKey?: SubjectPublicKeyInfo;
  readonly lifetimeSeconds: number;
}

/** A device as the hall sees it. */
export interface KnownDevice {
  readonly id: string;
  readonly state: 'expected' | 'enrolled' | 'blocked';
}

/** How a request names its device: the subject's serialNumber, else its CN, else the first name. */
export interface DeviceIdentity {
  readonly tenant: string;
  readonly name: string;
}

/** The inventory of devices (devices/inventory). */
export interface Inventory {
  /** The device, if the tenant knows it. */
  find(identity: DeviceIdentity): Promise<KnownDevice | undefined>;
  /** Inside the issuing unit: makes the device if it is new, notes its certificate, and returns its id. */
  recordIssued(
    tx: Unit,
    identity: DeviceIdentity,
    issued: {
      readonly enrollmentId: string;
      readonly certificateId: string;
      readonly notAfter: number;
      /** The evidence it was admitted by. */
      readonly evidenceId: string | undefined;
      readonly at: number;
    },
  ): Promise<string>;
}

/** Told after commit that an enrolment waits for an operator. */
export interface Approvals {
  waiting(enrollmentId: string, endpoint: Endpoint): void;
}
