import type { Crls } from '../../core/authority/crls.ts';
import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { ProfileDirectory } from '../../core/authority/profiles.ts';
import type { RolloverSightings } from '../../core/authority/rollover-sightings.ts';
import type { Rollovers } from '../../core/authority/rollovers.ts';
import type { ServiceIdentities } from '../../core/authority/service-identities.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { EndpointDirectory } from '../../core/enrollment/endpoint.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { AttestationGate } from '../../core/enrollment/ports.ts';
import type { Store } from '../../core/store/store.ts';

/** What CMP stands on. */
export interface CmpDependencies {
  readonly store: Store;
  readonly endpoints: EndpointDirectory;
  readonly credentials: Pick<CredentialVerifier, 'macCredential' | 'signer'>;
  readonly hall: Pick<Hall, 'enroll' | 'poll'>;
  /** Gives nonces for evidence; without it there are none. */
  readonly gate?: Pick<AttestationGate, 'challenge'>;
  readonly authorities: Pick<AuthorityDirectory, 'issuer' | 'caCertificates'>;
  /** What takes over from what, and what devices are told because of it. */
  readonly rollovers: Pick<Rollovers, 'trustCertificates' | 'rootUpdate' | 'bridges' | 'predecessors'>;
  readonly sightings: Pick<RolloverSightings, 'fetched'>;
  readonly profiles: Pick<ProfileDirectory, 'get'>;
  /** Keys of answers, and of the key generation authority. */
  readonly identities: Pick<ServiceIdentities, 'current'>;
  readonly crls: Pick<Crls, 'current'>;
}
