import { linuxGateway } from '../../adapters/linux-gateway/driver.ts';
import { DEAD_MAN_SECONDS, PlanOffice } from '../../adapters/sdk/pusher.ts';
import { localBuilder } from '../../core/authority/crl-building.ts';
import { workerBuilder } from '../../core/authority/crl-worker-builder.ts';
import type { CrlDatabase } from '../../core/authority/crl-worker.ts';
import { Crls } from '../../core/authority/crls.ts';
import { AuthorityDirectory } from '../../core/authority/directory.ts';
import { DataKeys } from '../../core/authority/data-keys.ts';
import { ProfileDirectory } from '../../core/authority/profiles.ts';
import { CaRollover } from '../../core/authority/rollover.ts';
import { type RolloverEvidence, RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import { Rollovers } from '../../core/authority/rollovers.ts';
import { RevocationView } from '../../core/authority/revocation-view.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import { credentialVerifier, type CredentialVerifier } from '../../core/enrollment/credentials.ts';
import { moveEndpoints, StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import { Hall, type EnrollmentObserver } from '../../core/enrollment/hall.ts';
import type { FaultPoint } from '../../core/enrollment/issuance.ts';
import type { Approvals } from '../../core/enrollment/ports.ts';
import { secretHash, type SecretHash } from '../../core/enrollment/secrets.ts';
import type { KeyStore } from '../../core/keys/key-store.ts';
import { Secret } from '../../core/keys/secret.ts';
import { newId } from '../../core/store/id.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import type { Store } from '../../core/store/store.ts';
import { AttestationKeyOffice } from '../../devices/attestation/tpm/attestation-key-office.ts';
import type { CloneAlarm } from '../../devices/attestation/clones.ts';
import { StoredGate } from '../../devices/attestation/gate.ts';
import { storedInventory } from '../../devices/inventory/devices.ts';
import { hashKey } from '../installation/installation-values.ts';
import { IDENTITY_VERIFIER, VERIFIERS } from './verifiers.ts';
import { watchedCredentials } from './rollover-watch.ts';

/** Every platform that adapters know. */
const DRIVERS = [linuxGateway];

/** What the key of attestation nonces is derived from the installation's key by: no secret is made with this text. */
const NONCE_KEY_LABEL = 'muster: key of the nonces of attestation';

/** Everything between the doors and the token: what the protocols, the API, the tests and the bench stand on. */
export interface Kernel {
  readonly store: Store;
  readonly shortLived: ShortLived;
  readonly authorities: AuthorityDirectory;
  readonly profiles: ProfileDirectory;
  readonly endpoints: StoredEndpoints;
  readonly credentials: CredentialVerifier;
  readonly hall: Hall;
  /** What appraises evidence. */
  readonly gate: StoredGate;
  readonly secretHash: SecretHash;
  /** What seals the readable secrets of a tenant. */
  readonly dataKeys: DataKeys;
  /** The keys Muster serves the devices of an authority with. */
  readonly identities: ServiceIdentities;
  readonly crls: Crls;
  /** What this node knows of revocations, once it is started. */
  readonly revocations: RevocationView;
  /** The ceremony that replaces authorities, what devices are told of it, and who is known to have heard. */
  readonly rollover: CaRollover;
  readonly rollovers: Rollovers;
  readonly sightings: RolloverSightings;
  /** Told what goes wrong in the background. */
  readonly report: (error: unknown) => void;
  /** What brings certificates to devices that do not enrol by themselves. */
  readonly plans: PlanOffice;
}

/** What a kernel is built on. */
export interface KernelParts {
  readonly store: Store;
  readonly keys: KeyStore;
  readonly shortLived: ShortLived;
  /** Where relying parties reach the plain listener: goes into AIA and CDP. */
  readonly publicUrl: string;
  readonly observer: EnrollmentObserver;
  /** Where workers that build long CRLs read; without it, they are built on the event loop. */
  readonly database?: CrlDatabase;
  /** Told what goes wrong in the background. */
  readonly report: (error: unknown) => void;
  readonly approvals: Approvals;
  /** Told of each device that is seen to know a new authority, and of each fetch by anybody. */
  readonly onRolloverSighting?: (evidence: RolloverEvidence | 'anonymous-fetch') => void;
  /** Told of an identity that a second device seems to show. */
  readonly onClone?: (alarm: CloneAlarm) => void;
  /** For tests: stops the process between the steps of an enrolment. */
  readonly faultPoint?: (point: FaultPoint) => Promise<void>;
}

/** Wires the kernel. */
export async function composeKernel(parts: KernelParts): Promise<Kernel> {
  const { store, keys, shortLived, publicUrl, database, observer, report, approvals, faultPoint } = parts;
  const profiles = new ProfileDirectory(store);
  const authorities = new AuthorityDirectory(store, keys, publicUrl);
  const endpoints = new StoredEndpoints(store, profiles);
  const hash = secretHash(await hashKey(store));
  const dataKeys = new DataKeys(store, keys);
  const identities = new ServiceIdentities({ store, keys, authorities });
  const build = database === undefined ? localBuilder(store) : workerBuilder(store, database);
  const crls = new Crls({ store, authorities, build });
  const revocations = new RevocationView({ store, hints: shortLived, report });
  revocations.subscribe((changes) => authorities.noteRevocations(changes));
  const rollovers = new Rollovers({ store, authorities, report });
  const onSighting = parts.onRolloverSighting;
  const sightings = new RolloverSightings({ store, rollovers, ...(onSighting && { onSighting }) });
  const rollover = new CaRollover({ store, keys, rollovers, identities, moveEndpoints });
  const gate = new StoredGate({
    store,
    shortLived,
    nonceKey: Buffer.from(hash(new Secret(NONCE_KEY_LABEL)), 'hex'),
    verifiers: VERIFIERS,
    identify: IDENTITY_VERIFIER,
    attestationKeys: new AttestationKeyOffice(store),
    onClone: parts.onClone ?? (() => undefined),
  });
  const credentials = watchedCredentials(
    credentialVerifier({ store, shortLived, authorities, secretHash: hash, dataKeys, gate }),
    { authorities, rollovers, sightings, report },
  );
  const hall = new Hall({
    store,
    authorities,
    profiles,
    inventory: storedInventory(store),
    gate,
    approvals,
    observer,
    nodeId: newId(),
    ...(faultPoint && { faultPoint }),
  });
  return {
    store,
    shortLived,
    authorities,
    profiles,
    endpoints,
    credentials,
    hall,
    gate,
    secretHash: hash,
    dataKeys,
    identities,
    crls,
    revocations,
    rollover,
    rollovers,
    sightings,
    report,
    plans: new PlanOffice({ store, endpoints, drivers: DRIVERS, deadManSeconds: DEAD_MAN_SECONDS }),
  };
}
