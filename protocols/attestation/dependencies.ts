import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { AttestationDoorSettings } from '../../core/enrollment/attestation-settings.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint, EndpointDirectory } from '../../core/enrollment/endpoint.ts';
import type { AttestedBeforehand } from '../../core/enrollment/facts.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { AttestationGate } from '../../core/enrollment/ports.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import type { TicketProtocol } from './messages.ts';

/** What the front door stands on. */
export interface AttestationDependencies {
  readonly endpoints: EndpointDirectory;
  readonly gate: Pick<AttestationGate, 'challenge' | 'preAppraise' | 'nameOf' | 'match'>;
  readonly credentials: Pick<CredentialVerifier, 'attested'>;
  readonly hall: Pick<Hall, 'enroll'>;
  readonly authorities: Pick<AuthorityDirectory, 'caCertificates'>;
  readonly shortLived: Pick<ShortLived, 'increment'>;
  readonly activation: AttestationKeyActivation;
  readonly tickets: TicketOffice;
}

/** What a device says of a new attestation key; everything is as it came. */
export interface Registration {
  /** SubjectPublicKeyInfo of the endorsement key. */
  readonly endorsementKey: Uint8Array | undefined;
  /** Certificates of endorsement keys, DER or as they stand in the TPM's NV memory. */
  readonly endorsementCertificates: readonly Uint8Array[];
  /** TPMT_PUBLIC of the endorsement key. */
  readonly endorsementPublicArea: Uint8Array | undefined;
  /** TPMT_PUBLIC of the attestation key. */
  readonly publicArea: Uint8Array;
  /** TPMS_CREATION_DATA, TPMS_ATTEST and TPMT_SIGNATURE of its creation. */
  readonly creationData: Uint8Array | undefined;
  readonly creationAttest: Uint8Array | undefined;
  readonly creationSignature: Uint8Array | undefined;
}

/** Binds attestation keys to TPMs. What the TPM releases is evidence of type `tpm-activation`. */
export interface AttestationKeyActivation {
  /**
   * A secret that only the TPM of the endorsement key releases, and only to that attestation key: TPM2B_ID_OBJECT and
   * TPM2B_ENCRYPTED_SECRET.
   * @throws EvidenceRefusal for an endorsement or attestation key that does not convince
   */
  begin(
    endpoint: Endpoint,
    registration: Registration,
  ): Promise<{ readonly credential: Uint8Array; readonly secret: Uint8Array }>;
}

/** Makes one-time secrets for who attested. */
export interface TicketOffice {
  issue(endpoint: Endpoint, order: TicketOrder): Promise<Ticket>;
}

/** What a ticket shall open. */
export interface TicketOrder {
  readonly protocol: TicketProtocol;
  readonly device: string;
  readonly attested: AttestedBeforehand;
  readonly lifetimeSeconds: number;
  readonly sourceAddress: string;
}

/** A one-time secret for one device and one key. */
export interface Ticket {
  /** The name that a MAC secret goes by (CMP); undefined for a password. */
  readonly reference: string | undefined;
  readonly secret: Secret;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

/** An endpoint whose front door is open. */
export interface OpenEndpoint {
  readonly endpoint: Endpoint;
  readonly settings: AttestationDoorSettings;
}

/** Where a request came from. */
export interface Call extends OpenEndpoint {
  readonly requestId: string;
  readonly sourceAddress: string;
}
