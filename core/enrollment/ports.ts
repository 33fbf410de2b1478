import type { Unit } from '../store/store.ts';
import type { SubjectPublicKeyInfo } from '../x509/public-key.ts';
import type { Endpoint } from './endpoint.ts';
import type { Evidence } from './request.ts';

/** What the gate made of evidence: the hall compares `attestedPublicKey` with the requested key, here and nowhere else. */
export interface Appraisal {
  readonly verdict: 'affirmed' | 'refused';
  readonly attestedPublicKey: SubjectPublicKeyInfo | undefined;
  /** Identifiers the evidence proves (serial numbers, EK hashes, …), by kind. */
  readonly identifiers: Readonly<Record<string, string>>;
  /** Reason codes of the gate, for the operator. */
  readonly findings: readonly string[];
}

/** The attestation gate (devices/attestation). With none wired, an endpoint that asks for evidence refuses. */
export interface AttestationGate {
  /** A fresh nonce for evidence to this endpoint. */
  challenge(endpoint: Endpoint): Promise<Uint8Array>;
  appraise(evidence: Evidence, endpoint: Endpoint): Promise<Appraisal>;
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
    issued: { certificateId: string; notAfter: number; at: number },
  ): Promise<string>;
}

/** Told after commit that an enrolment waits for an operator. */
export interface Approvals {
  waiting(enrollmentId: string, endpoint: Endpoint): void;
}
