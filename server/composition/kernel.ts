import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { ProfileDirectory } from '../../core/authority/profiles.ts';
import { credentialVerifier, type CredentialVerifier } from '../../core/enrollment/credentials.ts';
import { StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import { Hall, type EnrollmentObserver } from '../../core/enrollment/hall.ts';
import type { FaultPoint } from '../../core/enrollment/issuance.ts';
import type { Approvals } from '../../core/enrollment/ports.ts';
import { secretHash, type SecretHash } from '../../core/enrollment/secrets.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { newId } from '../../core/store/id.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import type { Store } from '../../core/store/store.ts';
import { storedInventory } from '../../devices/inventory/devices.ts';
import { hashKey } from '../installation/installation-values.ts';

/** Everything between the doors and the token: what the protocols, the API, the tests and the bench stand on. */
export interface Kernel {
  readonly store: Store;
  readonly authorities: AuthorityDirectory;
  readonly profiles: ProfileDirectory;
  readonly endpoints: StoredEndpoints;
  readonly credentials: CredentialVerifier;
  readonly hall: Hall;
  readonly secretHash: SecretHash;
}

/** What a kernel is built on. */
export interface KernelParts {
  readonly store: Store;
  readonly keys: KeyStore;
  readonly shortLived: ShortLived;
  /** Where relying parties reach the plain listener: goes into AIA and CDP. */
  readonly publicUrl: string;
  readonly observer: EnrollmentObserver;
  readonly approvals: Approvals;
  /** For tests: stops the process between the steps of an enrolment. */
  readonly faultPoint?: (point: FaultPoint) => Promise<void>;
}

/** Wires the kernel. */
export async function composeKernel(parts: KernelParts): Promise<Kernel> {
  const { store, keys, shortLived, publicUrl, observer, approvals, faultPoint } = parts;
  const profiles = new ProfileDirectory(store);
  const authorities = new AuthorityDirectory(store, keys, publicUrl);
  const endpoints = new StoredEndpoints(store, profiles);
  const hash = secretHash(await hashKey(store));
  const credentials = credentialVerifier({ store, shortLived, authorities, secretHash: hash });
  const hall = new Hall({
    store,
    authorities,
    profiles,
    inventory: storedInventory(store),
    gate: undefined,
    approvals,
    observer,
    nodeId: newId(),
    ...(faultPoint && { faultPoint }),
  });
  return { store, authorities, profiles, endpoints, credentials, hall, secretHash: hash };
}
