import type { DataKeys } from '../authority/data-keys.ts';
import type { AuthorityDirectory } from '../authority/directory.ts';
import { PolicyError } from '../errors/muster-error.ts';
import type { Secret } from '../keys/secret.ts';
import type { ShortLived } from '../store/short-lived.ts';
import type { Store } from '../store/store.ts';
import { verifyCertificate } from './certificate-credentials.ts';
import { verifyChallenge } from './challenges.ts';
import { ChosenSecrets } from './chosen-secrets.ts';
import { acmeOrderFact, type EabKey, findEabKey, type NamePolicy, namePolicyOf, type ProvedOrder } from './eab-keys.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import {
  type AcmeOrderFact,
  asVerified,
  type AttestedFact,
  type BatchFact,
  type ExternalDecisionFact,
  type MacFact,
  type PasswordFact,
  type PlanFact,
  type SignedByFact,
  type TlsCertificateFact,
} from './facts.ts';
import { LockOut } from './lock-out.ts';
import { findMacCredential } from './mac-credentials.ts';
import type { AttestationGate } from './ports.ts';
import { findSecret, type SecretHash } from './secrets.ts';
import { isPassword, passwordFact, serves } from './stored-passwords.ts';

/** Turns what a device presented into facts; the only place where facts are made. */
export interface CredentialVerifier {
  /**
   * Validates the path of a presented client certificate (leaf first, DER) and its status as of now.
   * @throws PolicyError `certificate-untrusted`, `certificate-expired` or `certificate-revoked`.
   */
  tlsCertificate(endpoint: Endpoint, chain: readonly Uint8Array[]): Promise<TlsCertificateFact>;
  /**
   * Checks a password against the endpoint's shared secrets. One message for whatever is wrong with it.
   * @throws PolicyError `bad-credential` or `locked-out`.
   */
  password(
    endpoint: Endpoint,
    protocol: Protocol,
    username: string,
    password: Secret,
    sourceAddress: string,
  ): Promise<PasswordFact>;
  /**
   * Validates the path and the status, as of now, of the certificate (leaf first, DER) whose key signed a message. The carrier
   * has verified that signature.
   * @throws PolicyError `certificate-untrusted`, `certificate-expired` or `certificate-revoked`.
   */
  signer(endpoint: Endpoint, chain: readonly Uint8Array[]): Promise<SignedByFact>;
  /**
   * Checks a challenge password by the kinds the endpoint's authenticators name. One message for whatever is wrong with it.
   * @throws PolicyError `bad-credential` or `locked-out`; UpstreamError when the external decider, or the token that the
   *   endpoint's key is sealed with, does not answer.
   */
  challenge(endpoint: Endpoint, presented: PresentedChallenge): Promise<PasswordFact | ExternalDecisionFact>;
  /**
   * The MAC secret that a sender names, if it may be used here; looked up before any key is derived. Unknown, ended and
   * revoked references are alike `undefined`.
   * @throws PolicyError `locked-out`; UpstreamError when the token that it is sealed with does not answer.
   */
  macCredential(
    endpoint: Endpoint,
    protocol: Protocol,
    reference: Uint8Array,
    sourceAddress: string,
  ): Promise<MacCredential | undefined>;
  /**
   * The key for external account binding that a new account names (RFC 8555 §7.3.4), if one may be bound to it now. Unknown, ended
   * and revoked references are alike `undefined`.
   * @throws PolicyError `locked-out`; UpstreamError when the token that it is sealed with does not answer.
   */
  eabKey(endpoint: Endpoint, reference: string, sourceAddress: string): Promise<EabKey | undefined>;
  /** What the key that an account is bound to says about names, as of now; it may have been revoked meanwhile. */
  eabNames(endpoint: Endpoint, eabKeyId: string): Promise<NamePolicy>;
  /**
   * The fact of an order. Without `eabKeyId` the carrier has validated a challenge for each of its names.
   * @throws PolicyError `not-authorized` when the key does not vouch for all of them.
   */
  acmeOrder(endpoint: Endpoint, order: ProvedOrder): Promise<AcmeOrderFact>;
  /**
   * The fact of evidence that the gate appraised beforehand, as the only credential of a device.
   * @throws PolicyError `evidence-refused` when it was not affirmed, was used, or is over.
   */
  attested(endpoint: Endpoint, evidenceId: string): Promise<AttestedFact>;
  /** The fact of a request that an operator handed in with a batch. The API has verified who the operator is. */
  batch(batchId: string, actor: string): BatchFact;
  /** The fact of a step of a plan for this device. The engine of adapters has logged in there and read the request from it. */
  plan(planId: string, deviceName: string): PlanFact;
}

/** A challenge password with what an external decider is told about the request. */
export interface PresentedChallenge {
  readonly protocol: 'scep';
  readonly challenge: Secret;
  /** As {@link deviceName} of core/enrollment says it. */
  readonly deviceName: string;
  /** PKCS #10, DER. */
  readonly request: Uint8Array;
  readonly transactionId: string;
  readonly sourceAddress: string;
}

/** A secret that a MAC is to be verified with. */
export interface MacCredential {
  readonly reference: string;
  readonly secret: Secret;
  /** The fact of a MAC that verified: to be called then only. */
  fact(): MacFact;
  /** A MAC that did not verify counts towards the lock-out. */
  failed(): Promise<void>;
}

/** What the verifier stands on. */
export interface CredentialDependencies {
  readonly store: Store;
  readonly shortLived: ShortLived;
  readonly authorities: AuthorityDirectory;
  readonly secretHash: SecretHash;
  readonly dataKeys: Pick<DataKeys, 'sealer'>;
  /** Absent where none is wired. */
  readonly gate?: Pick<AttestationGate, 'identify' | 'recall'> | undefined;
}

/** The verifier over the store. */
export function credentialVerifier(dependencies: CredentialDependencies): CredentialVerifier {
  const lockOut = new LockOut(dependencies.shortLived, dependencies.store.clock);
  const parts = { ...dependencies, lockOut, chosen: new ChosenSecrets() };
  return {
    tlsCertificate: async (endpoint, chain) =>
      asVerified({ kind: 'tls-certificate', ...(await verifyCertificate(dependencies, endpoint, chain, 'tls')) }),
    password: (endpoint, protocol, username, password, sourceAddress) =>
      verifyPassword(parts, { endpoint, protocol, username, password, sourceAddress }),
    signer: async (endpoint, chain) =>
      asVerified({ kind: 'signed-by', ...(await verifyCertificate(dependencies, endpoint, chain, 'message')) }),
    challenge: (endpoint, presented) => verifyChallenge(parts, endpoint, presented),
    macCredential: (endpoint, protocol, reference, sourceAddress) =>
      findMacCredential(parts, endpoint, { protocol, reference, sourceAddress }),
    eabKey: (endpoint, reference, sourceAddress) => findEabKey(parts, endpoint, reference, sourceAddress),
    eabNames: (endpoint, eabKeyId) => namePolicyOf(dependencies.store, endpoint, eabKeyId),
    acmeOrder: (endpoint, order) => acmeOrderFact(dependencies.store, endpoint, order),
    attested: (endpoint, evidenceId) => attestedFact(dependencies, endpoint, evidenceId),
    batch: (batchId, actor) => asVerified({ kind: 'batch', batchId, actor }),
    plan: (planId, name) => asVerified({ kind: 'plan', planId, deviceName: name }),
  };
}

async function attestedFact(
  { gate }: CredentialDependencies,
  endpoint: Endpoint,
  evidenceId: string,
): Promise<AttestedFact> {
  const appraisal = await gate?.recall(evidenceId, endpoint);
  if (appraisal?.verdict === 'affirmed') return asVerified({ kind: 'evidence', appraisal });
  const because = appraisal ? appraisal.findings : ['evidence-used'];
  throw new PolicyError('evidence-refused', `attestation refused: ${because.join(', ')}`);
}

interface PresentedPassword {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  readonly username: string;
  readonly password: Secret;
  readonly sourceAddress: string;
}

async function verifyPassword(
  { store, secretHash, lockOut }: CredentialDependencies & { readonly lockOut: LockOut },
  { endpoint, protocol, username, password, sourceAddress }: PresentedPassword,
): Promise<PasswordFact> {
  const row = await findSecret(store, secretHash, password);
  // Static secrets need the name of the device, which is in the request and not beside the password.
  const served = row && isPassword(row) && row.usage !== 'static' && serves(row, endpoint, username, store.clock.now());
  if (served) return passwordFact(row, username);
  // 160-bit secrets cannot be guessed: the lock-out only takes the cost of guessing off us, so a right one still passes.
  await lockOut.failed(`password-failures:${endpoint.id}:${sourceAddress}`, 'passwords');
  throw new PolicyError('bad-credential', `the password is not valid for ${protocol} at this endpoint`);
}
