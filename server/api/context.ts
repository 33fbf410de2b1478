import type { PlanOffice } from '../../adapters/sdk/pusher.ts';
import type { DataKeys } from '../../core/authority/data-keys.ts';
import type { AuthorityOffice } from '../../core/authority/authority-office.ts';
import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { SecretHash } from '../../core/enrollment/secrets.ts';
import type { KeyAlgorithm } from '../../core/keys/key-algorithm.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { DeviceUrls } from '../enrollment-guide/guide-facts.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Doctor } from './doctor.ts';
import type { RevocationContext } from './revocations.ts';
import type { RolloverContext } from './rollovers.ts';

/** Makes the keys of a new tenant, as the first start does; the answer stores what was made. */
export type TenantPreparation = (
  wish: {
    readonly name: string;
    readonly token: string;
    readonly rootAlgorithm?: KeyAlgorithm;
    readonly issuingAlgorithm?: KeyAlgorithm;
  },
  now: number,
) => Promise<{
  readonly id: string;
  readonly store: (tx: Unit, when: { readonly at: number; readonly actor: string }) => Promise<void>;
}>;

/** What the API stands on; made in the composition root. */
export interface ApiContext extends RevocationContext, RolloverContext {
  /** Version of Muster, for the OpenAPI document. */
  readonly version: string;
  readonly store: Store;
  readonly endpoints: Pick<StoredEndpoints, 'resolve' | 'list'>;
  readonly authorities: Pick<AuthorityDirectory, 'caCertificates' | 'forget'>;
  /** The ceremonies that make authorities. */
  readonly office: AuthorityOffice;
  readonly prepareTenant: TenantPreparation;
  readonly credentials: Pick<CredentialVerifier, 'batch'>;
  readonly hall: Pick<Hall, 'enroll'>;
  /** Plans and begins rotations of devices that do not enrol by themselves. */
  readonly plans: PlanOffice;
  readonly secretHash: SecretHash;
  /** What seals the secrets that must be read again. */
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  /** DER SubjectPublicKeyInfo of the key that signs audit checkpoints. */
  readonly auditPublicKey: Uint8Array;
  /** Where devices reach the listeners; known once they listen. */
  readonly deviceUrls: () => DeviceUrls;
  /** The root that the server's own TLS certificates lead to, DER. */
  readonly tlsRoot: Uint8Array;
  readonly doctor: Doctor;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  /** Requests per minute and source address; 0: no limit. */
  readonly requestsPerMinute: number;
}
